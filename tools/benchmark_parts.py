"""What the benchmarks have in common: the reference model, clocks, and rows of figures."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from seq2seq.data.vocabulary import Vocabulary
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.seq2seq import ModelConfig, Seq2Seq, build_model

COUPLINGS = ("none", "bottom_up", "input_feeding")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    work: str
    unit: str
    median: float
    spread: float
    """Half the distance between the largest and the smallest repeat."""
    peak_fraction: float | None = None
    """Share of the matrix peak of the same element type; None where the arithmetic is not counted."""

    @classmethod
    def of(cls, work: str, unit: str, figures: Sequence[float], peak_fraction: float | None = None) -> Row:
        """From the repeats' figures."""
        spread = (max(figures) - min(figures)) / 2
        return cls(work, unit, statistics.median(figures), spread, peak_fraction)


def timed(device: torch.device, work: Callable[..., object], *arguments: Any) -> float:
    """Seconds that the work takes, the device's part included."""
    synchronise(device)
    start = time.perf_counter()
    work(*arguments)
    synchronise(device)
    return time.perf_counter() - start


def synchronise(device: torch.device) -> None:
    """Waits for the device; nothing to wait for on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def reference_model(coupling: Any, vocabulary: Vocabulary) -> tuple[ModelConfig, Seq2Seq]:
    """The model of the reference setting; bottom_up has the second layer that it needs."""
    layers = 2 if coupling == "bottom_up" else 1
    config = ModelConfig(256, 0.2, "three_way", EncoderConfig(256), DecoderConfig(512, layers, coupling=coupling))
    torch.manual_seed(1)
    return config, build_model(config, len(vocabulary), len(vocabulary))
