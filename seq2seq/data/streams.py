"""Training data that is read while training: by each rank its own files, in an order drawn for each epoch."""

import functools
import logging
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from seq2seq.data.batch import Batch, Pair, collate
from seq2seq.data.bucketing import BatchingConfig, cut_into_batches
from seq2seq.data.corpus import KEPT, DataConfig, FilterCounts, encode_pairs, verdicts_of
from seq2seq.data.datasets_errors import read_batches
from seq2seq.data.loading import Corpus
from seq2seq.data.resumable import Resumable
from seq2seq.data.units import AnyVocabulary
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.errors import UserError, check
from seq2seq.runtime.distributed import World

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 256
"""Rows that a rank tokenises together."""
NAMED = re.compile(r", line [0-9]+: |: cannot read: ")
"""Of an error that names its file."""
OLDER = (
    "this checkpoint was written by a version that read streams in another way: some pairs of the current epoch come "
    "twice, or not at all"
)
FILES = 2
"""Keeps the draws of the files' order apart from other draws by seed and epoch."""


class TokenisedStream:
    """Encodes pairs as they come: an iterator of (source ids, target ids) of those within the limits of ``config``.

    The files (shards) of a corpus come in an order that is a function of seed and epoch. Of N ranks each reads every
    N-th file of that order. Files left over (of a corpus of one file, that one) are read by all ranks, and each encodes
    every N-th row. Logs at the end how many pairs that were, and how many were dropped.

    It can go on where it stood: `datasets` opens the file that was being read, and passes over its rows before.
    """

    def __init__(
        self,
        dataset: Corpus,
        source_vocabulary: AnyVocabulary,
        target_vocabulary: Vocabulary,
        config: DataConfig,
        name: str = "training data",
        by_files: bool = True,
        seed: int = 0,
        epoch: int = 0,
        world: World | None = None,
        never_empty: bool = False,
        told: set[str] | None = None,
    ) -> None:
        """name: of the corpus, for messages. by_files: false reads rows as they come, all ranks the same ones; what a
        program gave may have been cut, and its files hold more. never_empty: a rank whose share has no pair reads all,
        as others of a mix do that end early. told: names of corpora whose end the log has already; of a mix a small one
        ends often."""
        self.dataset = dataset.to_iterable_dataset() if hasattr(dataset, "to_iterable_dataset") else dataset
        self.source_vocabulary, self.target_vocabulary = source_vocabulary, target_vocabulary
        self.config, self.name, self.world = config, name, world or World()
        self.never_empty = never_empty
        self.told = set[str]() if told is None else told
        self.file_count = self.dataset.num_shards if by_files else 1
        self.files = np.random.default_rng((seed, epoch, FILES)).permutation(self.file_count)
        self.place: dict[str, Any] = {"file": 0, "rows": {}, "counts": [0, 0, 0, 0], "taken": 0, "all": False}
        """Which of its files this rank reads, where the newest batch of rows begins there, what was counted before it,
        pairs taken from it, and whether it reads the others' share, too."""
        self.place["files"] = self.file_count
        self.pairs = self._read()

    def __iter__(self) -> Iterator[tuple[list[int], list[int]]]:
        return self

    def __next__(self) -> tuple[list[int], list[int]]:
        return next(self.pairs)

    def state(self) -> dict[str, Any]:
        """Where it stands, in values that JSON holds."""
        return dict(self.place)

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from there; nothing was read yet. Raises UserError where the corpus had another number of files."""
        files, before = self.file_count, state.get("files", self.file_count)
        check(
            before == files,
            f"{self.name}: {files:,} files are there, but there were {before:,} when the run was interrupted; give it "
            "those of before, or train another run from this one's model (start_from)",
        )
        self.place = dict(state)
        if "files" not in state:  # and rows were read by another reader: how many of them came is not known
            log.warning(OLDER)
            self.place |= {"rows": {}, "taken": 0, "files": files}

    def _read(self) -> Iterator[tuple[list[int], list[int]]]:
        taken = self.place["taken"]
        for batch in self._batches():
            source_ids, target_ids = encode_pairs(batch, self.source_vocabulary, self.target_vocabulary)
            source_lengths, target_lengths = (
                np.array([len(ids) for ids in side], dtype=np.int64) for side in (source_ids, target_ids)
            )
            verdicts = verdicts_of(source_lengths, target_lengths, self.config.max_length, self.config.max_ratio)
            counts = np.array(self.place["counts"]) + np.bincount(verdicts, minlength=4)
            for position in np.flatnonzero(verdicts == KEPT)[taken:]:
                self.place["taken"] += 1
                yield source_ids[position], target_ids[position]
            taken = 0
            self.place = {**self.place, "counts": counts.tolist(), "taken": 0}
        kept, *_ = self.place["counts"]
        if self.never_empty and not kept and self.world.size > 1 and not self.place["all"]:
            self.place = {**self.place, "file": 0, "counts": [0, 0, 0, 0], "all": True}
            yield from self._read()
            return
        if self.name in self.told:
            return
        self.told.add(self.name)
        whole = self.world.size == 1 or self.place["all"]
        part = "" if whole else f" ({self.world.size} processes; of the first one's share)"
        log.info("%s, read to its end%s: %s", self.name, part, FilterCounts(*self.place["counts"]).describe())

    def _batches(self) -> Iterator[dict[str, list[Any]]]:
        """This rank's rows from its place on, which each batch leaves behind it when the next one is asked for."""
        rank, size = (0, 1) if self.place["all"] else (self.world.rank, self.world.size)
        whole = self.file_count - self.file_count % size
        own = [*self.files[rank:whole:size], *self.files[whole:]]
        for position in range(self.place["file"], len(own)):
            first, step = (0, 1) if position < whole // size else (rank, size)
            several = self.file_count > 1
            dataset = self.dataset.shard(self.file_count, int(own[position])) if several else self.dataset
            dataset.load_state_dict(self.place["rows"])  # none: the first row, wherever another stream of it began
            try:
                for batch in read_batches(dataset, ROWS_AT_ONCE * step, self.name):
                    yield {name: column[first::step] for name, column in batch.items()}
                    self.place["rows"] = dataset.state_dict()
            except UserError as error:
                raise self._named(error, int(own[position])) from error.__cause__
            self.place = {**self.place, "file": position + 1, "rows": {}}

    def _named(self, error: UserError, file: int) -> UserError:
        """The error of a row, whose number is counted in its file, which readers of our own name."""
        if self.file_count == 1 or NAMED.search(str(error)):
            return error
        return UserError(f"{error} (the row of file {file + 1} of {self.file_count})")


def _first(pairs: Iterator[Pair], count: int) -> list[Pair]:
    """So many pairs, or those that are left."""
    return list(islice(pairs, count))


class StreamedBatches:
    """Batches over a stream: pairs pass through a shuffle buffer, then pools of them are bucketed by length. Of N ranks
    each reads and encodes an N-th of a pool, and gets the others' from them.

    examples: called with the epoch, gives this rank's pairs of that epoch in a fixed order. Entering an epoch in its
    middle goes on from the pool that was restored; else it reads the epoch from its start again, which is exact
    whatever the source.
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
        self.world = world or World()
        self.buffer_size = shuffle_buffer_size
        self.pool: dict[str, Any] = {}
        """Where the newest pool begins, of this rank's pairs; empty where that is not known."""

    def state(self) -> dict[str, Any]:
        """Where the pool that batches are taken from begins, of each rank; all call this together."""
        return {"ranks": self.world.gather(lambda: self.pool)}

    def restore(self, state: dict[str, Any]) -> None:
        """Reads from that pool on, where the same epoch is entered behind its begin. Where another number of ranks left
        it, the epoch is read from its start."""
        if state and "ranks" not in state:
            log.warning(OLDER)
        pools = state.get("ranks", [])
        self.pool = pools[self.world.rank] if len(pools) == self.world.size else {}

    def iterate(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """This rank's batches of an epoch, from the start-th on. All ranks iterate together, and get equally many."""
        random, pairs = np.random.default_rng((self.seed, epoch)), self.examples(epoch)
        size, passed, giving = self.world.size, 0, self.world.size
        pool = self.pool
        if isinstance(pairs, Resumable) and pool.get("epoch") == epoch and pool["batches"] <= start * size:
            passed, giving, random.bit_generator.state = pool["batches"], pool.get("giving", size), pool["random"]
            pairs.restore(pool["pairs"])
        batches = islice(self._batches(pairs, random, epoch, passed, giving), start * size - passed, None)
        for group in iter(lambda: list(islice(batches, size)), []):
            if len(group) == size:
                yield collate(group[self.world.rank], self.config.length_step)

    def _batches(
        self, pairs: Iterator[Pair], random: np.random.Generator, epoch: int, passed: int, giving: int
    ) -> Iterator[list[Pair]]:
        """Batches of all ranks, of which so many came before. giving: ranks that had pairs left, by the last pool."""
        while True:
            if isinstance(pairs, Resumable):
                self.pool = {"epoch": epoch, "batches": passed, "giving": giving, "random": random.bit_generator.state}
                self.pool["pairs"] = pairs.state()
            share = -(-self.buffer_size // giving)
            shares = self.world.gather(functools.partial(_first, pairs, share))
            giving = max(1, sum(len(each) == share for each in shares))
            if not (pool := [pair for share in shares for pair in share]):
                return
            source, target = (np.array([len(pair[side]) for pair in pool], np.int64) for side in (0, 1))
            batches = cut_into_batches(source, target, self.config, random.permutation(len(pool)))
            passed += len(batches)
            for index in random.permutation(len(batches)):
                yield [pool[row] for row in batches[index]]
