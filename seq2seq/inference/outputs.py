"""What trained models give: outputs, scores of given pairs, alignments, and values in a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Array = np.ndarray


class Translation(NamedTuple):
    """One output for one input."""

    text: str
    score: float
    """Length-normalised log-probability."""
    log_probability: float
    """Sum over tokens, end of sentence included, nats."""
    tokens: list[int]
    """Target ids without begin and end of sentence."""
    truncated: bool = False
    """Whether the input was longer than max_source_tokens, so that only its beginning was translated."""


class PairScore(NamedTuple):
    """A given target under the model (forced decoding)."""

    log_probability: float
    """Sum over the target's tokens, end of sentence included, nats."""
    tokens: int
    """Number of those tokens."""


class Alignment(NamedTuple):
    """Attention of one translated sentence."""

    source: list[str]
    """Source pieces, end of sentence last."""
    target: list[str]
    """Target pieces, end of sentence last."""
    weights: list[list[float]]
    """One row per target piece, one column per source piece; rows add up to 1."""


class Labelled(NamedTuple):
    """A label per step, and the class of the whole sequence."""

    name: str
    """The class's."""
    labels: list[str]
    score: float = 1.0
    """The class's probability."""
    scores: Sequence[float] = ()
    """The labels'."""

    @property
    def line(self) -> list[str]:
        """The class, then the labels."""
        return [self.name, *self.labels]


BLANK = Translation("", 0.0, 0.0, [])


def probabilities(logits: Array) -> Array:
    """[..., C] logits -> probabilities of classes."""
    found: Array = np.exp(logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True))
    return found


def values_line(values: Array) -> str:
    """Numbers, [O] or [S, O], in a line, those of different steps apart."""
    return " | ".join(" ".join(f"{value:.6g}" for value in row) for row in np.atleast_2d(values))
