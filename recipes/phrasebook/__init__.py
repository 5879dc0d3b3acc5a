"""A synthetic English–German phrasebook: a grammar written for it, values rendered by the CLDR data of babel.

values: dates, numbers, prices in any locale. lexicon, german, phrases: words, morphology, clauses in both languages at
once. derivation, grammar, templates: the sentences. generate: the splits. value_pairs: the task of values only.
baselines: what to compare a model with.
"""

from .baselines import copy_baseline, mark_errors, word_by_word
from .generate import DEFAULT_PAIRS, DEFAULT_SEED, SPLITS, explain_digest, generate, generate_values, write_splits

__all__ = [
    "DEFAULT_PAIRS",
    "DEFAULT_SEED",
    "SPLITS",
    "copy_baseline",
    "explain_digest",
    "generate",
    "generate_values",
    "mark_errors",
    "word_by_word",
    "write_splits",
]
