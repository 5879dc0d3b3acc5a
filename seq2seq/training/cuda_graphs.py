"""CUDA graphs: the kernels of a training step recorded once for each shape of batch, and launched together afterwards.

A recurrent model of usual size gives a GPU hundreds of small kernels a step, and the GPU waits for the host to launch
them. Written after torch's notes on CUDA graphs; it has not been run on a GPU yet (tests marked gpu compare it with the
plain step).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from seq2seq.data.batch import map_tensors
from seq2seq.errors import UserError
from seq2seq.model.losses import LossSum

Shapes = tuple[torch.Size | None, ...]

MOST_RECORDINGS = 128
"""Shapes met after so many run as they are: a graph takes some 10 kB on the GPU for each of its kernels."""


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

    def run(self, function: Callable[[Any], LossSum], batch: Any) -> LossSum:
        """function(batch), the same function at each call. Raises UserError where it cannot be recorded."""
        shapes = tuple(None if tensor is None else tensor.shape for tensor in batch)
        if shapes not in self.recorded:
            if shapes not in self.met or len(self.recorded) == MOST_RECORDINGS:
                loss = function(batch)
                self.met.add(shapes)  # not where memory ran out
                return loss
            self.recorded[shapes] = self._record(function, batch)
        recording = self.recorded[shapes]
        for kept, given in zip(recording.batch, batch, strict=True):
            if kept is not None:
                kept.copy_(given)
        recording.graph.replay()
        return recording.loss

    def _record(self, function: Callable[[Any], LossSum], batch: Any) -> Recording:
        kept = map_tensors(batch, torch.clone)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self.pool):
                loss = function(kept)
        except RuntimeError as error:  # its context is what went wrong, itself that recording ended badly
            cause = error.__context__ or error
            raise UserError(f"trainer.cuda_graphs: this step cannot be recorded ({cause}); set it to false") from None
        return Recording(graph, kept, loss)
