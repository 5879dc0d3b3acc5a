"""Whether a model's probabilities say how often it is right, and its scores how good an output is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

BINS = 10
Array = np.ndarray


class Bin(NamedTuple):
    """Tokens of like confidence."""

    label: str
    tokens: int
    confidence: float
    """Mean, 0 to 1."""
    accuracy: float
    """Share that is right, 0 to 1."""


class Calibration(NamedTuple):
    """Of a model on a split."""

    bins: list[Bin]
    rank_correlation: float
    """Spearman's, of outputs' mean log-probabilities with their chrF; nan where all of one are alike."""

    @property
    def expected_error(self) -> float:
        """Expected calibration error in percent: mean over tokens of |accuracy - confidence| of their bins (Naeini et
        al. 2015; Guo et al. 2017)."""
        tokens = sum(each.tokens for each in self.bins)
        return 100 * sum(each.tokens * abs(each.accuracy - each.confidence) for each in self.bins) / max(1, tokens)

    def figures(self) -> dict[str, float | None]:
        """For JSON, which has no nan."""
        return {
            "expected_calibration_error": self.expected_error,
            "score_chrf_rank_correlation": None if math.isnan(self.rank_correlation) else self.rank_correlation,
        }

    def report(self) -> list[str]:
        """For people, a line each."""
        return [
            f"expected calibration error {self.expected_error:.2f} %",
            f"rank correlation of score and chrF {self.rank_correlation:.3f}",
        ]


def binned(confidences: Sequence[float], right: Sequence[bool]) -> list[Bin]:
    """Tokens in BINS bins of equal width, (0, 0.1], (0.1, 0.2] and so on, without those that are empty."""
    values, hits = np.asarray(confidences, np.float64), np.asarray(right, np.float64)
    places = np.clip(np.ceil(values * BINS).astype(np.int64) - 1, 0, BINS - 1)
    found = []
    for place in np.unique(places):
        chosen = places == place
        label = f"{place / BINS:g}–{(place + 1) / BINS:g}"
        found.append(Bin(label, int(chosen.sum()), float(values[chosen].mean()), float(hits[chosen].mean())))
    return found


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's: Pearson's correlation of ranks, of equal values their mean rank; nan where there are none, or all of
    one are alike."""
    if not len(one):
        return float("nan")
    ranks = [_ranks(np.asarray(each, np.float64)) for each in (one, other)]
    deviations = [each - each.mean() for each in ranks]
    size = float(np.sqrt((deviations[0] ** 2).sum() * (deviations[1] ** 2).sum()))
    return float((deviations[0] * deviations[1]).sum()) / size if size else float("nan")


def _ranks(values: Array) -> Array:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_ranks: Array = np.cumsum(counts) - (counts - 1) / 2
    return mean_ranks[places]
