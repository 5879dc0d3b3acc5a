"""Sentences in groups: by length, and by how often their words occur in training."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

Tokenise = Callable[[str], list[str]]
"""A text's words, as BLEU counts them."""

LENGTHS = (1, 6, 11, 16, 21, 31, 51)
"""Words at which groups of lengths begin."""
COUNTS = (0, 1, 2, 5, 10, 100, 1_000, 10_000)
"""Occurrences at which groups of words begin."""


class Group(NamedTuple):
    """Sentences that have something in common."""

    label: str
    rows: list[int]


def word_counts(texts: Iterable[str], tokenise: Tokenise) -> Counter[str]:
    """How often each word occurs."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(tokenise(text))
    return counts


def by_length(texts: Sequence[str], tokenise: Tokenise) -> list[Group]:
    """Groups of so many words."""
    return _grouped([len(tokenise(text)) for text in texts], LENGTHS)


def by_rarest_word(texts: Sequence[str], counts: Counter[str], tokenise: Tokenise) -> list[Group]:
    """Groups by the occurrences of the word that occurs least; 0 is a word never seen."""
    return _grouped([min((counts[word] for word in tokenise(text)), default=0) for text in texts], COUNTS)


def by_mean_word(texts: Sequence[str], counts: Counter[str], tokenise: Tokenise) -> list[Group]:
    """Groups by the geometric mean of the occurrences of all words, each plus 1 so that one never seen counts, too."""
    return _grouped([_mean([counts[word] for word in tokenise(text)]) for text in texts], COUNTS)


def _mean(occurrences: Sequence[int]) -> float:
    logs = [math.log(each + 1) for each in occurrences]
    return math.exp(sum(logs) / len(logs)) - 1 if logs else 0.0


def _grouped(values: Sequence[float], begins: Sequence[int]) -> list[Group]:
    """Groups of rows whose value lies between one begin and the next, those left out that have none."""
    places = [max((place for place, begin in enumerate(begins) if begin <= value), default=0) for value in values]
    rows_of = {place: [row for row, each in enumerate(places) if each == place] for place in sorted(set(places))}
    return [Group(_label(begins, place), rows) for place, rows in rows_of.items()]


def _label(begins: Sequence[int], place: int) -> str:
    first = begins[place]
    if place + 1 == len(begins):
        return f"{first:,}+"
    last = begins[place + 1] - 1
    return f"{first:,}" if first == last else f"{first:,}–{last:,}"
