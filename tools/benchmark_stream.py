#!/usr/bin/env python3
"""Measures streamed training data of generated pairs: preparation, memory, the first batch, and a resume.

    tools/benchmark_stream.py FOLDER [--pairs 2000000] [--shards 20] [--step 100000] [--processes 2]

Writes the pairs into a folder in FOLDER as compressed shards, unless they are there, and removes nothing. The resume is
that of a cursor: the batch that a run would go on with after so many steps of its first epoch, once read from the
epoch's start, as without a checkpoint's place in the stream, and once from that place. With several processes each
prepares its own files, as when they train together, and the tokens of all are counted by the time of the slowest.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from seq2seq.cli.arguments import Parser, number_within
from seq2seq.cli.exit_status import guarded
from seq2seq.config import COUNTS
from seq2seq.data.bucketing import BatchingConfig
from seq2seq.data.corpus import DataConfig, load_split
from seq2seq.data.streams import StreamedBatches, TokenisedStream
from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig, train_vocabularies
from seq2seq.errors import check
from seq2seq.runtime.atomic_files import replaced
from seq2seq.runtime.distributed import World

SYLLABLES = [first + vowel for first in "bdfgklmnprstvz" for vowel in "aeiou"]
WORDS = 5_000


def shard_names(shards: int) -> list[str]:
    """As the Hub calls the files of a split."""
    return [f"train-{number:05d}-of-{shards:05d}.jsonl.gz" for number in range(shards)]


def write_shards(folder: Path, pairs: int, shards: int) -> None:
    """Pairs of 3 to 15 generated words, the target each word backwards: a function of their number and the shards'."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(0)
    words = ["".join(draw.choices(SYLLABLES, k=draw.randint(1, 4))) for _ in range(WORDS)]
    for number, name in enumerate(shard_names(shards)):
        if (folder / name).exists():
            continue
        chance = random.Random(number)
        with replaced(folder / name) as part, gzip.open(part, "wt", compresslevel=1, encoding="utf-8") as file:
            for _ in range(pairs * number // shards, pairs * (number + 1) // shards):
                line = chance.choices(words, k=chance.randint(3, 15))
                pair = {"en": " ".join(line), "de": " ".join(word[::-1] for word in line)}
                file.write(json.dumps(pair) + "\n")


def resident() -> float:
    """MiB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def prepare(
    config: DataConfig, vocabulary: Vocabulary, world: World, every: int
) -> tuple[int, float, float, list[float]]:
    """Reads a process's share to its end: tokens of both sides, when it began and ended, and MiB at every so many
    pairs."""
    corpus = load_split(config, "train")
    began, tokens, memory = time.time(), 0, [resident()]
    for row, (source, target) in enumerate(TokenisedStream(corpus, vocabulary, vocabulary, config, world=world)):
        tokens += len(source) + len(target)
        if row % every == every // 2:
            memory.append(resident())
    return tokens, began, time.time(), memory[1:] or memory


def prepare_together(config: DataConfig, vocabulary: Vocabulary, processes: int, every: int) -> float:
    """Tokens a second of so many processes."""
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        worlds = [World(rank, processes) for rank in range(processes)]
        shares = [pool.submit(prepare, config, vocabulary, world, every) for world in worlds]
        counted = [share.result() for share in shares]
    tokens, begins, ends, _ = zip(*counted, strict=True)
    return sum(tokens) / (max(ends) - min(begins))


def measure(chosen: Any) -> dict[str, float]:
    """The figures, in seconds, MiB, and tokens of both sides a second."""
    began = time.perf_counter()
    config = DataConfig(str(chosen.folder), "en", "de", streaming=True)
    corpus = load_split(config, "train")
    vocabulary, _ = train_vocabularies(corpus, VocabularyConfig(size=8_000, max_training_sentences=20_000))
    pairs = functools.partial(TokenisedStream, corpus, vocabulary, vocabulary, config)
    batching = BatchingConfig(max_tokens_per_batch=chosen.tokens)
    batches = StreamedBatches(lambda _epoch: pairs(), batching, config.shuffle_buffer_size, 1)
    next(batches.iterate(0))
    figures = {"seconds to the first batch, vocabulary included": time.perf_counter() - began}

    every = max(2, chosen.pairs // 10)
    tokens, since, until, memory = prepare(config, vocabulary, World(), every)
    figures["tokens prepared a second"] = tokens / (until - since)
    if chosen.processes > 1:
        together = prepare_together(config, vocabulary, chosen.processes, every)
        figures[f"the same, by {chosen.processes} processes"] = together
    figures |= {"MiB after a twentieth": memory[0], "MiB at most": max(memory), "MiB near the end": memory[-1]}

    place: dict[str, Any] = {}
    for way in ("from the start", "from the place"):
        began = time.perf_counter()
        batches.restore(place)
        check(next(batches.iterate(0, chosen.step), None) is not None, "--step: the epoch has fewer batches")
        place = json.loads(json.dumps(batches.state()))
        figures[f"seconds to batch {chosen.step:,}, {way}"] = time.perf_counter() - began
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 2 where the input is at fault."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    number = number_within(COUNTS)
    parser.add_argument("folder", type=Path, help="where the shards' folder lies, or is written")
    parser.add_argument("--pairs", type=number, default=2_000_000, help="in all (default: 2000000)")
    parser.add_argument("--shards", type=number, default=20, help="files (default: 20)")
    parser.add_argument("--step", type=number, default=100_000, help="batch to resume at (default: 100000)")
    parser.add_argument("--processes", type=number, default=1, help="that prepare together, besides one (default: 1)")
    parser.add_argument("--tokens", type=number, default=200, help="padded tokens a batch (default: 200)")

    def work() -> None:
        chosen = parser.parse_args(arguments)
        chosen.folder /= f"{chosen.pairs}-pairs-{chosen.shards}-shards"
        write_shards(chosen.folder, chosen.pairs, chosen.shards)
        for name, figure in measure(chosen).items():
            print(f"{name:<50}{figure:>12,.1f}")

    return guarded("benchmark_stream.py", work)


if __name__ == "__main__":
    sys.exit(main())
