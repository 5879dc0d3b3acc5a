"""The batches of a translation training: of one corpus or of several, prepared beforehand or streamed."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from seq2seq.data.batch import Pair
from seq2seq.data.bucketing import AUTO, BatchingConfig, BucketedBatches
from seq2seq.data.corpus import Corpus, as_list, joined, tokenise
from seq2seq.data.datasets_errors import quiet, reading_errors
from seq2seq.data.in_memory import InMemory
from seq2seq.data.loading import list_lengths
from seq2seq.data.mixing import Interleaved, Mix, corpus_names, shares
from seq2seq.data.streams import StreamedBatches, TokenisedStream
from seq2seq.data.subword_sampling import PairSampler, pair_sampler, resegmented
from seq2seq.data.units import AnyVocabulary
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.runtime.distributed import World
from seq2seq.tasks.configs import ExperimentConfig

log = logging.getLogger(__name__)

Budget = Callable[[int, int], int]
"""Tokens of the longest sequence, and of an epoch, to padded tokens per batch."""
STREAMED_LENGTH = 128
"""Tokens that the longest pair of a stream is taken to have where no limit is set."""


def mix_of(config: ExperimentConfig, sizes: list[int]) -> Mix:
    """What an epoch is made of, of corpora of these sizes."""
    weights = [each.weight for each in config.corpora()]
    return Mix(shares(weights, sizes, config.mixing_temperature), sizes, config.trainer.seed)


def drawn_together(config: ExperimentConfig, parts: list[Any]) -> Corpus:
    """The pairs that a vocabulary is learned from: what the first epoch draws from the corpora, before any pair is
    dropped."""
    if len(parts) == 1:
        return parts[0]
    if not config.streaming:
        return joined(parts).select(mix_of(config, [len(part) for part in parts]).rows(0))
    from datasets import Dataset

    streams = [functools.partial(iter, part) for part in parts]
    weights = [each.weight for each in config.corpora()]
    rows = Interleaved(streams, shares(weights, [], 1), config.trainer.seed, epoch=0)
    drawn = islice(rows, config.vocabulary.max_training_sentences)
    with quiet(), reading_errors("training data"):
        return Dataset.from_list([{**row, "target": as_list(row["target"])} for row in drawn])


def training_batches(
    config: ExperimentConfig,
    parts: list[Any],
    source_vocabulary: AnyVocabulary,
    target_vocabulary: Vocabulary,
    world: World,
    budget: Budget,
) -> BucketedBatches | StreamedBatches:
    """Batches over the training split of each corpus. budget: finds their tokens where the configuration has none."""
    seed = config.trainer.seed
    sampler = pair_sampler(source_vocabulary, target_vocabulary, config.bpe_dropout, config.segmentation_alpha, seed)
    if config.streaming:
        pairs = functools.partial(_streamed, config, parts, source_vocabulary, target_vocabulary, sampler, world)
        longest = config.max_length or STREAMED_LENGTH
        batching = _with_budget(config.batching, budget, longest, 10**12)
        return StreamedBatches(pairs, batching, config.shuffle_buffer_size, seed, world)
    tokenised = []
    for name, part in zip(_names(config), parts, strict=True):
        pairs_of_part, counts = tokenise(
            part, source_vocabulary, target_vocabulary, config.max_length, config.max_ratio, world
        )
        log.info("%s: %s", name, counts.describe())
        tokenised.append(pairs_of_part)
    if len(tokenised) == 1:
        batching = _fitting(config.batching, tokenised[0], budget)
        return BucketedBatches(tokenised[0], batching, seed, world, sampler)
    from datasets import concatenate_datasets

    mix = mix_of(config, [len(part) for part in tokenised])
    log.info("an epoch: %s", _described(config, mix))
    with quiet():
        together = concatenate_datasets(tokenised)
    batching = _fitting(config.batching, together, budget)
    return BucketedBatches(together, batching, seed, world, sampler, mix.rows)


def _fitting(batching: BatchingConfig, tokenised: Any, budget: Budget) -> BatchingConfig:
    """The configuration with a number of tokens, found for these pairs where it has none."""
    if batching.max_tokens_per_batch != AUTO:
        return batching
    lengths = np.maximum(*(list_lengths(tokenised, side) for side in ("source_ids", "target_ids")))
    return _with_budget(batching, budget, int(lengths.max()), int(lengths.sum()))


def _with_budget(batching: BatchingConfig, budget: Budget, longest: int, tokens: int) -> BatchingConfig:
    if batching.max_tokens_per_batch != AUTO:
        return batching
    return replace(batching, max_tokens_per_batch=budget(longest, tokens))


def _streamed(
    config: ExperimentConfig,
    parts: list[Any],
    source: AnyVocabulary,
    target: Vocabulary,
    sampler: PairSampler | None,
    world: World,
    epoch: int,
) -> Iterator[Pair]:
    """This rank's pairs of an epoch as they come."""
    told: set[str] = set()
    seed, by_files = config.trainer.seed, [not isinstance(each.path, InMemory) for each in config.corpora()]
    streams = [
        functools.partial(
            TokenisedStream, part, source, target, config, name, files, seed, epoch, world, len(parts) > 1, told
        )
        for name, part, files in zip(_names(config), parts, by_files, strict=True)
    ]
    if len(streams) == 1:
        return resegmented(streams[0](), sampler, epoch, world.rank, world.size)
    weights = [each.weight for each in config.corpora()]
    mixed = Interleaved(streams, shares(weights, [], 1), config.trainer.seed, epoch)
    return resegmented(mixed, sampler, epoch, world.rank, world.size)


def _names(config: ExperimentConfig) -> list[str]:
    """What the training data of each corpus is called in the log."""
    corpora = config.corpora()
    return [f"training data {name}" for name in corpus_names(corpora)] if len(corpora) > 1 else ["training data"]


def _described(config: ExperimentConfig, mix: Mix) -> str:
    names, total = corpus_names(config.corpora()), sum(mix.sizes)
    return ", ".join(
        f"{count:,} pairs ({100 * count / total:.1f} %) of {name}"
        for name, count in zip(names, mix.counts, strict=True)
    )
