"""Streams go on where they stood, without the files before that place."""

import gzip
import json
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from seq2seq.data.batch import Batch, Pair
from seq2seq.data.bucketing import BatchingConfig, StreamedBatches
from seq2seq.data.corpus import DataConfig, TokenisedStream, load_split
from seq2seq.data.mixing import Interleaved
from seq2seq.data.subword_sampling import pair_sampler, resegmented
from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig
from seq2seq.runtime.distributed import World
from tests.conftest import WORDS

SHARDS, ROWS = 4, 200


def write_corpus(folder: Path, seed: int) -> Path:
    """Compressed shards; some pairs have an empty side."""
    chance = random.Random(seed)
    folder.mkdir()
    for number in range(SHARDS):
        lines = [" ".join(chance.choices(WORDS, k=chance.randint(0, 6))) for _ in range(ROWS)]
        rows = "".join(json.dumps({"en": line, "de": line.upper()}) + "\n" for line in lines)
        (folder / f"train-{number:05d}-of-{SHARDS:05d}.jsonl.gz").write_bytes(gzip.compress(rows.encode()))
    return folder


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    config = VocabularyConfig(size=40, model_type="bpe", byte_fallback=False)
    return Vocabulary.train(WORDS + [word.upper() for word in WORDS], config, 1)


def streamed(folders: list[Path], vocabulary: Vocabulary, world: World) -> StreamedBatches:
    """Of one corpus, or of two that are mixed and segmented anew."""
    config = DataConfig("data", "en", "de", max_length=20, streaming=True)
    corpora = [load_split(DataConfig(str(each), "en", "de", streaming=True), "train") for each in folders]

    def pairs(epoch: int) -> Iterator[Pair]:
        streams = [lambda part=part: TokenisedStream(part, vocabulary, vocabulary, config) for part in corpora]
        if len(streams) == 1:
            return streams[0]()
        mixed: Iterator[Any] = Interleaved(streams, [0.2, 0.8], 3, epoch)
        return resegmented(mixed, pair_sampler(vocabulary, vocabulary, 0.3, 0, 1), epoch)

    return StreamedBatches(pairs, BatchingConfig(max_tokens_per_batch=60), 70, 5, world)


def plain(batches: Iterator[Batch]) -> list[Any]:
    return [(batch.source.tolist(), batch.target_output.tolist()) for batch in batches]


@pytest.mark.parametrize(("corpora", "size"), [(1, 1), (2, 3)])
def test_batches_after_a_resume_are_those_of_an_uninterrupted_epoch(
    corpora: int, size: int, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    """At any batch, in a later epoch, and again after that resume."""
    folders = [write_corpus(tmp_path / str(number), number) for number in range(corpora)]
    world = World(size - 1, size)
    whole = {epoch: plain(streamed(folders, vocabulary, world).iterate(epoch)) for epoch in (1, 2)}
    assert len(whole[1]) > 30 and whole[1] != whole[2]
    for start in (17, len(whole[1]) - 1):
        first = streamed(folders, vocabulary, world)
        assert plain(islice(first.iterate(1), start)) == whole[1][:start]
        second = streamed(folders, vocabulary, world)
        second.restore(json.loads(json.dumps(first.state())))
        assert plain(islice(second.iterate(1, start), 3)) == whole[1][start : start + 3]
        third = streamed(folders, vocabulary, world)
        third.restore(json.loads(json.dumps(second.state())))
        assert plain(third.iterate(1, min(start + 3, len(whole[1])))) == whole[1][start + 3 :]
        assert plain(third.iterate(2)) == whole[2]


def test_a_resume_does_not_read_the_files_before(vocabulary: Vocabulary, tmp_path: Path) -> None:
    """Here they have lost all but their first rows; without the place, that is other batches."""
    folder = write_corpus(tmp_path / "data", 0)
    first = streamed([folder], vocabulary, World())
    whole = plain(first.iterate(0))
    start = len(whole) - 2
    first = streamed([folder], vocabulary, World())
    assert len(list(islice(first.iterate(0), start))) == start
    for name in sorted(folder.iterdir())[: SHARDS - 2]:
        name.write_bytes(gzip.compress(gzip.decompress(name.read_bytes()).split(b"\n")[0] + b"\n"))
    second = streamed([folder], vocabulary, World())
    assert plain(second.iterate(0, start)) != whole[start:]
    second = streamed([folder], vocabulary, World())
    second.restore(first.state())
    assert plain(second.iterate(0, start)) == whole[start:]
