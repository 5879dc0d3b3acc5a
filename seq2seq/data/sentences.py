"""Paragraphs as sentences, and back: every white space between them is kept.

sentencex is imported where it is used: it belongs to the extra `serve`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from seq2seq.errors import UserError

LINE = re.compile(r"[^\n]*\n|[^\n]+")


class Sentences(NamedTuple):
    """A text as its sentences and the white space around them."""

    sentences: list[str]
    """None of them blank, none with white space at its ends."""
    gaps: list[str]
    """White space before the first sentence, between any two, and behind the last one: one more than sentences."""

    def joined(self, sentences: Sequence[str]) -> str:
        """Other sentences, one for each, between the same white space."""
        behind = (sentence + gap for sentence, gap in zip(sentences, self.gaps[1:], strict=True))
        return self.gaps[0] + "".join(behind)


def check_splitter() -> None:
    """Raises UserError where the library that splits sentences is not installed."""
    try:
        import sentencex  # noqa: F401
    except ImportError:
        raise UserError("splitting sentences needs sentencex: pip install 'seq2seq[serve]'") from None


def whole(text: str) -> Sentences:
    """The text as one sentence, or as none where it is blank."""
    return _sentences([text])


def split_sentences(text: str, language: str = "en") -> Sentences:
    """The sentences of each line of a text. language: its code, which decides what an abbreviation is."""
    import sentencex

    pieces: list[str] = []
    for line in LINE.findall(text):
        found = list(sentencex.segment(language, line)) if line.strip() else [line]
        pieces += found if "".join(found) == line else [line]
    return _sentences(pieces)


def _sentences(pieces: Sequence[str]) -> Sentences:
    sentences, gaps = [], [""]
    for piece in pieces:
        sentence = piece.strip()
        if not sentence:
            gaps[-1] += piece
            continue
        begin = piece.index(sentence)
        gaps[-1] += piece[:begin]
        sentences.append(sentence)
        gaps.append(piece[begin + len(sentence) :])
    return Sentences(sentences, gaps)
