"""What the server knows of a model: nothing but this."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

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
