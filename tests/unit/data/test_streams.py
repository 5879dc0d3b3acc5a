"""Streams: each rank reads its own files, in another order each epoch, and goes on where it stood without the files
before that place."""

import gzip
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

import seq2seq
from seq2seq.data.batch import Batch, Pair
from seq2seq.data.bucketing import BatchingConfig
from seq2seq.data.corpus import DataConfig, load_corpus, load_split
from seq2seq.data.mixing import Interleaved
from seq2seq.data.streams import StreamedBatches, TokenisedStream
from seq2seq.data.subword_sampling import pair_sampler, resegmented
from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig, column_texts
from seq2seq.errors import UserError
from seq2seq.runtime.distributed import World
from seq2seq.tasks.batches import training_batches
from tests.conftest import WORDS
from tests.thread_ranks import by_ranks

SHARDS, ROWS = 4, 200


def write_corpus(folder: Path, seed: int, rows: Sequence[int] = (ROWS,) * SHARDS) -> Path:
    """Compressed shards with so many rows; some pairs have an empty side. No sentence comes twice."""
    chance = random.Random(seed)
    folder.mkdir()
    for number, count in enumerate(rows):
        lines = []
        for row in range(count):
            words = [f"{number}{row}", *chance.choices(WORDS, k=chance.randint(0, 6))]
            lines.append("" if row % 9 == 5 else " ".join(words))
        text = "".join(json.dumps({"en": line, "de": line.upper()}) + "\n" for line in lines)
        (folder / f"train-{number:05d}-of-{len(rows):05d}.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    return folder


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    config = VocabularyConfig(size=50, model_type="bpe", byte_fallback=False)
    return Vocabulary.train([*WORDS, *(word.upper() for word in WORDS), "0123456789"], config, 1)


CONFIG = DataConfig("data", "en", "de", max_length=20, streaming=True)


def opened(folder: Path) -> Any:
    return load_split(DataConfig(str(folder), "en", "de", streaming=True), "train")


def streamed(folders: list[Path], vocabulary: Vocabulary, world: World) -> StreamedBatches:
    """Of one corpus, or of two or three that are mixed and segmented anew."""
    corpora = [opened(each) for each in folders]

    def pairs(epoch: int) -> Iterator[Pair]:
        streams = [
            lambda part=part: TokenisedStream(
                part, vocabulary, vocabulary, CONFIG, seed=3, epoch=epoch, world=world, never_empty=len(corpora) > 1
            )
            for part in corpora
        ]
        if len(streams) == 1:
            return streams[0]()
        mixed: Iterator[Any] = Interleaved(streams, [[0.2, 0.8], [0.2, 0.7, 0.1]][len(streams) - 2], 3, epoch)
        return resegmented(mixed, pair_sampler(vocabulary, vocabulary, 0.3, 0, 1), epoch, world.rank, world.size)

    return StreamedBatches(pairs, BatchingConfig(max_tokens_per_batch=60), 70, 5, world)


def plain(batches: Iterator[Batch]) -> list[Any]:
    return [(batch.source.tolist(), batch.target_output.tolist()) for batch in batches]


@pytest.mark.parametrize(("corpora", "size"), [(1, 1), (1, 2), (2, 3), (3, 2)])
def test_batches_after_a_resume_are_those_of_an_uninterrupted_epoch(
    corpora: int, size: int, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    """At any batch, in a later epoch, and again after that resume; on each of several ranks."""
    sizes = [(90, 250, 200, 130, 160), (90, 250, 200, 130, 160), (2,)][:corpora]
    folders = [write_corpus(tmp_path / str(number), number % 2, rows) for number, rows in enumerate(sizes)]

    def check(world: World) -> None:
        def fresh() -> StreamedBatches:
            return streamed(folders, vocabulary, world)

        whole = {epoch: plain(fresh().iterate(epoch)) for epoch in (1, 2)}
        assert len(whole[1]) > 25 and whole[1] != whole[2]
        for start in (17, len(whole[1]) - 1):
            first = fresh()
            assert plain(islice(first.iterate(1), start)) == whole[1][:start]
            second = fresh()
            second.restore(json.loads(json.dumps(first.state())))
            assert plain(islice(second.iterate(1, start), 3)) == whole[1][start : start + 3]
            third = fresh()
            third.restore(json.loads(json.dumps(second.state())))
            assert plain(third.iterate(1, min(start + 3, len(whole[1])))) == whole[1][start + 3 :]
            assert plain(third.iterate(2)) == whole[2]

    by_ranks(size, check)


def test_another_number_of_ranks_reads_the_epoch_from_its_start(vocabulary: Vocabulary, tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "data", 0)
    alone = streamed([folder], vocabulary, World())
    assert len(list(islice(alone.iterate(0), 20))) == 20
    state = alone.state()

    def go_on(world: World) -> bool:
        batches = streamed([folder], vocabulary, world)
        batches.restore(state)
        return plain(batches.iterate(0, 10)) == plain(streamed([folder], vocabulary, world).iterate(0))[10:]

    assert by_ranks(2, go_on) == [True, True]


def test_a_resume_does_not_read_the_files_before(vocabulary: Vocabulary, tmp_path: Path) -> None:
    """Here they have lost all but their first rows; without the place, that is other batches."""
    folder = write_corpus(tmp_path / "data", 0)
    first = streamed([folder], vocabulary, World())
    whole = plain(first.iterate(0))
    start = len(whole) - 2
    first = streamed([folder], vocabulary, World())
    assert len(list(islice(first.iterate(0), start))) == start
    order = TokenisedStream(opened(folder), vocabulary, vocabulary, CONFIG, seed=3).files
    for number in order[: SHARDS - 2]:
        name = sorted(folder.iterdir())[number]
        name.write_bytes(gzip.compress(gzip.decompress(name.read_bytes()).split(b"\n")[0] + b"\n"))
    second = streamed([folder], vocabulary, World())
    assert plain(second.iterate(0, start)) != whole[start:]
    second = streamed([folder], vocabulary, World())
    second.restore(first.state())
    assert plain(second.iterate(0, start)) == whole[start:]


def texts(corpus: Any, vocabulary: Vocabulary, world: World, epoch: int, **options: Any) -> list[str]:
    stream = TokenisedStream(corpus, vocabulary, vocabulary, CONFIG, seed=1, epoch=epoch, world=world, **options)
    return [vocabulary.decode(source) for source, _ in stream]


@pytest.mark.parametrize("files", [1, 2, 3, 5])
def test_ranks_read_files_of_their_own_and_share_those_left_over(
    files: int, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    corpus = opened(write_corpus(tmp_path / "data", 0, (310,) * files))
    alone = texts(corpus, vocabulary, World(), 0)
    assert len(set(alone)) == len(alone) > 200 * files
    parts = [texts(corpus, vocabulary, World(rank, 2), 0) for rank in (0, 1)]
    assert Counter(parts[0] + parts[1]) == Counter(alone)
    readers = {
        number: [sum(text.startswith(f"{number}") for text in part) for part in parts] for number in range(files)
    }
    shared = [number for number, counts in readers.items() if min(counts)]
    assert len(shared) == files % 2
    for number in shared:  # a row each in turn, those without text included
        assert abs(np.subtract(*readers[number])) < 40
    epochs = {tuple(dict.fromkeys(text[0] for text in texts(corpus, vocabulary, World(), epoch))) for epoch in range(9)}
    assert len(epochs) > 1 or files == 1
    assert alone == texts(corpus, vocabulary, World(), 0)


@pytest.mark.parametrize("rows", [(30, 600), (100, 230, 170, 140), (100, 0, 100, 0), (300,)])
def test_ranks_have_equally_many_batches_of_unlike_files(
    rows: tuple[int, ...], vocabulary: Vocabulary, tmp_path: Path
) -> None:
    """Each pair comes once, but for those of the last batches, too few for a step of all."""
    folder = write_corpus(tmp_path / "data", 0, rows)
    parts = by_ranks(2, lambda world: plain(streamed([folder], vocabulary, world).iterate(0)))
    assert len(parts[0]) == len(parts[1]) > 10
    alone = plain(streamed([folder], vocabulary, World()).iterate(0))
    texts = Counter(tuple(filter(None, row)) for part in parts for sources, _ in part for row in sources)
    all_texts = Counter(tuple(filter(None, row)) for sources, _ in alone for row in sources)
    assert texts <= all_texts
    largest = max(len(sources) for sources, _ in alone)
    assert sum((all_texts - texts).values()) <= largest


def test_pools_stay_full_when_only_one_rank_has_pairs_left(vocabulary: Vocabulary, tmp_path: Path) -> None:
    corpus = opened(write_corpus(tmp_path / "data", 0, (40, 40, 900)))
    pools: list[int] = []

    def read(world: World) -> None:
        stream = TokenisedStream(corpus, vocabulary, vocabulary, CONFIG, world=world)
        batches = StreamedBatches(lambda _: stream, BatchingConfig(max_tokens_per_batch=60), 70, 5, world)
        for _ in batches.iterate(0):
            if world.rank == 0 and batches.pool["batches"] not in pools:
                pools.append(batches.pool["batches"])

    by_ranks(3, read)
    assert 9 < len(pools) < 18  # 980 rows, a ninth of them empty, some too long, in pools of 70


def test_a_mix_holds_a_corpus_of_fewer_pairs_than_ranks(vocabulary: Vocabulary, tmp_path: Path) -> None:
    """Each rank has its share of it, and an epoch ends for good."""
    folders = [write_corpus(tmp_path / "small", 1, (1,)), write_corpus(tmp_path / "large", 2, (200, 200))]
    corpora, weights = [opened(each) for each in folders], np.array([0.1, 0.9])

    def drawn(world: World) -> list[Pair]:
        streams = [
            lambda part=part: TokenisedStream(part, vocabulary, vocabulary, CONFIG, world=world, never_empty=True)
            for part in corpora
        ]
        mixed = Interleaved(streams, weights, 3, 0)
        pairs = list(mixed)
        assert next(mixed, None) is None
        return pairs

    (small,) = TokenisedStream(corpora[0], vocabulary, vocabulary, CONFIG)
    for pairs in (drawn(World()), drawn(World(0, 2)), drawn(World(1, 2))):
        assert 0.03 < sum(pair == small for pair in pairs) / len(pairs) < 0.2


def as_parquet(folder: Path) -> Path:
    """The same corpus in a format whose rows are read by `datasets`."""
    for path in sorted(folder.iterdir()):
        rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
        datasets.Dataset.from_list(rows).to_parquet(folder / path.name.replace("jsonl.gz", "parquet"))
        path.unlink()
    return folder


@pytest.mark.parametrize(
    ("parquet", "said"),
    [(False, r"train-00002-of-00004\.jsonl\.gz, line 7: "), (True, r"row 7: .*\(the row of file 3 of 4\)")],
)
def test_a_bad_row_is_named_with_its_file(parquet: bool, said: str, vocabulary: Vocabulary, tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "data", 0)
    name = sorted(folder.iterdir())[2]
    lines = gzip.decompress(name.read_bytes()).split(b"\n")
    lines[6] = b'{"en": null, "de": "eins"}'
    name.write_bytes(gzip.compress(b"\n".join(lines)))
    if parquet:
        as_parquet(folder)
    with pytest.raises(UserError, match=said):
        texts(opened(folder), vocabulary, World(), 0)

    def read(world: World) -> None:
        with pytest.raises(UserError, match=said):  # by all, whoever reads the file
            plain(streamed([folder], vocabulary, world).iterate(0))

    by_ranks(3, read)


BREAKS: dict[str, tuple[bool, Callable[[bytes], bytes], str]] = {
    "cut off": (False, lambda raw: raw[: len(raw) // 2], r"train-00002-of-00004\.jsonl\.gz: cannot read: "),
    "flipped": (False, lambda raw: raw[:40] + b"\xff" * 40 + raw[80:], r"jsonl\.gz: cannot read: .*decompressing"),
    "no JSON": (
        False,
        lambda raw: gzip.compress(gzip.decompress(raw) + b'{"en": "a", "de'),
        r"train-00002-of-00004\.jsonl\.gz, line 201: malformed JSON",
    ),
    "parquet": (True, lambda raw: raw[: len(raw) // 2], r"training data: cannot be read: .*file 3 of 4"),
}


@pytest.mark.parametrize("way", BREAKS)
def test_a_broken_file_is_named_to_all(way: str, vocabulary: Vocabulary, tmp_path: Path) -> None:
    parquet, damage, said = BREAKS[way]
    folder = write_corpus(tmp_path / "data", 0)
    corpus = opened(as_parquet(folder) if parquet else folder)
    name = sorted(folder.iterdir())[2]
    name.write_bytes(damage(name.read_bytes()))
    with pytest.raises(UserError, match=said.replace(".*file 3 of 4", "")):  # before training, too
        list(column_texts(corpus, ("source",)))

    def read(world: World) -> None:
        with pytest.raises(UserError, match=said):
            list(
                StreamedBatches(
                    lambda _: TokenisedStream(corpus, vocabulary, vocabulary, CONFIG, world=world),
                    BatchingConfig(max_tokens_per_batch=60),
                    70,
                    5,
                    world,
                ).iterate(0)
            )

    by_ranks(2, read)


def test_what_an_older_checkpoint_says_is_no_place(
    vocabulary: Vocabulary, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_corpus(tmp_path / "data", 0)
    batches = streamed([folder], vocabulary, World())
    batches.restore({"epoch": 0, "batches": 3, "random": {}, "pairs": {"rows": {}}})
    assert "some pairs of the current epoch come twice" in caplog.text
    assert plain(batches.iterate(0, 5)) == plain(streamed([folder], vocabulary, World()).iterate(0))[5:]


def test_a_place_that_another_reader_left_is_told_and_the_file_begun_again(
    vocabulary: Vocabulary, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    corpus = opened(write_corpus(tmp_path / "data", 0))
    stream = TokenisedStream(corpus, vocabulary, vocabulary, CONFIG)
    whole = list(TokenisedStream(corpus, vocabulary, vocabulary, CONFIG))
    place = {"file": 1, "rows": {"examples_iterable": {"type": "ArrowExamplesIterable"}}, "taken": 7, "all": False}
    stream.restore({**place, "counts": [9, 0, 0, 0]})
    assert "some pairs of the current epoch come twice" in caplog.text
    rest = list(stream)
    assert whole[-len(rest) :] == rest and len(whole) * 0.6 < len(rest) < len(whole) * 0.9


def test_a_corpus_of_other_files_than_before_is_refused(vocabulary: Vocabulary, tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "data", 0)
    batches = streamed([folder], vocabulary, World())
    next(batches.iterate(0))
    state = json.loads(json.dumps(batches.state()))
    sorted(folder.iterdir())[3].unlink()
    again = streamed([folder], vocabulary, World())
    again.restore(state)
    with pytest.raises(UserError, match="3 files are there, but there were 4 when the run was interrupted"):
        next(again.iterate(0, 1))


def test_the_end_of_a_small_corpus_of_a_mix_is_told_once(
    vocabulary: Vocabulary, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    corpora = tuple(
        seq2seq.CorpusConfig(str(write_corpus(tmp_path / name, seed, rows)), weight=1)
        for name, seed, rows in (("small", 0, (9,)), ("large", 1, (300, 200)))
    )
    config = seq2seq.ExperimentConfig(
        corpora, "en", "de", streaming=True, max_length=20, trainer=seq2seq.TrainerConfig(max_steps=5)
    )
    parts = [load_corpus(config, each, "train") for each in config.corpora()]
    batches = training_batches(config, parts, vocabulary, vocabulary, World(), lambda *_: 0)
    with caplog.at_level("INFO"):
        for epoch in (0, 1):
            assert len(list(batches.iterate(epoch))) > 1
    told = [each for each in caplog.messages if "read to its end" in each]
    assert [each.split(",")[0] for each in told] == ["training data small_en_de", "training data large_en_de"] * 2


def test_what_a_program_gave_keeps_its_rows_and_their_order(vocabulary: Vocabulary, tmp_path: Path) -> None:
    """Its files may hold more than it: here they do."""
    folder = write_corpus(tmp_path / "data", 0)
    whole = datasets.load_dataset(str(folder), split="train", streaming=True)
    data = {"train": whole.skip(150).take(130), "validation": whole.take(9)}
    config = seq2seq.ExperimentConfig(data, "en", "de", streaming=True, trainer=seq2seq.TrainerConfig(max_steps=5))
    part = load_split(config, "train")
    wanted = [row["en"] for row in whole][150:280]
    batches = training_batches(config, [part], vocabulary, vocabulary, World(), lambda *_: 0)
    got = Counter(vocabulary.decode(row) for batch in batches.iterate(0) for row in batch.source.tolist())
    assert got == Counter(text for text in wanted if text)
    assert texts(part, vocabulary, World(), 0, by_files=False) == [
        text for text in wanted if 0 < len(vocabulary.encode(text)) <= CONFIG.max_length
    ]
