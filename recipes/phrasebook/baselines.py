"""What a table of results compares a model with: copying the source, a word-by-word dictionary, and marked errors."""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

_TOKEN = re.compile(r"[^\W_]+(?:[.,:'’-][^\W_]+)*|[^\w\s]|_")
_NO_SPACE_BEFORE = re.compile(r" (?=[.,;:?!%)\]])")
_ITERATIONS = 4
_MAX_PAIRS = 6_000
_EMPTY = ""


def copy_baseline(sources: Sequence[str]) -> list[str]:
    """The sources themselves: what is the same in both languages already."""
    return list(sources)


def word_by_word(train_pairs: Sequence[tuple[str, str]]) -> Callable[[Sequence[str]], list[str]]:
    """A translator that replaces each word by its likeliest translation and keeps the order.

    The translation table is IBM model 1, four rounds of expectation maximisation with an empty source word, on the
    first 6,000 pairs (source, target). Words not seen there are copied; the first letter of a line is a capital.
    """
    pairs = [(tokenise(source), tokenise(target)) for source, target in train_pairs[:_MAX_PAIRS]]
    table = _translation_table(pairs)
    best: dict[str, str] = {}
    for source, row in table.items():
        # Ties go to the alphabetically first word, so that the figure does not depend on insertion order.
        best[source] = max(sorted(row), key=row.__getitem__)

    def translate(sources: Sequence[str]) -> list[str]:
        return [_join([best.get(token, token) for token in tokenise(line)]) for line in sources]

    return translate


def tokenise(line: str) -> list[str]:
    """Words (with numbers and times in one piece) and punctuation marks; the first word in lower case."""
    tokens = _TOKEN.findall(line)
    if tokens and tokens[0] not in ("I",):
        tokens[0] = tokens[0].lower()
    return tokens


def mark_errors(hypothesis: str, references: Sequence[str]) -> str:
    """The hypothesis against its nearest reference: [-wrong words-] {+what the reference has instead+}."""
    words = _words(hypothesis)
    matchers = [
        (difflib.SequenceMatcher(None, words, other, autojunk=False), other) for other in map(_words, references)
    ]
    matcher, nearest = max(matchers, key=lambda pair: pair[0].ratio())
    parts: list[str] = []
    for tag, start, end, other_start, other_end in matcher.get_opcodes():
        if tag == "equal":
            parts.append(" ".join(words[start:end]))
            continue
        if end > start:
            parts.append("[-" + " ".join(words[start:end]) + "-]")
        if other_end > other_start:
            parts.append("{+" + " ".join(nearest[other_start:other_end]) + "+}")
    return " ".join(parts)


def _words(line: str) -> list[str]:
    return line.split(" ")


def _translation_table(pairs: Sequence[tuple[list[str], list[str]]]) -> dict[str, dict[str, float]]:
    """Source word -> target word -> probability, uniform at first (IBM model 1)."""
    table: dict[str, dict[str, float]] = {}
    for _ in range(_ITERATIONS):
        counts: dict[str, defaultdict[str, float]] = {}
        for source, target in pairs:
            rows = [table.get(word, {}) for word in (_EMPTY, *source)]
            sinks = [counts.setdefault(word, defaultdict(float)) for word in (_EMPTY, *source)]
            for word, times in Counter(target).items():
                weights = [row.get(word, 0.0) if table else 1.0 for row in rows]
                scale = times / sum(weights)
                for sink, weight in zip(sinks, weights, strict=True):
                    sink[word] += weight * scale
        table = {word: _normalised(row) for word, row in counts.items()}
    table.pop(_EMPTY, None)
    return table


def _normalised(row: dict[str, float]) -> dict[str, float]:
    """Probabilities; what is too rare to matter is dropped, to keep the next round fast."""
    total = sum(row.values())
    largest = max(row.values())
    return {word: count / total for word, count in row.items() if count > largest * 1e-4}


def _join(tokens: list[str]) -> str:
    line = _NO_SPACE_BEFORE.sub("", " ".join(tokens))
    return line[:1].upper() + line[1:]
