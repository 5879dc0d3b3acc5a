"""Batches of a token budget, in few distinct shapes, in an order that is a function of (seed, epoch) alone."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from seq2seq.config import COUNTS, SIZES, check_numbers
from seq2seq.corpus import list_lengths
from seq2seq.distributed import World
from seq2seq.hardware import DECODING_STEP, to_device
from seq2seq.vocabulary import BOS_ID, EOS_ID, PAD_ID

if TYPE_CHECKING:
    from datasets import Dataset

Array = np.ndarray
Ids = Sequence[int]
Pair = tuple[Ids, Ids]
"""Token ids of source and target, without bos and eos."""


@dataclass(frozen=True)
class BatchingConfig:
    """How sentence pairs are grouped into batches."""

    max_tokens_per_batch: int = 2_000
    """Padded tokens per batch: rows times the longer of source and target length. Per process; accumulation multiplies
    it."""
    length_step: int = 4
    """Lengths are padded up to multiples of this, so that few shapes occur and kernels prepared for a shape are
    reused."""
    row_step: int = 8
    """Batch sizes are rounded down to multiples of this, for the same reason."""

    def __post_init__(self) -> None:
        check_numbers(self, "batching", max_tokens_per_batch=COUNTS, length_step=SIZES, row_step=SIZES)


class Batch(NamedTuple):
    """Padded token ids of B sentence pairs."""

    source: Tensor
    """[B, S] int64, PAD_ID after each row's end; or features [B, S, ...] float, 0 after it."""
    source_lengths: Tensor
    """[B] int64"""
    target_input: Tensor
    """[B, T] int64: bos, then the target."""
    target_output: Tensor
    """[B, T] int64: the target, then eos; PAD_ID after it."""

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device."""
        return Batch(*(to_device(tensor, device) for tensor in self))


class SequenceBatch(NamedTuple):
    """Padded sequences with what should be told of them, for models that have a head instead of a decoder."""

    inputs: Tensor
    """[B, S, ...] float features, 0 on padding; or [B, S] int64 ids."""
    lengths: Tensor
    """[B] int64"""
    targets: Tensor
    """What the objective compares with: [B] classes, [B, S] labels, [B, D] or [B, S, D] values, as `collate_sequences`
    pads them; for CTC [B, T] labels, PAD_ID after each row's end."""

    def to(self, device: torch.device) -> "SequenceBatch":
        """The batch on a device."""
        return SequenceBatch(*(to_device(tensor, device) for tensor in self))


AnyBatch = TypeVar("AnyBatch", Batch, SequenceBatch)


def halves(batch: AnyBatch) -> list[AnyBatch]:
    """The rows of a batch in two batches; one where there is one row."""
    return [type(batch)(*(tensor[rows] for tensor in batch)) for rows in half_rows(list(range(len(batch[0]))))]


def like_lengths(lengths: Mapping[int, int], most_rows: int, most_steps: int) -> Iterator[list[int]]:
    """Numbers of rows to decode together, given each one's length: like lengths, at most so many rows and padded steps.

    A batch of more than DECODING_STEP rows has a multiple of it: where there are too few, its last row comes again.
    """
    batch: list[int] = []
    for row in sorted(lengths, key=lengths.__getitem__):
        while batch and (len(batch) == most_rows or (len(batch) + 1) * lengths[row] > most_steps):
            whole = len(batch) // DECODING_STEP * DECODING_STEP or len(batch)
            yield batch[:whole]
            batch = batch[whole:]
        batch.append(row)
    if len(batch) > DECODING_STEP:
        batch += batch[-1:] * (-len(batch) % DECODING_STEP)
    if batch:
        yield batch


def half_rows(rows: list[int]) -> list[list[int]]:
    """Row numbers in two lists; one where there is one row."""
    middle = len(rows) // 2
    return [rows[:middle], rows[middle:]] if middle else [rows]


class Batches(Protocol):
    """What a trainer draws from: an endlessly repeatable sequence of batches per epoch, enterable at any point."""

    batches_per_epoch: int | None
    """Batches that this rank gets in an epoch; None where only reading tells (streams)."""

    def iterate(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """This rank's batches of an epoch, from the start-th on; each has a method `to(device)`."""


def pad(rows: Sequence[Ids], step: int = 1, extra: int = 0) -> tuple[Array, Array]:
    """Ragged ids -> ([B, L] int64 padded with PAD_ID, [B] lengths); L holds the longest + extra, rounded up to
    `step`."""
    lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
    width = round_up(max(1, int(lengths.max(initial=0)) + extra), step)
    padded = np.full((len(rows), width), PAD_ID, np.int64)
    if lengths.sum():
        padded[np.arange(width)[None, :] < lengths[:, None]] = np.concatenate(
            [np.asarray(row) for row in rows if len(row)]
        )
    return padded, lengths


def round_up(value: int, step: int) -> int:
    """The next multiple of step."""
    return -(-value // step) * step


def collate(pairs: Sequence[Pair], length_step: int = 1) -> Batch:
    """Pairs of ids -> Batch, with bos and eos added to the targets and eos to the sources."""
    source, source_lengths = pad([source for source, _ in pairs], length_step, extra=1)
    rows = np.arange(len(pairs))
    source[rows, source_lengths] = (
        EOS_ID  # tells the encoder where the sentence ends; gives empty sources one real step
    )
    target_output, target_lengths = pad([target for _, target in pairs], length_step, extra=1)
    target_input = np.full_like(target_output, BOS_ID)
    target_input[:, 1:] = target_output[:, :-1]
    target_output[rows, target_lengths] = EOS_ID
    arrays = (source, source_lengths + 1, target_input, target_output)
    return Batch(*(torch.from_numpy(array) for array in arrays))


def pad_features(rows: Sequence[Array], step: int = 1, padding: float = 0) -> tuple[Array, Array]:
    """Sequences [S_i, ...] of one element type -> ([B, S, ...] padded with `padding`, [B] lengths); S rounded up to
    `step`."""
    lengths = np.array([len(row) for row in rows], np.int64)
    width = round_up(max(1, int(lengths.max(initial=0))), step)
    padded = np.full((len(rows), width, *rows[0].shape[1:]), padding, rows[0].dtype)
    for place, row in zip(padded, rows, strict=True):
        place[: len(row)] = row
    return padded, lengths


def collate_to_decode(pairs: Sequence[Pair]) -> Batch:
    """`collate`, in few lengths."""
    return collate(pairs, decoding_length_step(max(len(ids) for pair in pairs for ids in pair)))


def decoding_length_step(longest: int) -> int:
    """What inputs to decode are padded to multiples of: the longer ones to larger multiples, so that few lengths
    occur."""
    return DECODING_STEP if longest < 8 * DECODING_STEP else 4 * DECODING_STEP


def collate_features(pairs: Sequence[tuple[Array, Ids]], length_step: int = 1) -> Batch:
    """Pairs of features [S_i, ...] float32 and target ids -> Batch: what feeds a decoder from something unwritten."""
    ids = collate([((), target) for _, target in pairs], length_step)
    source, lengths = pad_features([features for features, _ in pairs], length_step)
    return ids._replace(source=torch.from_numpy(source), source_lengths=torch.from_numpy(lengths))


def collate_sequences(examples: Sequence[tuple[Array, Array]], length_step: int = 1) -> SequenceBatch:
    """Pairs of inputs [S_i, ...] and targets ([T_i, ...], or a class as an array of no dimension) -> SequenceBatch.

    Labels are padded with PAD_ID, float values with NaN: not known.
    """
    inputs, lengths = pad_features([each for each, _ in examples], length_step)
    targets = [np.asarray(target) for _, target in examples]
    padding = PAD_ID if np.issubdtype(targets[0].dtype, np.integer) else math.nan
    joined = pad_features(targets, length_step, padding)[0] if targets[0].ndim else np.stack(targets)
    return SequenceBatch(torch.from_numpy(inputs), torch.from_numpy(lengths), torch.from_numpy(joined))


def cut_into_batches(source_lengths: Array, target_lengths: Array, config: BatchingConfig, order: Array) -> list[Array]:
    """Sorts examples by padded shape, ties in the given random order, and cuts them where the token budget is full.

    source_lengths, target_lengths: [n] tokens without bos and eos; order: a permutation of n. Returns index arrays. A
    pair longer than the budget gets a batch of its own.
    """
    step = config.length_step
    source, target = (-(-(lengths + 1) // step) * step for lengths in (source_lengths, target_lengths))
    width = np.maximum(source, target)
    order = order[np.lexsort((source[order], target[order], width[order]))]
    width = width[order]
    batches, start = [], 0
    while start < len(order):
        rows = _rows_that_fit(width[start : start + config.max_tokens_per_batch], config)
        batches.append(order[start : start + rows])
        start += rows
    return batches


def _rows_that_fit(widths: Array, config: BatchingConfig) -> int:
    """How many of the first rows one batch holds, at least one. widths [n] ascend, so the last row taken is the
    widest."""
    padded = widths * np.arange(1, len(widths) + 1)
    rows = int(np.searchsorted(padded, config.max_tokens_per_batch, side="right"))
    return max(1, rows - rows % config.row_step if rows > config.row_step else rows)


class _Buckets:
    """Batches by length over examples with random access."""

    def __init__(
        self, source_lengths: Array, target_lengths: Array, config: BatchingConfig, seed: int, world: World | None
    ) -> None:
        self.config, self.seed = config, seed
        self.world = world or World()
        self.source_lengths, self.target_lengths = source_lengths, target_lengths
        self.batches_per_epoch: int | None = len(self.plan(0)[0 :: self.world.size])

    def plan(self, epoch: int) -> list[Array]:
        """All ranks' batches of an epoch as arrays of row numbers, in order."""
        random = np.random.default_rng((self.seed, epoch))
        order = random.permutation(len(self.source_lengths))
        batches = cut_into_batches(self.source_lengths, self.target_lengths, self.config, order)
        shuffled = [batches[index] for index in random.permutation(len(batches))]
        size = self.world.size
        # Ranks step together: each needs as many batches. The few left over are others in the next epoch.
        return shuffled[: len(shuffled) - len(shuffled) % size] if len(shuffled) >= size else shuffled[:1] * size

    def iterate(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """This rank's batches of an epoch, from the start-th on."""
        for rows in self.plan(epoch)[self.world.rank :: self.world.size][start:]:
            yield self.load(rows)

    def load(self, rows: Array) -> Any:
        """Reads and pads these rows."""
        raise NotImplementedError


class BucketedBatches(_Buckets):
    """Batches over a tokenised dataset with random access (columns source_ids, target_ids), in memory or
    memory-mapped."""

    def __init__(self, dataset: "Dataset", config: BatchingConfig, seed: int, world: World | None = None) -> None:
        self.table = dataset.with_format("arrow")
        source_lengths, target_lengths = (list_lengths(dataset, side) for side in ("source_ids", "target_ids"))
        super().__init__(source_lengths, target_lengths, config, seed, world)

    def load(self, rows: Array) -> Batch:
        """Reads and pads these rows."""
        table = self.table[rows]
        sources, targets = (_ragged(table.column(name)) for name in ("source_ids", "target_ids"))
        return collate(list(zip(sources, targets, strict=True)), self.config.length_step)


class ExampleBatches(_Buckets):
    """Batches over examples in memory, of any kind.

    collate: makes a batch of some examples, given the step that lengths are padded to. lengths: each example's steps,
    of the longer side; the token budget counts them.
    """

    def __init__(
        self,
        examples: Sequence[Any],
        lengths: Sequence[int],
        collate: Callable[[Sequence[Any], int], Any],
        config: BatchingConfig,
        seed: int,
        world: World | None = None,
    ) -> None:
        self.examples, self.collate = examples, collate
        steps = np.array(lengths, np.int64)
        super().__init__(steps, steps, config, seed, world)

    def load(self, rows: Array) -> Any:
        """Collates these rows."""
        return self.collate([self.examples[row] for row in rows], self.config.length_step)


class Curriculum:
    """Another set of batches in each epoch, such as ever harder ones; the last one stays (Bengio et al. 2009)."""

    def __init__(self, stages: Sequence[Batches]) -> None:
        self.stages = stages
        self.batches_per_epoch = stages[-1].batches_per_epoch

    def iterate(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """This rank's batches of an epoch, from the start-th on."""
        return self.stages[min(epoch, len(self.stages) - 1)].iterate(epoch, start)


def _ragged(column: Any) -> list[Ids]:
    """An Arrow list column as sequences of ids, one per row."""
    array = column.combine_chunks()
    offsets = np.asarray(array.offsets)
    pieces: list[Any] = np.split(np.asarray(array.values)[offsets[0] : offsets[-1]], offsets[1:-1] - offsets[0])
    return pieces


class StreamedBatches:
    """Batches over a stream: pairs pass through a shuffle buffer, then pools of them are bucketed by length.

    examples: called with the epoch, gives that epoch's pairs in a fixed order. Entering an epoch in its middle reads
    it from its start again, which is exact whatever the source.
    """

    batches_per_epoch: int | None = None

    def __init__(
        self,
        examples: Callable[[int], Iterator[Pair]],
        config: BatchingConfig,
        shuffle_buffer_size: int,
        seed: int,
        world: World | None = None,
    ) -> None:
        self.examples, self.config, self.seed = examples, config, seed
        self.buffer_size = shuffle_buffer_size
        self.world = world or World()

    def iterate(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """This rank's batches of an epoch, from the start-th on; all ranks get equally many."""
        random = np.random.default_rng((self.seed, epoch))
        batches = self._batches(self.examples(epoch), random)
        groups = iter(lambda: list(islice(batches, self.world.size)), [])
        for group in islice(groups, start, None):
            if len(group) == self.world.size:
                yield collate(group[self.world.rank], self.config.length_step)

    def _batches(self, pairs: Iterator[Pair], random: np.random.Generator) -> Iterator[list[Pair]]:
        while pool := list(islice(pairs, self.buffer_size)):
            source, target = (np.array([len(pair[side]) for pair in pool], np.int64) for side in (0, 1))
            batches = cut_into_batches(source, target, self.config, random.permutation(len(pool)))
            for index in random.permutation(len(batches)):
                yield [pool[row] for row in batches[index]]
