"""Batches of a token budget, in few distinct shapes, in an order that is a function of (seed, epoch) alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from seq2seq.config import COUNTS, SIZES, check_fields, check_numbers
from seq2seq.data.batch import Batch, Batches, Ids, Pair, collate
from seq2seq.data.loading import list_lengths
from seq2seq.errors import UserError
from seq2seq.runtime.distributed import World

if TYPE_CHECKING:
    from datasets import Dataset

Array = np.ndarray
Resegment = Callable[[Pair, int, int], Pair]
"""A pair, the epoch and its row to the same pair in other ids."""
Draw = Callable[[int], Array]
"""An epoch to the row numbers that it is made of: some several times, some not at all."""


PAIRS_AT_ONCE = 1_000
"""Rows that are read together where all are."""
AUTO = "auto"
"""Instead of a number of tokens: as many as fit, see tasks/budget.py."""


@dataclass(frozen=True)
class BatchingConfig:
    """How sentence pairs are grouped into batches."""

    max_tokens_per_batch: int | Literal["auto"] = 2_000
    """Padded tokens per batch: rows times the longer of source and target length. Per process; accumulation multiplies
    it. auto, of text to text: the most that fit the device, tried out when training begins, and recorded."""
    length_step: int = 4
    """Lengths are padded up to multiples of this, so that few shapes occur and kernels prepared for a shape are
    reused."""
    row_step: int = 8
    """Batch sizes are rounded down to multiples of this, for the same reason."""

    def __post_init__(self) -> None:
        check_fields(self, "batching")
        if self.max_tokens_per_batch != AUTO:
            check_numbers(self, "batching", max_tokens_per_batch=COUNTS)
        check_numbers(self, "batching", length_step=SIZES, row_step=SIZES)

    @property
    def tokens(self) -> int:
        """Padded tokens per batch. Raises UserError where they have still to be found."""
        if self.max_tokens_per_batch == AUTO:
            raise UserError("batching.max_tokens_per_batch auto is for text to text; give a number")
        return int(self.max_tokens_per_batch)


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
        rows = _rows_that_fit(width[start : start + config.tokens], config)
        batches.append(order[start : start + rows])
        start += rows
    return batches


def _rows_that_fit(widths: Array, config: BatchingConfig) -> int:
    """How many of the first rows one batch holds, at least one. widths [n] ascend, so the last row taken is the
    widest."""
    padded = widths * np.arange(1, len(widths) + 1)
    rows = int(np.searchsorted(padded, config.tokens, side="right"))
    return max(1, rows - rows % config.row_step if rows > config.row_step else rows)


class _Buckets:
    """Batches by length over examples with random access."""

    def __init__(
        self,
        source_lengths: Array,
        target_lengths: Array,
        config: BatchingConfig,
        seed: int,
        world: World | None,
        draw: Draw | None = None,
    ) -> None:
        self.config, self.seed = config, seed
        self.draw = draw or (lambda _epoch: np.arange(len(source_lengths)))
        self.world = world or World()
        self.source_lengths, self.target_lengths = source_lengths, target_lengths
        self.batches_per_epoch: int | None = len(self.plan(0)[0 :: self.world.size])

    def plan(self, epoch: int) -> list[Array]:
        """All ranks' batches of an epoch as arrays of row numbers, in order."""
        random, rows = np.random.default_rng((self.seed, epoch)), self.draw(epoch)
        lengths = self.source_lengths[rows], self.target_lengths[rows]
        batches = cut_into_batches(*lengths, self.config, random.permutation(len(rows)))
        shuffled = [rows[batches[index]] for index in random.permutation(len(batches))]
        size = self.world.size
        # Ranks step together: each needs as many batches. The few left over are others in the next epoch.
        return shuffled[: len(shuffled) - len(shuffled) % size] if len(shuffled) >= size else shuffled[:1] * size

    def iterate(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """This rank's batches of an epoch, from the start-th on."""
        for rows in self.plan(epoch)[self.world.rank :: self.world.size][start:]:
            yield self.load(rows, epoch)

    def load(self, rows: Array, epoch: int) -> Any:
        """Reads and pads these rows."""
        raise NotImplementedError


class BucketedBatches(_Buckets):
    """Batches over a tokenised dataset with random access (columns source_ids, target_ids), in memory or
    memory-mapped.

    resegment: gives other ids for a pair, as a function of epoch and row. Batches stay those of the pairs' own lengths:
    the order of an epoch and the number of batches do not depend on what is drawn, the token budget may be exceeded.
    draw: gives the rows of an epoch; all, once each, where there is none. Epochs of other rows may have a few batches
    more or less than the first one, which batches_per_epoch counts.
    """

    def __init__(
        self,
        dataset: "Dataset",
        config: BatchingConfig,
        seed: int,
        world: World | None = None,
        resegment: Resegment | None = None,
        draw: Draw | None = None,
    ) -> None:
        self.resegment = resegment
        self.table = dataset.with_format("arrow")
        source_lengths, target_lengths = (list_lengths(dataset, side) for side in ("source_ids", "target_ids"))
        super().__init__(source_lengths, target_lengths, config, seed, world, draw)

    def load(self, rows: Array, epoch: int) -> Batch:
        """Reads and pads these rows."""
        pairs = self._read(rows)
        if self.resegment is not None:
            pairs = [self.resegment(pair, epoch, int(row)) for pair, row in zip(pairs, rows, strict=True)]
        return collate(pairs, self.config.length_step)

    def pairs(self) -> Iterator[Pair]:
        """All pairs of the dataset, once each, as they are stored."""
        for start in range(0, len(self.source_lengths), PAIRS_AT_ONCE):
            yield from self._read(np.arange(start, min(start + PAIRS_AT_ONCE, len(self.source_lengths))))

    def _read(self, rows: Array) -> list[Pair]:
        table = self.table[rows]
        sources, targets = (_ragged(table.column(name)) for name in ("source_ids", "target_ids"))
        return list(zip(sources, targets, strict=True))


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

    def load(self, rows: Array, _epoch: int) -> Any:
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
    """An Arrow list column as sequences of ids, one per row; of rows of ids where it holds fixed-size lists."""
    array = column.combine_chunks()
    offsets, inner = np.asarray(array.offsets), array.values
    width = getattr(inner.type, "list_size", 0)
    values = np.asarray(inner.flatten()).reshape(-1, width) if width else np.asarray(inner)
    pieces: list[Any] = np.split(values[offsets[0] : offsets[-1]], offsets[1:-1] - offsets[0])
    return pieces
