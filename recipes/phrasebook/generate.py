"""Splits of the phrasebook: seeded, disjoint by sentence and by value, with combinations held out for `test_unseen`.

Closed classes are shared by all splits: words, the numerals two to twelve, platforms, weekdays, month names, years,
currencies and units. Everything else that can be counted or dated goes to one split only (`values.partition`).
"""

from __future__ import annotations

import hashlib
import json
import random as random_module
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

import babel

from . import grammar
from .derivation import Derivation
from .value_pairs import ValueTask

SPLITS = ("train", "validation", "test", "test_unseen")
HELD_OUT_PAIRS = 500
DEFAULT_SEED, DEFAULT_PAIRS = 20, 20_000
BABEL_VERSION = "2.18.0"
# Of the four files that `write_splits` writes for the default seed and size under that babel version.
EXPECTED_SHA256 = "d54aabaa5cb6cdde5d65dcf4c5a696332a898a0b78ded78ce2972450c7a0fd97"
# How often a training target is the preferred reference rather than another licensed one.
_PREFERENCE = 0.9


class Row(TypedDict):
    """One source with its references, one to four; training rows have exactly one."""

    en: str
    de: list[str]


class Example(NamedTuple):
    """A pair with what it was made of: the keys of its values and the combinations of its words."""

    source: str
    references: list[str]
    keys: tuple[str, ...]
    combinations: tuple[str, ...]


def examples(seed: int, pairs: int = DEFAULT_PAIRS) -> dict[str, list[Example]]:
    """The English–German examples of every split, training ones with all their references."""

    def derive(random: random_module.Random, split: str) -> Example | None:
        derivation = Derivation(random, split)
        sentence = grammar.derive(derivation)
        if sentence is None:
            return None
        source, references = sentence
        return Example(source, references, tuple(derivation.keys), tuple(derivation.combinations))

    return _fill_splits(seed, pairs, derive)


def generate(seed: int, pairs: int = DEFAULT_PAIRS) -> dict[str, list[Row]]:
    """`pairs` training rows and 500 rows of each other split; columns en (a string) and de (a list of references).

    Args:
        seed: any integer; the same seed gives the same rows on every platform and Python version.
        pairs: rows of the training split.
    """
    return rows(examples(seed, pairs), seed)


def rows(splits: Mapping[str, Sequence[Example]], seed: int) -> dict[str, list[Row]]:
    """The rows of examples; a training row's target is mostly the preferred reference, now and then another."""
    random = random_module.Random(f"references {seed}")
    return {s: [Row(en=e.source, de=_targets(e, s, random)) for e in splits[s]] for s in SPLITS}


def generate_values(
    seed: int, pairs: int, source_locale: str, target_locale: str
) -> dict[str, list[dict[str, str | list[str]]]]:
    """Values only, for any two locales babel knows, in the same splits; the columns are named by the locales.

    Raises:
        UserError: a locale is unknown, or both are the same.
    """
    task = ValueTask(source_locale, target_locale)

    def derive(random: random_module.Random, split: str) -> Example | None:
        drawn = task.draw(random, split)
        return None if drawn is None else Example(*drawn)

    splits = _fill_splits(seed, pairs, derive)
    return {s: [{source_locale: e.source, target_locale: e.references} for e in splits[s]] for s in SPLITS}


def write_splits(directory: str | Path, splits: Mapping[str, Sequence[Mapping[str, object]]]) -> str:
    """Write train, validation, test and test_unseen.jsonl; returns the SHA-256 of the four in this order."""
    digest = hashlib.sha256()
    Path(directory).mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in splits[split])
        content = lines.encode("utf-8")
        digest.update(content)
        (Path(directory) / f"{split}.jsonl").write_bytes(content)
    return digest.hexdigest()


def explain_digest(digest: str) -> str:
    """What to say of the digest of the default splits: as recorded, or which babel version made the difference."""
    if digest == EXPECTED_SHA256:
        return f"SHA-256 {digest}, as recorded"
    return (
        f"SHA-256 {digest} differs from the recorded {EXPECTED_SHA256}: it was recorded with babel {BABEL_VERSION} and "
        f"this is babel {babel.__version__}; another CLDR version writes some values differently"
    )


def _targets(example: Example, split: str, random: random_module.Random) -> list[str]:
    if split != "train":
        return example.references
    if len(example.references) == 1 or random.random() < _PREFERENCE:
        return example.references[:1]
    return [random.choice(example.references[1:])]


def _fill_splits(
    seed: int, pairs: int, derive: Callable[[random_module.Random, str], Example | None]
) -> dict[str, list[Example]]:
    """Derive until every split is full; no source occurs twice, and no reference in two splits.

    (We delivered it and we have delivered it are two sources, but one German sentence.)
    """
    sources: set[str] = set()
    owners: dict[str, str] = {}
    splits: dict[str, list[Example]] = {}
    for split in SPLITS:
        random = random_module.Random(f"{split} {seed}")
        wanted = pairs if split == "train" else HELD_OUT_PAIRS
        filled: list[Example] = []
        while len(filled) < wanted:
            example = derive(random, split)
            if example is None or example.source in sources:
                continue
            if any(owners.get(text, split) != split for text in example.references):
                continue
            sources.add(example.source)
            owners.update(dict.fromkeys(example.references, split))
            filled.append(example)
        splits[split] = filled
    return splits
