"""Evaluation of captioners and transcribers: what a generator writes of inputs, scored as translations are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seq2seq.data.examples import Example
from seq2seq.errors import check
from seq2seq.inference.outputs import BLANK, Translation
from seq2seq.inference.transcriber import Generator
from seq2seq.tasks.evaluate import Evaluation, check_scoring, scored

Array = np.ndarray


def expected_texts(rows: Sequence[Example], column: str) -> list[list[str]]:
    """One text or several for each row, no blank ones beside others. column: names the target in errors. Raises
    UserError, naming the row, for what is no text."""
    return [_texts(row, column) for row in rows]


def _texts(row: Example, column: str) -> list[str]:
    texts = row.target if isinstance(row.target, list) else [row.target]
    check(bool(texts), f"{row.place}: column '{column}' is an empty list")
    for text in texts:
        fits = isinstance(text, str)
        check(fits, f"{row.place}: column '{column}' must hold a text or a list of texts, but there is {text!r:.60}")
    return [text for text in texts if text.strip()] or texts[:1]


def evaluate_generator(
    generator: Generator,
    inputs: Sequence[Array],
    names: list[str],
    references: list[list[str]],
    target_language: str = "",
    bleu_tokenizer: str = "",
    **search_options: Any,
) -> Evaluation:
    """Writes a text of each input, [S, F], [S] or [C, height, width], by beam search and scores it. names: of the
    inputs. target_language, bleu_tokenizer: as Validator has them."""
    check_scoring(target_language, bleu_tokenizer)
    written = texts_written(generator, inputs, **search_options)
    return scored(names, references, written, target_language, bleu_tokenizer)


def texts_written(generator: Generator, inputs: Sequence[Array], **search_options: Any) -> list[Translation]:
    """The best text of each input; BLANK where search found none."""
    best = [(*found, None)[0] for found in generator.search(inputs, **search_options)]
    texts = iter(generator.vocabulary.decode_batch([each.tokens for each in best if each is not None]))
    return [
        BLANK if each is None else Translation(next(texts), each.score, each.log_probability, each.tokens)
        for each in best
    ]
