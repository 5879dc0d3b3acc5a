"""What the server knows of a model: nothing but this."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from seq2seq.errors import check
from seq2seq.inference.outputs import Labelled, probabilities

Array = np.ndarray
Reads = Literal["text", "image", "sound", "array"]
"""What a model takes as an input."""


class Candidate(NamedTuple):
    """One output for one input."""

    text: str
    score: float = 0.0
    """Length-normalised log-probability of a text; probability of a class."""
    tokens: Sequence[int] = ()
    log_probability: float = 0.0
    truncated: bool = False
    """Whether the input was too long, so that only its beginning was read."""
    answer: Any = None
    """Of models whose outputs are no text: labels or values, ready for JSON."""


def class_candidates(outputs: Array, meaning: Any, labels: Sequence[str] | None, n_best: int) -> list[Candidate]:
    """A predictor's outputs [S, O] or [O] as candidates: the n most probable classes, or one of labels per step, or of
    values. meaning: what the model says they mean. Raises UserError where they are no finite numbers."""
    check(bool(np.isfinite(outputs).all()), "the answer to this input is no finite number")
    if labels is None:
        return [Candidate("", answer=meaning.tolist())]
    if isinstance(meaning, Labelled):
        answer = {"class": meaning.name, "labels": meaning.labels}
        return [Candidate(" ".join(meaning.line), meaning.score, answer=answer)]
    likely = probabilities(outputs)
    if isinstance(meaning, list):
        return [Candidate(" ".join(meaning), float(likely.max(-1).mean()), answer=meaning)]
    order = (-likely).argsort(kind="stable")[:n_best]
    return [Candidate(labels[each], float(likely[each]), answer=labels[each]) for each in order]


class Attention(NamedTuple):
    """What an output looked at."""

    source: list[str]
    """Pieces of the input; empty where it is no text."""
    target: list[str]
    """Pieces of the output, end of sentence last."""
    weights: list[list[float]]
    """One row per piece of the output."""


class Backend(Protocol):
    """A model ready for use. One thread at a time calls `search` and `attention`; others may call `read` meanwhile.

    What is the sender's mistake raises UserError.
    """

    kind: str
    """translator, generator, predictor or language_model."""
    reads: Reads
    languages: tuple[str, str] | None
    """Source and target of a translator, as the run names them; None of others, and where the run does not say."""
    tags: Sequence[str]
    """What a translator's inputs may begin with."""

    def read(self, source: Path | str, steps: int) -> Any:
        """An input, of a file, or of a text where the model reads text. steps: longest one."""

    def search(self, inputs: Sequence[Any], n_best: int, **settings: Any) -> list[list[Candidate]]:
        """For each input its n best outputs, best first, one at least. settings: as SETTINGS names them."""

    def attention(self, inputs: Sequence[Any], outputs: Sequence[Candidate]) -> list[Attention]:
        """What each output looked at in its input."""


@dataclass(frozen=True)
class Source:
    """A run to serve, as the command line names it."""

    path: str
    name: str = ""
    """The name it is asked for by; of a translator SOURCE:TARGET. Empty: the run's own."""


@dataclass(frozen=True)
class LoadOptions:
    """How runs are loaded."""

    device: str = "cpu"
    precision: str = "fp32"
    max_input_length: int | None = None


Open = Callable[[Source, LoadOptions], Backend]
"""Loads a model. Raises UserError where it cannot be."""
