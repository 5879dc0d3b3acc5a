"""CUDA graphs: the kernels of a training step recorded once for each shape of batch, and launched together afterwards.

A recurrent model of usual size gives a GPU hundreds of small kernels a step, and the GPU waits for the host to launch
them: recorded steps train four to six times as fast (docs/performance.md).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from seq2seq.data.batch import map_tensors
from seq2seq.model.losses import LossSum

log = logging.getLogger(__name__)

Shapes = tuple[torch.Size | None, ...]

MOST_RECORDINGS = 128
"""Shapes met after so many run as they are: a graph takes some 10 kB on the GPU for each of its kernels."""


def recordable(model: nn.Module, objective: Callable[..., LossSum]) -> bool:
    """Whether model and objective are made of parts of this library and of torch alone. What others wrote may look at
    numbers on the host, which a recording would repeat as they were."""
    modules = {type(module).__module__ for module in model.modules()}
    return all(name.split(".")[0] in ("seq2seq", "torch") for name in {objective.__module__, *modules})


@dataclass
class Recording:
    """A graph, and the tensors it reads and writes."""

    graph: torch.cuda.CUDAGraph
    batch: Any
    loss: LossSum


@dataclass
class Recordings:
    """Runs a function of a batch on a GPU. The first batch of a shape runs as it is, so that libraries set themselves
    up; the second is recorded, and it and later ones are replayed.

    The function may not wait for the device, nor bring data to it, and all else that it reads and writes (weights,
    gradients) must stay at its address; numbers it takes from the host stay as they were when it was recorded. Dropout
    draws the same numbers as without a graph. What a call returns holds until the next one.
    """

    met: set[Shapes] = field(default_factory=set)
    recorded: dict[Shapes, Recording] = field(default_factory=dict)
    pool: Any = field(default_factory=torch.cuda.graph_pool_handle)
    """One for all graphs: they run one after the other."""
    refused: bool = False
    """Whether the function could not be recorded: it is not tried again."""

    def run(self, function: Callable[[Any], LossSum], batch: Any) -> LossSum:
        """function(batch), the same function at each call; plainly where it cannot be recorded."""
        shapes = tuple(None if tensor is None else tensor.shape for tensor in batch)
        if shapes in self.met and shapes not in self.recorded and self._may_record():
            self._record(function, batch, shapes)
        recording = self.recorded.get(shapes)
        if recording is None:
            loss = function(batch)
            self.met.add(shapes)  # not where memory ran out
            return loss
        for kept, given in zip(recording.batch, batch, strict=True):
            if kept is not None:
                kept.copy_(given)
        recording.graph.replay()
        return recording.loss

    def _may_record(self) -> bool:
        return not self.refused and len(self.recorded) < MOST_RECORDINGS

    def _record(self, function: Callable[[Any], LossSum], batch: Any, shapes: Shapes) -> None:
        """Adds a recording, unless the function does what cannot be recorded, such as wait for the device."""
        stream = torch.cuda.current_stream()
        graph = torch.cuda.CUDAGraph()
        try:
            kept = map_tensors(batch, torch.clone)
            with torch.cuda.graph(graph, pool=self.pool):
                loss = function(kept)
        except RuntimeError as error:  # its context is what went wrong, itself that recording ended badly
            self.refused = True
            torch.cuda.set_stream(stream)
            _renew_generator()
            cause = str(error.__context__ or error).split("\n")[0]
            log.info("steps are not recorded as CUDA graphs (%s)", cause)
            return
        self.recorded[shapes] = Recording(graph, kept, loss)


def _renew_generator() -> None:
    """Gives the GPU's generator a new state with its seed: a recording that failed leaves the old one believing that it
    goes on, and refusing to draw."""
    used = torch.cuda.default_generators[torch.cuda.current_device()]
    fresh = torch.Generator(used.device)
    fresh.manual_seed(used.initial_seed())
    used.graphsafe_set_state(fresh.graphsafe_get_state())
