"""CUDA graphs: the kernels of a function recorded once for each shape of its inputs, and launched together afterwards.

A recurrent model of usual size gives a GPU hundreds of small kernels a step, and the GPU waits for the host to launch
them. Written after torch's notes on CUDA graphs; it has not been run on a GPU yet (tests marked gpu compare it with the
plain step).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import torch

from seq2seq.batching import Batch
from seq2seq.config import UserError

Output = TypeVar("Output")
Shapes = tuple[torch.Size, ...]

MOST_RECORDINGS = 512
"""Each holds its inputs, its outputs and the graph itself; shapes met after so many run as they are."""


class Recording(NamedTuple, Generic[Output]):
    """A graph, and the tensors it reads and writes."""

    graph: torch.cuda.CUDAGraph
    batch: Batch
    output: Output


class Graphed(Generic[Output]):
    """A function of a batch on a GPU. The first batch of some shape runs as it is, so that libraries set themselves up;
    the second is recorded, and it and later ones are replayed.

    The function may not wait for the device, nor bring data to it, and all else that it reads and writes (weights,
    gradients) must stay at its address. Dropout draws the same numbers as without a graph. What a call returns holds
    until the next one. Raises UserError where the function cannot be recorded.
    """

    def __init__(self, function: Callable[[Batch], Output]) -> None:
        self.function = function
        self.met: set[Shapes] = set()
        self.recordings: dict[Shapes, Recording[Output]] = {}
        self.pool = torch.cuda.graph_pool_handle()  # one for all: they run one after the other

    def __call__(self, batch: Batch) -> Output:
        """function(batch)."""
        shapes = tuple(tensor.shape for tensor in batch)
        if shapes not in self.recordings:
            if shapes not in self.met or len(self.recordings) == MOST_RECORDINGS:
                self.met.add(shapes)
                return self.function(batch)
            self.recordings[shapes] = self._record(batch)
        recording = self.recordings[shapes]
        for kept, given in zip(recording.batch, batch, strict=True):
            kept.copy_(given)
        recording.graph.replay()
        return recording.output

    def _record(self, batch: Batch) -> Recording[Output]:
        kept = Batch(*(tensor.clone() for tensor in batch))
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self.pool):
                output = self.function(kept)
        except RuntimeError as error:
            raise UserError(f"trainer.cuda_graphs cannot record this model's step ({error}); set it to false") from None
        return Recording(graph, kept, output)
