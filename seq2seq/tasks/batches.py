"""The batches of a translation training: of one corpus or of several, prepared beforehand or streamed."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from typing import Any

from seq2seq.data.batch import Batches, Pair
from seq2seq.data.bucketing import BucketedBatches, StreamedBatches
from seq2seq.data.corpus import Corpus, joined, stream_tokenised, tokenise
from seq2seq.data.datasets_errors import quiet
from seq2seq.data.mixing import Mix, corpus_names, interleaved, shares
from seq2seq.data.subword_sampling import PairSampler, pair_sampler, resegmented
from seq2seq.data.units import AnyVocabulary
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.runtime.distributed import World
from seq2seq.tasks.configs import ExperimentConfig

log = logging.getLogger(__name__)


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
    rows = interleaved(streams, shares(weights, [], 1), config.trainer.seed, epoch=0)
    found = [row for _, row in zip(range(config.vocabulary.max_training_sentences), rows, strict=False)]
    return Dataset.from_list(found)


def training_batches(
    config: ExperimentConfig,
    parts: list[Any],
    source_vocabulary: AnyVocabulary,
    target_vocabulary: Vocabulary,
    world: World,
) -> Batches:
    """Batches over the training split of each corpus."""
    seed = config.trainer.seed
    sampler = pair_sampler(source_vocabulary, target_vocabulary, config.bpe_dropout, config.segmentation_alpha, seed)
    if config.streaming:
        pairs = functools.partial(_streamed, config, parts, source_vocabulary, target_vocabulary, sampler)
        return StreamedBatches(pairs, config.batching, config.shuffle_buffer_size, seed, world)
    tokenised = []
    for name, part in zip(_names(config), parts, strict=True):
        pairs_of_part, counts = tokenise(
            part, source_vocabulary, target_vocabulary, config.max_length, config.max_ratio
        )
        log.info("%s: %s", name, counts.describe())
        tokenised.append(pairs_of_part)
    if len(tokenised) == 1:
        return BucketedBatches(tokenised[0], config.batching, seed, world, sampler)
    from datasets import concatenate_datasets

    mix = mix_of(config, [len(part) for part in tokenised])
    log.info("an epoch: %s", _described(config, mix))
    with quiet():
        return BucketedBatches(concatenate_datasets(tokenised), config.batching, seed, world, sampler, mix.rows)


def _streamed(
    config: ExperimentConfig,
    parts: list[Any],
    source: AnyVocabulary,
    target: Vocabulary,
    sampler: PairSampler | None,
    epoch: int,
) -> Iterator[Pair]:
    """The pairs of an epoch as they come."""
    streams = [
        functools.partial(stream_tokenised, part, source, target, config, name)
        for name, part in zip(_names(config), parts, strict=True)
    ]
    if len(streams) == 1:
        return resegmented(streams[0](), sampler, epoch)
    weights = [each.weight for each in config.corpora()]
    mixed = interleaved(streams, shares(weights, [], 1), config.trainer.seed, epoch)
    return resegmented(mixed, sampler, epoch)


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
