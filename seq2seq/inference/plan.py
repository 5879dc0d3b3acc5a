"""Everything that was asked of a search, checked and compiled once, whatever the number of texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from seq2seq.config import SEARCH, check_number, suggestion
from seq2seq.data.units import Unicode, normalised
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.errors import check
from seq2seq.inference.inputs import list_of_texts, search_settings
from seq2seq.inference.rules import Rules, banned_phrases, ids_of_pieces
from seq2seq.inference.terminology import Terminology
from seq2seq.search.beam import SearchConfig
from seq2seq.search.decoding_config import DecodingConfig

DECODING_OPTIONS = tuple(field.name for field in fields(DecodingConfig))
TEXT_OPTIONS = ("ban", "ban_pieces")
"""Options that are lists of texts: words and phrases that no output holds, and pieces of the target vocabulary."""
TERMS_OPTION = "terminology"
"""Option that is a mapping: what a term of the source must become."""


@dataclass(frozen=True)
class SearchPlan:
    """How to search, whatever the texts."""

    search: SearchConfig
    decoding: DecodingConfig
    rules: Rules
    n_best: int
    """Outputs to give for each text."""
    terminology: Terminology | None = None

    @property
    def found(self) -> int:
        """Outputs to find for each text, of which the n best are given."""
        candidates = self.decoding.candidates or self.search.beam_size
        return max(self.n_best, candidates) if self.decoding.reorders else self.n_best

    @property
    def width(self) -> int:
        """Hypotheses of one text, as memory counts them: the tables of drawing without replacement are several, and of
        float64."""
        times = {"off": 0, "ancestral": 1, "without_replacement": 4}[self.decoding.sampling]
        return times * self.found or self.search.beam_size


def plan_of(
    config: SearchConfig,
    vocabulary: Vocabulary,
    n_best: int,
    options: Mapping[str, Any],
    unicode: Unicode = "unchanged",
) -> SearchPlan:
    """The plan of a search for the n best. options: fields of SearchConfig and of DecodingConfig, TEXT_OPTIONS,
    TERMS_OPTION. unicode: the form that the model's texts have.

    Raises UserError for an unknown option, a value that is none for it, or options that do not go together.
    """
    known = [*(field.name for field in fields(config)), *DECODING_OPTIONS, *TEXT_OPTIONS, TERMS_OPTION]
    for name in options:
        check(name in known, f"unknown search option '{name}'{suggestion(name, known)}")
    chosen = {name: value for name, value in options.items() if name in DECODING_OPTIONS}
    given = {name: () if options.get(name) is None else options[name] for name in TEXT_OPTIONS}
    texts = {
        name: [normalised(text, unicode) for text in list_of_texts(each, f"{name} text")]
        for name, each in given.items()
    }
    decoding = DecodingConfig(**chosen)
    rest = {name: value for name, value in options.items() if name not in (*chosen, *texts, TERMS_OPTION)}
    check_number("n_best", n_best, SEARCH["beam_size"])
    search = _searching(config, n_best, decoding, rest)
    least, most = decoding.min_length, search.max_length
    check(least <= most, f"min_length {least} is more than max_length {most}: raise the one or lower the other")
    phrases, pieces = banned_phrases(vocabulary, texts["ban"]), ids_of_pieces(vocabulary, texts["ban_pieces"])
    terms = options.get(TERMS_OPTION)
    if terms is not None:
        check_terms_fit(decoding)
    terminology = None if terms is None else Terminology(vocabulary, terms, unicode)
    return SearchPlan(search, decoding, Rules(decoding, pieces, phrases), int(n_best), terminology)


def _searching(config: SearchConfig, n_best: int, decoding: DecodingConfig, options: Mapping[str, Any]) -> SearchConfig:
    """The settings of a search whose beam, where it is not given, holds all candidates."""
    if decoding.sampling != "off":
        counts = decoding.reorders and not decoding.candidates
        check("beam_size" not in options or counts, "beam_size is of a search, not of sampling: leave it out")
        return search_settings(config, 1, options)
    search, candidates = search_settings(config, n_best, options), decoding.candidates
    if "beam_size" not in options:
        return replace(search, beam_size=max(search.beam_size, candidates))
    beam = search.beam_size
    check(
        candidates <= beam, f"candidates {candidates} is more than beam_size {beam}: raise beam_size, or leave it out"
    )
    return search


def check_terms_fit(decoding: DecodingConfig) -> None:
    """Raises UserError where outputs that must hold terms are not found by the plain beam search."""
    plain = decoding.sampling == "off" and decoding.beam_groups == 1
    check(plain, "terms are of the plain beam search: leave sampling and beam_groups out")
