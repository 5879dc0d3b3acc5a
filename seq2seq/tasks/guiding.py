"""The objective of guided alignment, with alignments learned from the training data."""

from __future__ import annotations

import logging

import torch

from seq2seq.data.bucketing import BucketedBatches
from seq2seq.data.lexical_table import lexical_probabilities, pairs_to_learn_from
from seq2seq.runtime.distributed import World
from seq2seq.tasks.base import Objective
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.training.guided_alignment import TranslationTable, guided_alignment

log = logging.getLogger(__name__)


def guided(config: ExperimentConfig, batches: BucketedBatches, target_size: int, world: World) -> Objective:
    """`guided_alignment` by what IBM Model 1 makes of the training pairs, when the first loss is computed, by all ranks
    together. target_size: of the target's vocabulary."""

    def learned() -> TranslationTable:
        log.info("guided alignment: learning which tokens translate which")
        found = lexical_probabilities(pairs_to_learn_from(batches.pairs()))
        sources, targets, probabilities = map(torch.from_numpy, found)
        return TranslationTable.of(sources, targets, probabilities, target_size)

    def learn() -> TranslationTable:
        table = world.broadcast_object(learned() if world.is_main else None)
        assert table is not None
        return table

    return guided_alignment(config.guided_alignment, learn, config.label_smoothing)
