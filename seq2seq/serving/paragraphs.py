"""Texts of any length as sentences for a model, and its answers as texts again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from seq2seq.data.mixing import tag_apart, tagged
from seq2seq.data.sentences import Sentences, split_sentences, whole
from seq2seq.serving.batcher import Found
from seq2seq.serving.markup import Markup


class Ranked(NamedTuple):
    """One translation of a whole text."""

    text: str
    score: float
    """Mean of its sentences' scores."""


class Document(Protocol):
    """A text as its sentences, from which another text is made."""

    sentences: list[str]

    def joined(self, sentences: Sequence[str]) -> str:
        """The text with other sentences, one for each."""


class PlainText:
    """A text, cut into sentences or taken as one. The tag that it begins with is that of each sentence."""

    def __init__(self, text: str, language: str, split: bool, tags: Sequence[str] = ()) -> None:
        tag, text = tag_apart(text, tags)
        self._parts = split_sentences(text, language) if split else whole(text)
        self.sentences = [tagged(sentence, tag) for sentence in self._parts.sentences]

    def joined(self, sentences: Sequence[str]) -> str:
        """As `Document` has it."""
        return self._parts.joined(sentences)


class Html:
    """A piece of HTML; no sentence reaches over a tag."""

    def __init__(self, text: str, language: str, split: bool) -> None:
        self._markup = Markup(text)
        self._parts: list[Sentences] = [
            split_sentences(text, language) if split else whole(text) for text in self._markup.texts
        ]
        self.sentences = [sentence for part in self._parts for sentence in part.sentences]

    def joined(self, sentences: Sequence[str]) -> str:
        """As `Document` has it."""
        rest = iter(sentences)
        texts = [part.joined([next(rest) for _ in part.sentences]) for part in self._parts]
        return self._markup.with_texts(texts)


def document(text: str, language: str, split: bool, markup: str = "text", tags: Sequence[str] = ()) -> Document:
    """A text, or a piece of html. tags: those that the model knows, which html has no place for."""
    return Html(text, language, split) if markup == "html" else PlainText(text, language, split, tags)


def ranked(given: Document, found: Sequence[Found], n_best: int) -> list[Ranked]:
    """The n best translations of a text, best first, all different: those whose sentences' scores have the highest
    sum. (The n best of a sum are found sentence by sentence, n at a time.)"""
    best: list[tuple[float, Any]] = [(0.0, None)]  # with the texts as linked pairs: (those before, the last one)
    for each in found:
        grown = [
            (score + candidate.score, (before, candidate.text))
            for score, before in best
            for candidate in each.candidates[:n_best]
        ]
        best = sorted(grown, key=lambda pair: -pair[0])[:n_best]
    results: dict[str, Ranked] = {}
    for score, texts in best:
        text = given.joined(_unlinked(texts))
        results.setdefault(text, Ranked(text, score / max(1, len(found))))
    return list(results.values())


def _unlinked(pairs: Any) -> list[str]:
    texts = []
    while pairs is not None:
        pairs, text = pairs
        texts.append(text)
    return texts[::-1]


def sentence_json(sentence: str, found: Found, n_best: int) -> dict[str, Any]:
    """A sentence and the model's answer, ready for JSON."""
    shown: dict[str, Any] = {
        "source": sentence,
        "candidates": [
            {
                "text": each.text,
                "score": each.score,
                "log_probability": each.log_probability,
                "tokens": len(each.tokens),
            }
            for each in found.candidates[:n_best]
        ],
        "truncated": any(each.truncated for each in found.candidates),
    }
    if found.attention is not None:
        shown["attention"] = found.attention._asdict()
    return shown
