"""Windows of one long text as batches of one shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from seq2seq.data.batch import SequenceBatch
from seq2seq.data.language_units import preceding
from seq2seq.runtime.distributed import World

Array = np.ndarray


class TextWindows:
    """Batches of windows of a text, its ids as targets and those before them as inputs. Each epoch cuts it at other
    places and shuffles the windows; what the cut leaves at its ends, less than two windows, and what fills no batch
    wait for another epoch. The order is a function of (seed, epoch) alone."""

    def __init__(self, ids: Sequence[int], window: int, tokens: int, seed: int, world: World | None = None) -> None:
        """window: tokens of a window. tokens: the most of a batch, one window at least."""
        self.inputs, self.targets = np.array(preceding(ids), np.int64), np.array(ids, np.int64)
        self.window, self.seed, self.world = min(window, len(ids)), seed, world or World()
        self.windows = max(1, len(ids) // self.window - 1)
        self.rows = min(max(1, tokens // self.window), max(1, self.windows // self.world.size))
        self.batches_per_epoch: int | None = max(1, self.windows // (self.rows * self.world.size))

    def iterate(self, epoch: int, start: int = 0) -> Iterator[SequenceBatch]:
        """This rank's batches of an epoch, from the start-th on."""
        random = np.random.default_rng((self.seed, epoch))
        offset = int(random.integers(len(self.targets) - self.windows * self.window + 1))
        begins = offset + self.window * random.permutation(self.windows)
        assert self.batches_per_epoch is not None
        for batch in range(start, self.batches_per_epoch):
            place = batch * self.world.size + self.world.rank
            chosen = np.take(begins, np.arange(place * self.rows, (place + 1) * self.rows), mode="wrap")
            yield self._load(chosen)

    def _load(self, begins: Array) -> SequenceBatch:
        """Windows that begin there: [B, T] each."""
        places = begins[:, None] + np.arange(self.window)
        inputs, targets = (torch.from_numpy(each[places]) for each in (self.inputs, self.targets))
        return SequenceBatch(inputs, torch.full((len(begins),), self.window), targets)
