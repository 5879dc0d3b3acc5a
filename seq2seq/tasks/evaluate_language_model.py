"""Evaluation of language models: how well they predict each next character of given texts."""

from __future__ import annotations

from collections.abc import Sequence

from seq2seq.data.examples import Example
from seq2seq.errors import check
from seq2seq.inference.character_model import CharacterModel
from seq2seq.tasks.results import PredictionResults

MOST_BITS = 1_023.0
"""2 to the power of more is no number that a computer holds, and JSON knows no infinity."""


def evaluate_language_model(model: CharacterModel, rows: Sequence[Example]) -> PredictionResults:
    """Bits and perplexity per character over all texts, each read from its beginning. The answer to a text is its own
    bits per character. Raises UserError, naming the row, for an empty text."""
    for row in rows:
        check(bool(row.source), f"{row.place}: the text is empty")
    texts = [row.source for row in rows]
    model.warn_of_unknown(texts)
    bits = model.bits_of_each(texts)
    characters = sum(map(len, texts))
    mean = sum(each * len(text) for each, text in zip(bits, texts, strict=True)) / characters
    return PredictionResults(
        [f"{each:.6f}" for each in bits],
        [[text] for text in texts],
        {"texts": len(texts), "characters": characters},
        {},
        {"bits per character": mean, "perplexity per character": 2.0 ** min(mean, MOST_BITS)},
    )
