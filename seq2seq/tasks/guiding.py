"""The objective of guided alignment, with alignments learned from the training data."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import torch

from seq2seq.data.batch import Batches, Pair
from seq2seq.data.lexical_table import lexical_probabilities, pairs_to_learn_from
from seq2seq.data.symbols import EOS_ID
from seq2seq.runtime.distributed import World
from seq2seq.tasks.base import Objective
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.training.guided_alignment import TranslationTable, guided_alignment

log = logging.getLogger(__name__)


def guided(config: ExperimentConfig, batches: Batches, target_size: int, world: World) -> Objective:
    """`guided_alignment` by what IBM Model 1 makes of the first rank's share of the first epoch. target_size: of the
    target's vocabulary."""
    log.info("guided alignment: learning which tokens translate which")

    def learned() -> TranslationTable:
        found = lexical_probabilities(pairs_to_learn_from(_pairs(batches)))
        sources, targets, probabilities = map(torch.from_numpy, found)
        return TranslationTable.of(sources, targets, probabilities, target_size)

    table = world.broadcast_object(learned() if world.is_main else None)
    assert table is not None
    return guided_alignment(config.guided_alignment, table, config.label_smoothing)


def _pairs(batches: Batches) -> Iterator[Pair]:
    for batch in batches.iterate(0):
        for source, target in zip(batch.source.tolist(), batch.target_output.tolist(), strict=True):
            yield source[: source.index(EOS_ID)], target[: target.index(EOS_ID)]
