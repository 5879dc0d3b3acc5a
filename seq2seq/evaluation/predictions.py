"""Figures of predictions: classes, labels per step, values."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

Array = np.ndarray


def accuracy(answers: Sequence[Hashable], expected: Sequence[Hashable]) -> float:
    """Percentage of answers that are as expected."""
    right = sum(one == other for one, other in zip(answers, expected, strict=True))
    return 100 * right / max(1, len(answers))


def step_accuracy(answers: Sequence[Sequence[Hashable]], expected: Sequence[Sequence[Hashable]]) -> float:
    """Percentage of the steps of all sequences whose label is as expected."""
    pairs = [pair for one, other in zip(answers, expected, strict=True) for pair in zip(one, other, strict=True)]
    return accuracy([one for one, _ in pairs], [other for _, other in pairs])


def macro_f1(answers: Sequence[Hashable], expected: Sequence[Hashable]) -> float:
    """Mean over classes of F1, the harmonic mean of precision and recall, in percent. A class counts if it was expected
    or answered at least once, as in scikit-learn's f1_score(average="macro")."""
    right = Counter(one for one, other in zip(answers, expected, strict=True) if one == other)
    occurrences = Counter(answers) + Counter(expected)
    # F1 = 2 right / (answered + expected), the same as 2 precision recall / (precision + recall)
    return 100 * sum(2 * right[name] / count for name, count in occurrences.items()) / max(1, len(occurrences))


def mean_absolute_error(answers: Sequence[Array], expected: Sequence[Array]) -> float:
    """Mean over all values of all answers, arrays of any shape, of |answer - expected|."""
    return float(np.abs(_differences(answers, expected)).mean())


def root_mean_squared_error(answers: Sequence[Array], expected: Sequence[Array]) -> float:
    """Root of the mean over all values of all answers, arrays of any shape, of (answer - expected)²."""
    return math.sqrt(float(np.square(_differences(answers, expected)).mean()))


def _differences(answers: Sequence[Array], expected: Sequence[Array]) -> Array:
    """[n] float64 differences of all values."""
    pairs = zip(answers, expected, strict=True)
    return np.concatenate([(np.asarray(one, np.float64) - other).ravel() for one, other in pairs])
