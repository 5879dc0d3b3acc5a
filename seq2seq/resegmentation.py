"""Subword regularisation: training text cut into subwords anew each time it is read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from seq2seq.batching import Batch, Batches, collate
from seq2seq.vocabulary import Vocabulary


class ResegmentedBatches:
    """Batches of the same sentences, each cut into subwords by chance: by the model's probabilities where it is a
    unigram model (Kudo 2018), by skipped merges where it is BPE (Provilkov et al. 2020).

    A function of (seed, epoch, number of the batch), like the batches themselves. Rarer cuts are longer, so a batch has
    more tokens than its budget.
    """

    def __init__(
        self, batches: Batches, source: Vocabulary, target: Vocabulary, alpha: float, seed: int, length_step: int
    ) -> None:
        self.batches, self.source, self.target = batches, source, target
        self.alpha, self.seed, self.length_step = alpha, seed, length_step
        self.batches_per_epoch = batches.batches_per_epoch

    def iterate(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """This rank's batches of an epoch, from the start-th on."""
        for number, batch in enumerate(self.batches.iterate(epoch, start), start):
            seeds = np.random.SeedSequence((self.seed, epoch, number)).generate_state(2)
            source = self._cut(self.source, batch.source, int(seeds[0]))
            target = self._cut(self.target, batch.target_output, int(seeds[1]))
            yield collate(list(zip(source, target, strict=True)), self.length_step)

    def _cut(self, vocabulary: Vocabulary, ids: Tensor, seed: int) -> list[list[int]]:
        """[B, T] padded ids -> other ids of the same sentences."""
        return vocabulary.encode_batch(vocabulary.decode_batch(ids.tolist()), self.alpha, seed)
