"""Evaluation of models that classify, label or forecast."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq.data.examples import Example, Examples
from seq2seq.data.readers import ReaderConfig, read_file
from seq2seq.errors import UserError, check
from seq2seq.evaluation.predictions import (
    accuracy,
    macro_f1,
    mean_absolute_error,
    root_mean_squared_error,
    step_accuracy,
)
from seq2seq.evaluation.spans import are_spans, span_f1
from seq2seq.inference.outputs import Labelled, values_line
from seq2seq.inference.predictor import Predictor
from seq2seq.tasks.results import PredictionResults

Array = np.ndarray


def expected_answers(predictor: Predictor, examples: Examples) -> list[Any]:
    """What the model should answer to each row, in the form of `Predictor.answer`: a class's name, a list of names, one
    per step, both, or an array of values. Raises UserError, naming the row, where the target is nothing of that
    kind."""
    read: Callable[[Example], Any]
    if predictor.labels is None:
        return [_values(row, examples.folder) for row in examples.rows]
    labels = predictor.labels
    if predictor.config.classes:  # published test sets have rare labels that no training split has
        return [_labelled_answer(row) for row in examples.rows]
    read = _label if predictor.names_a_class else _labels
    expected = [read(row) for row in examples.rows]
    for row, names in zip(examples.rows, expected, strict=True):
        for name in [names] if isinstance(names, str) else names:
            known = ", ".join(labels[:20]) + (", …" if len(labels) > 20 else "")
            check(name in labels, f"{row.place}: {name!r:.60} is no class of this run; its classes are {known}")
    return expected


def _labelled_answer(row: Example) -> Labelled:
    names = _labels(row)
    check(bool(names), f"{row.place}: the target is empty; it must be a class and a label for each step")
    return Labelled(names[0], names[1:])


def evaluate_predictor(
    predictor: Predictor, inputs: Sequence[Array], expected: Sequence[Any], rows: Sequence[Example]
) -> PredictionResults:
    """Answers the inputs, [S, F] or [S], and compares the answers with those expected, as `expected_answers` gives
    them. rows: where they are from. Raises UserError, naming the row, where two have different numbers of steps."""
    answers = predictor.answer(inputs)
    if predictor.labels is None:
        return _forecasts(answers, [_fitted(*each) for each in zip(answers, expected, rows, strict=True)])
    if predictor.names_a_class:
        figures = {"accuracy": accuracy(answers, expected), "macro F1": macro_f1(answers, expected)}
        return PredictionResults(answers, [[name] for name in expected], {"sequences": len(answers)}, figures, {})
    if predictor.config.classes:
        return _labelled(answers, expected, rows)
    figures, counts = _step_figures(answers, expected, rows)
    figures["accuracy per sequence"] = accuracy(list(map(tuple, answers)), list(map(tuple, expected)))
    lines = [[" ".join(names)] for names in expected]
    return PredictionResults([" ".join(names) for names in answers], lines, counts, figures, {})


def _labelled(answers: list[Labelled], expected: Sequence[Labelled], rows: Sequence[Example]) -> PredictionResults:
    """Of answers that have a class beside their labels."""
    labels = [each.labels for each in answers], [each.labels for each in expected]
    figures, counts = _step_figures(*labels, rows)
    figures["accuracy of classes"] = accuracy([each.name for each in answers], [each.name for each in expected])
    texts = [[" ".join(each.line) for each in side] for side in (answers, expected)]
    figures["accuracy per sequence"] = accuracy(*texts)
    return PredictionResults(texts[0], [[text] for text in texts[1]], counts, figures, {})


def _step_figures(
    answers: Sequence[Sequence[str]], expected: Sequence[Sequence[str]], rows: Sequence[Example]
) -> tuple[dict[str, float], dict[str, int]]:
    """Figures of labels per step, and what was counted. Raises UserError, naming the row, where there is not a label
    for each step."""
    for answer, names, row in zip(answers, expected, rows, strict=True):
        steps = len(answer)
        check(len(names) == steps, f"{row.place}: has {len(names)} labels, but the model answers {steps} steps")
    figures = {"accuracy per step": step_accuracy(answers, expected)}
    if are_spans({label for names in expected for label in names}):
        figures = {"F1 of spans": span_f1(answers, expected), **figures}
    return figures, {"sequences": len(answers), "steps": sum(map(len, answers))}


def _forecasts(answers: list[Array], expected: list[Array]) -> PredictionResults:
    figures = {
        "mean absolute error": mean_absolute_error(answers, expected),
        "root mean squared error": root_mean_squared_error(answers, expected),
    }
    counts = {"sequences": len(answers), "values": sum(each.size for each in answers)}
    lines = [[values_line(each)] for each in expected]
    return PredictionResults([values_line(each) for each in answers], lines, counts, {}, figures)


def _fitted(answer: Array, values: Array, row: Example) -> Array:
    """Expected values in the answer's shape, from which they may differ in dimensions of size 1: the rows of a CSV file
    are steps, and a list of numbers has no second dimension."""
    shapes = [[size for size in each.shape if size != 1] for each in (values, answer)]
    check(
        shapes[0] == shapes[1],
        f"{row.place}: expects values of shape {list(values.shape)}, but the model answers {list(answer.shape)}",
    )
    return values.reshape(answer.shape)


def _label(row: Example) -> str:
    check(isinstance(row.target, str | int), f"{row.place}: the target must be a class's name, not {row.target!r:.60}")
    return str(row.target)


def _labels(row: Example) -> list[str]:
    """Names in a list, or in a text with spaces between them."""
    names = row.target.split() if isinstance(row.target, str) else row.target
    fits = isinstance(names, list) and all(isinstance(name, str | int) for name in names)
    check(fits, f"{row.place}: the target must be names of classes, one per step, not {row.target!r:.60}")
    return [str(name) for name in names]


def _values(row: Example, folder: Path) -> Array:
    """Numbers in a list, or in a text as JSON has them, or in the .npy or .csv file that a text names."""
    given = row.target
    try:
        if isinstance(given, str):
            is_file = given.lower().endswith((".npy", ".csv"))
            given = read_file(ReaderConfig(), folder / given) if is_file else json.loads(given)
        values = np.asarray(given, np.float64)
    except UserError as error:
        raise UserError(f"{row.place}: {error}") from None
    except (ValueError, TypeError, OverflowError, RecursionError):
        wanted = "a number, a list such as [1, 2.5], or the name of a .npy or .csv file"
        problem = f"the target must be {wanted}, not {row.target!r:.60}; this run answers with values, not with classes"
        raise UserError(f"{row.place}: {problem}") from None
    finite = bool(np.isfinite(values).all())
    check(finite, f"{row.place}: the target holds infinite or undefined values, or none where some are missing")
    return values
