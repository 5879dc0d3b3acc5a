"""Figures of predictions, beside values worked out by hand and scikit-learn's."""

import random

import numpy as np
import pytest

from seq2seq.evaluation.predictions import (
    accuracy,
    macro_f1,
    mean_absolute_error,
    root_mean_squared_error,
    step_accuracy,
)


def test_f1_by_hand() -> None:
    """a: precision 2/3, recall 1, F1 0.8; b: precision 1, recall 1/2, F1 2/3; c: expected, never answered, F1 0."""
    answers, expected = ["a", "a", "b", "a"], ["a", "a", "b", "b"]
    assert macro_f1(answers, expected) == pytest.approx(100 * (0.8 + 2 / 3) / 2)
    assert macro_f1([*answers, "a"], [*expected, "c"]) == pytest.approx(100 * (4 / 6 + 2 / 3 + 0) / 3)


def test_f1_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    choose = random.Random(3)
    for classes in ("ab", "abcdef", "a"):
        answers, expected = ([choose.choice(classes) for _ in range(50)] for _ in range(2))
        wanted = 100 * metrics.f1_score(expected, answers, average="macro")
        assert macro_f1(answers, expected) == pytest.approx(wanted)
        assert accuracy(answers, expected) == pytest.approx(100 * metrics.accuracy_score(expected, answers))


def test_steps_count_alike_whatever_sequence_they_are_of() -> None:
    assert step_accuracy([["a"], ["a", "b", "c"]], [["b"], ["a", "b", "c"]]) == 75


def test_errors_of_values_are_over_all_of_them() -> None:
    answers, expected = [np.array([1.0, 2.0]), np.array([[3.0]])], [np.array([2.0, 4.0]), np.array([[7.0]])]
    assert mean_absolute_error(answers, expected) == pytest.approx(7 / 3)
    assert root_mean_squared_error(answers, expected) == pytest.approx(7**0.5)
    large = [np.array([16_777_217.0])], [np.array([16_777_216.0])]  # no float32 tells them apart
    assert mean_absolute_error(*large) == 1
