"""Two texts beside each other: which words of one the other has not in that place."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import NamedTuple


class Part(NamedTuple):
    """Words of a text that follow each other."""

    text: str
    differs: bool


def marked(text: str, other: str) -> list[Part]:
    """The words of a text, in parts that the other text has too, in the same order, and parts that it has not."""
    words, others = text.split(), other.split()
    parts = []
    for kind, first, end, _, _ in SequenceMatcher(None, words, others, autojunk=False).get_opcodes():
        if end > first:
            parts.append(Part(" ".join(words[first:end]), kind != "equal"))
    return parts
