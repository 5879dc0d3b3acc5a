import csv
import gzip
import json
import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seq2seq.data.corpus import (
    DataConfig,
    FilterCounts,
    data_fingerprint,
    load_split,
    references,
    tokenise,
)
from seq2seq.data.loading import is_local
from seq2seq.data.streams import TokenisedStream
from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig
from seq2seq.errors import UserError
from tests.thread_ranks import by_ranks

datasets = pytest.importorskip("datasets")

# What readers tend to break: quotes, line ends that are none, look-alikes of dates, numbers and missing values.
ROWS = [
    ('He said "no', "Er sagte „nein"),
    ("a line\u2028separator and a\rcarriage return", "ein\x85Zeichen\x0c mehr"),
    ("2024-05-01", "01.05.2024"),
    ("007", "1e5"),
    ("NA", "null"),
    ("comma, here", "'apostroph"),
    ("", ""),
    ("last one", "das letzte"),
]
MULTI30K = Path(__file__).parents[4] / "shared" / "data" / "multi30k"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.train([text for row in ROWS for text in row], VocabularyConfig(size=350))


def write_jsonl(folder: Path) -> None:
    lines = [json.dumps({"id": 1, "en": a, "de": b}, ensure_ascii=False) for a, b in ROWS]
    (folder / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def write_json_array(folder: Path) -> None:
    (folder / "train.json").write_text(json.dumps([{"en": a, "de": b} for a, b in ROWS], indent=1))


def write_compressed(folder: Path) -> None:
    with gzip.open(folder / "train.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"de": b, "en": a}) + "\n" for a, b in ROWS)


def write_csv(folder: Path) -> None:
    with open(folder / "train.csv", "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerows([("de", "en"), *((b, a) for a, b in ROWS)])


def write_tsv(folder: Path) -> None:
    lines = ["en\tnote\tde", *(f"{a}\t-\t{b}" for a, b in ROWS)]
    (folder / "train.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def write_text(folder: Path) -> None:
    for side, suffix in enumerate(("en", "de")):
        text = "".join(row[side] + "\n" for row in ROWS)
        (folder / f"train.{suffix}").write_text(text, encoding="utf-8", newline="\n")


def write_parquet(folder: Path) -> None:
    rows = {"de": [b for _, b in ROWS], "en": [a for a, _ in ROWS], "n": list(range(len(ROWS)))}
    datasets.Dataset.from_dict(rows).to_parquet(folder / "train.parquet")


def write_shards(folder: Path) -> None:
    for number in range(2):
        rows = ROWS[number * 4 : number * 4 + 4]
        shard = datasets.Dataset.from_dict({"en": [a for a, _ in rows], "de": [b for _, b in rows]})
        (folder / "data").mkdir(exist_ok=True)
        shard.to_parquet(folder / "data" / f"train-0000{number}-of-00002.parquet")


def write_tsv_shards(folder: Path) -> None:
    for number in range(2):
        lines = [f"{a}\t{b}" for a, b in ROWS[number * 4 : number * 4 + 4]]
        (folder / f"train-0000{number}-of-00002.tsv").write_text("\n".join(["en\tde", *lines]))
    (folder / "validation.jsonl").write_text(json.dumps({"en": "a", "de": "b"}))  # in another format


def write_jsonl_gz_shards(folder: Path) -> None:
    (folder / "data").mkdir()
    for number in range(2):
        lines = [json.dumps({"id": number, "en": a, "de": b}) for a, b in ROWS[number * 4 : number * 4 + 4]]
        path = folder / "data" / f"train-0000{number}-of-00002.jsonl.gz"
        path.write_bytes(gzip.compress("\n".join(lines).encode()))


def write_saved(folder: Path) -> None:
    rows = {"target": [a for a, _ in ROWS], "en": [a for a, _ in ROWS], "de": [b for _, b in ROWS]}
    datasets.DatasetDict({"train": datasets.Dataset.from_dict(rows)}).save_to_disk(folder)


def write_translation_jsonl(folder: Path) -> None:
    lines = [json.dumps({"translation": {"en": a, "de": b}}) for a, b in ROWS]
    (folder / "train.jsonl").write_text("\n".join(lines))


def write_translation_saved(folder: Path) -> None:
    features = datasets.Features({"translation": datasets.Translation(["en", "de"])})
    rows = {"translation": [{"en": a, "de": b} for a, b in ROWS]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(folder)


LAYOUTS = [value for name, value in list(globals().items()) if name.startswith("write_")]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("write", LAYOUTS)
def test_every_layout_gives_the_same_text(tmp_path: Path, write: Callable[[Path], None], streaming: bool) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    write(folder)
    dataset = load_split(DataConfig(str(folder), "en", "de", streaming=streaming), "train")
    assert isinstance(dataset, datasets.IterableDataset if streaming else datasets.Dataset)
    assert list(dataset) == [{"source": a, "target": b} for a, b in ROWS]
    assert dataset.column_names == ["source", "target"]
    assert references(dataset) == [[b] for _, b in ROWS]


@pytest.mark.parametrize("streaming", [False, True])
def test_columns_may_bear_each_others_names(tmp_path: Path, streaming: bool) -> None:
    datasets.Dataset.from_dict({"source": ["a"], "target": ["b"]}).to_parquet(tmp_path / "train.parquet")
    dataset = load_split(DataConfig(str(tmp_path), "target", "source", streaming=streaming), "train")
    assert list(dataset) == [{"source": "b", "target": "a"}]


def test_splits_aliases_and_slices(tmp_path: Path) -> None:
    write_jsonl(tmp_path)
    (tmp_path / "dev.jsonl").write_text('{"en": "x", "de": "y"}\n')
    config = DataConfig(str(tmp_path), "en", "de")
    assert load_split(config, "validation")[0] == {"source": "x", "target": "y"}
    everything = load_split(config, "train")["source"][:]
    assert load_split(config, "train[:25%]")["source"][:] == everything[:2]
    assert load_split(config, "train[-3:]")["source"][:] == everything[-3:]
    single = DataConfig(str(tmp_path / "train.jsonl"), "en", "de")
    assert load_split(single, "train[2:4]")["source"][:] == everything[2:4]
    for split in ("train[", "train[a:b]", "train[5:5]", "train[100:]", ""):
        with pytest.raises(UserError):
            load_split(config, split)


def test_several_references(tmp_path: Path, vocabulary: Vocabulary) -> None:
    (tmp_path / "train.jsonl").write_text('{"a": "one", "b": ["eins", "ein"]}\n{"a": "two", "b": "zwei"}\n')
    config = DataConfig(str(tmp_path), "a", "b")
    dataset = load_split(config, "train")
    assert references(dataset) == [["eins", "ein"], ["zwei"]]
    pairs, counts = tokenise(dataset, vocabulary, vocabulary)
    assert vocabulary.decode_batch(pairs["source_ids"][:]) == ["one", "one", "two"]
    assert vocabulary.decode_batch(pairs["target_ids"][:]) == ["eins", "ein", "zwei"]
    assert counts.kept == 3
    assert len(list(TokenisedStream(dataset, vocabulary, vocabulary, config))) == 3


def corpus_of(pairs: list[tuple[str, str]], tmp_path: Path, **options: Any) -> tuple[DataConfig, Any]:
    text = "".join(json.dumps({"en": a, "de": b}) + "\n" for a, b in pairs)
    path = tmp_path / "train.jsonl"
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    config = DataConfig(str(tmp_path), "en", "de", **options)
    return config, load_split(config, "train")


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(("max_length", "max_ratio"), [(0, 0.0), (12, 0.0), (0, 2.0), (12, 2.0)])
def test_filters_agree_with_a_plain_loop(
    tmp_path: Path,
    vocabulary: Vocabulary,
    max_length: int,
    max_ratio: float,
    streaming: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    words = [*"abcde", "", "  "]
    pairs = [(" ".join(words[: i % 8]) if i % 8 else "", "x " * (i % 23)) for i in range(600)]
    config, dataset = corpus_of(pairs, tmp_path, max_length=max_length, max_ratio=max_ratio, streaming=streaming)
    expected, reasons = [], Counter[str]()
    for a, b in pairs:
        source, target = vocabulary.encode(a), vocabulary.encode(b)
        longer, shorter = max(len(source), len(target)), min(len(source), len(target))
        if not shorter:
            reasons["empty"] += 1
        elif max_length and longer > max_length:
            reasons["too_long"] += 1
        elif max_ratio and longer / shorter > max_ratio:
            reasons["ratio"] += 1
        else:
            expected.append((source, target))
    with caplog.at_level("INFO"):
        assert list(TokenisedStream(dataset, vocabulary, vocabulary, config)) == expected
    told = FilterCounts(len(expected), reasons["empty"], reasons["too_long"], reasons["ratio"]).describe()
    assert caplog.messages == [f"training data, read to its end: {told}"]
    if not streaming:
        tokens, counts = tokenise(dataset, vocabulary, vocabulary, max_length, max_ratio)
        assert list(zip(tokens["source_ids"], tokens["target_ids"], strict=True)) == expected
        assert (counts.kept, counts.empty, counts.too_long, counts.ratio) == (
            len(expected), reasons["empty"], reasons["too_long"], reasons["ratio"],
        )  # fmt: skip
        assert tokens.features["source_ids"].feature.dtype == "int32"
        assert tokens._indices is None


def test_counts_read_as_one_line(tmp_path: Path, vocabulary: Vocabulary) -> None:
    _, dataset = corpus_of([("a", "b"), ("", "b"), ("a b c d e f g h", "b c d e f g")], tmp_path)
    assert tokenise(dataset, vocabulary, vocabulary)[1].describe() == "2 pairs kept, dropped: 1 empty"
    assert tokenise(dataset.select([0]), vocabulary, vocabulary)[1].describe() == "1 pairs kept, none dropped"
    with pytest.raises(UserError, match="no sentence pair is left: 0 pairs kept, dropped: 1 empty, 2 too long"):
        tokenise(dataset, vocabulary, vocabulary, max_length=1)


@pytest.mark.parametrize("other", [[("a", "b")], [("a", "b"), ("c d e", "e f g")]], ids=["fewer rows", "other texts"])
def test_ranks_that_hold_other_data_than_each_other_end(
    tmp_path: Path, vocabulary: Vocabulary, other: list[tuple[str, str]]
) -> None:
    (tmp_path / "other").mkdir()
    held = [
        corpus_of([("a", "b"), ("c d", "e f")], tmp_path)[1],
        corpus_of(other, tmp_path / "other")[1],
    ]
    alike = by_ranks(2, lambda world: tokenise(held[0], vocabulary, vocabulary, world=world)[1])
    assert alike == [tokenise(held[0], vocabulary, vocabulary)[1]] * 2
    with pytest.raises(
        UserError, match=r"process 2 of 2 reads other data than the first: \d pairs of \d+ and \d+ tokens"
    ):
        by_ranks(2, lambda world: tokenise(held[world.rank], vocabulary, vocabulary, world=world))


def test_tokens_are_cached_and_the_cache_notices_changes(
    tmp_path: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    encode_batch = Vocabulary.encode_batch

    def counting(self: Vocabulary, *arguments: Any) -> list[list[int]]:
        nonlocal calls
        calls += 1
        return encode_batch(self, *arguments)

    monkeypatch.setattr(Vocabulary, "encode_batch", counting)
    pairs = [("a", "b"), ("a b c d", "e f g h")]

    def encoded(pairs: list[tuple[str, str]], vocabulary: Vocabulary, max_length: int) -> tuple[int, Any]:
        nonlocal calls
        calls = 0
        result = tokenise(corpus_of(pairs, tmp_path)[1], vocabulary, vocabulary, max_length)
        return calls, (result[0][:], result[1])

    first = encoded(pairs, vocabulary, 5)
    again = encoded(pairs, pickle.loads(pickle.dumps(vocabulary)), 5)
    assert (first[0], again[0]) == (2, 0)
    assert first[1] == again[1]
    wider = encoded(pairs, vocabulary, 0)
    assert wider[0] == 0 and wider[1][1].kept == 2
    other = Vocabulary.train(["a b c d e f g h"], VocabularyConfig(model_type="char"))
    assert encoded(pairs, other, 0)[0] == 2
    assert encoded([*pairs, ("c", "d")], vocabulary, 0)[1][1].kept == 3


def test_data_fingerprint_tells_text_not_place(tmp_path: Path) -> None:
    prints = []
    for name, write in [("one", write_jsonl), ("two", write_parquet), ("three", write_text)]:
        (tmp_path / name).mkdir()
        write(tmp_path / name)
        prints.append(data_fingerprint(load_split(DataConfig(str(tmp_path / name), "en", "de"), "train")))
    assert len(set(prints)) == 1 and len(prints[0]) == 64
    swapped = load_split(DataConfig(str(tmp_path / "one"), "de", "en"), "train")
    streamed = load_split(DataConfig(str(tmp_path / "one"), "en", "de", streaming=True), "train")
    assert data_fingerprint(swapped) != prints[0] == data_fingerprint(streamed)


def test_a_long_csv_field_is_read(tmp_path: Path) -> None:
    """Python's own limit is 131,072 characters."""
    (tmp_path / "train.csv").write_text(f"en,de\n{'a' * 200_000},b\n")
    assert load_split(DataConfig(str(tmp_path), "en", "de"), "train")[0] == {"source": "a" * 200_000, "target": "b"}


def test_a_column_that_nobody_asks_for_may_stand_twice(tmp_path: Path) -> None:
    """Spreadsheets write columns without a name."""
    for name, content in (("a.csv", "en,de,,\na,b,,\n"), ("b.jsonl", '{"en": "a", "de": "b", "x": 1, "x": 2}\n')):
        (tmp_path / name).write_text(content)
        corpus = load_split(DataConfig(str(tmp_path / name), "en", "de"), "train")
        assert corpus[0] == {"source": "a", "target": "b"}


WRONG_FILES = [
    ("train.jsonl", '{"en": "a", "de": "b"}\n{"en": "a"\n', "train.jsonl, line 2: malformed JSON"),
    ("train.jsonl", '{"en": "a", "de": "b"}\n\n{"en": null, "de": "b"}\n', "line 3: column 'en' is null"),
    ("train.jsonl", '{"en": "a", "fr": "b"}\n', "line 1: column 'de' is missing; the columns are en, fr"),
    ("train.jsonl", '{"en": "a", "de": "b"}\n{"en": "a", "de": 5}\n', "line 2: columns 'en' and 'de' must hold text"),
    ("train.jsonl", '{"en": "a", "de": []}\n', "line 1: column 'de' is an empty list"),
    ("train.jsonl", '{"en": "a", "de": "b"}\n{"en": "a", "de": ["c"]}\n', "line 2: column 'de' holds a list here"),
    ("train.jsonl", '{"en": "a", "de": "\\ud800"}\n', "line 1: malformed Unicode"),
    ("train.jsonl", "5\n", "line 1: a row must be an object"),
    ("train.json", '[{"en": "a",\n "de": }]', "train.json, line 2: malformed JSON"),
    ("train.json", "[" * 200_000, "train.json: malformed JSON"),
    ("train.json", f'[{{"en": {"9" * 5_000}}}]', "train.json: malformed JSON"),
    ("train.jsonl", "", "the corpus is empty"),
    ("train.csv", "en,de\n", "the corpus is empty"),
    ("train.csv", 'en,de\na,b\na,"b\n', "line 3: malformed CSV"),
    ("train.csv", "en,de\na,b\nc\n", "line 3: 1 columns, but the header has 2"),
    ("train.tsv", "en\tde\na\tb\tc\n", "line 2: 3 columns, but the header has 2"),
    (
        "train.csv",
        '"A dog, runs",Ein Hund\nx,y\n',
        "line 1: column 'en' is missing: the first line must be a header",
    ),
    ("train.csv", "en,de,en\na,b,c\n", "train.csv, line 1: column 'en' stands twice"),
    ("train.tsv", "en\tde\tde\na\tb\tc\n", "train.tsv, line 1: column 'de' stands twice"),
    (
        "train.jsonl",
        '{"en": "a", "de": "b", "en": "c"}\n',
        "train.jsonl, line 1: malformed JSON: column 'en' stands twice",
    ),
    ("train.json", '[{"en": "a", "de": "b", "en": "c"}]\n', "train.json: malformed JSON: column 'en' stands twice"),
    ("train.tsv", "A dog\tEin Hund\nx\ty\n", "names the columns, but holds A dog | Ein Hund"),
    ("train.tsv", f"{'dog ' * 500}\tHund\nx\ty\n", "dog …"),
    ("train.parquet", "no parquet", "train.parquet: cannot read"),
    ("train.jsonl.gz", "no gzip", "train.jsonl.gz: cannot read"),
    ("train.en", "a\n", "holds train.en but not both train.en and train.de"),
    ("notes.txt", "a\n", "no split 'train'"),
]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(("name", "content", "message"), WRONG_FILES)
def test_mistakes_in_files_are_one_clear_line(
    tmp_path: Path, name: str, content: str, message: str, streaming: bool
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError) as error:
        list(load_split(DataConfig(str(tmp_path), "en", "de", streaming=streaming), "train"))
    assert message in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("streaming", [False, True])
def test_text_files_of_unlike_length(tmp_path: Path, streaming: bool) -> None:
    (tmp_path / "train.en").write_text("a\nb\nc\n")
    (tmp_path / "train.de").write_text("a\u2028b\nc", encoding="utf-8")
    with pytest.raises(UserError, match=r"train\.en has 3 lines, .*train\.de has 2"):
        load_split(DataConfig(str(tmp_path), "en", "de", streaming=streaming), "train")
    (tmp_path / "train.de").write_bytes(b"a\nb\xff\nc\n")
    with pytest.raises(UserError, match=r"train\.de, line 2: not UTF-8"):
        load_split(DataConfig(str(tmp_path), "en", "de", streaming=streaming), "train")


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"en": ["a", None], "de": ["b", "c"]}, "row 2: column 'en' is null"),
        ({"en": ["a"], "de": [5]}, "text"),
        ({"en": ["a"], "fr": ["b"]}, "column 'de' is missing; the columns are en, fr"),
        ({"en": ["a", "b"], "de": [["c"], []]}, "row 2: column 'de'"),
    ],
)
def test_mistakes_in_tables_are_one_clear_line(
    tmp_path: Path, rows: dict[str, list[Any]], message: str, streaming: bool
) -> None:
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(UserError, match=message):
        list(load_split(DataConfig(str(tmp_path), "en", "de", streaming=streaming), "train"))


def test_missing_splits_and_places(tmp_path: Path) -> None:
    write_jsonl(tmp_path)
    for data, split, message in [
        (tmp_path, "test", "no split 'test'"),
        (tmp_path / "absent", "train", "absent: no such file or folder"),
        (tmp_path / "train.jsonl", "test", "one file holds the split 'train' only"),
    ]:
        with pytest.raises(UserError, match=message) as error:
            load_split(DataConfig(str(data), "en", "de"), split)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("place", ["rows", "rows/train.jsonl", "saved"])
def test_where_only_train_is_there_slices_are_suggested(place: str, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    write_jsonl(tmp_path / "rows")
    write_saved(tmp_path / "saved")
    config = DataConfig(str(tmp_path / place), "en", "de")
    with pytest.raises(UserError, match=r"--train-split 'train\[:95%\]' --validation-split 'train\[95%:\]'"):
        load_split(config, "validation")
    with pytest.raises(UserError, match=r"ask for a slice of it, such as 'train\[95%:\]'"):
        load_split(config, "test")


def test_paths_are_never_looked_up_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert all(map(is_local, ["./x", "../x", "/x", "~/x", "here", "a/b/c", "data/train.jsonl", "x.tsv.gz"]))
    assert not any(map(is_local, ["owner/name", "name", "owner/name:de-en", "owner/name.v2"]))


def test_an_unreachable_hub_is_one_clear_line(tmp_path: Path) -> None:
    code = (
        "from seq2seq.errors import UserError\nfrom seq2seq.data.corpus import *\n"
        "try: load_split(DataConfig('owner/name', 'en', 'de'), 'train')\nexcept UserError as error: print(error)"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert "cannot load 'owner/name', split 'train', from the Hugging Face Hub" in run.stdout
    assert "give a folder" in run.stdout
    assert run.stdout.count("\n") == 1 and run.stderr == ""


def test_loading_is_silent_and_leaves_the_settings_alone(
    tmp_path: Path, vocabulary: Vocabulary, capfd: pytest.CaptureFixture[str]
) -> None:
    datasets.enable_progress_bars()
    write_jsonl(tmp_path)
    tokenise(load_split(DataConfig(str(tmp_path), "en", "de"), "train"), vocabulary, vocabulary)
    assert capfd.readouterr() == ("", "")
    assert not datasets.are_progress_bars_disabled()


@pytest.mark.parametrize(
    "options", [{"data": ""}, {"source": "de"}, {"max_length": -1}, {"max_ratio": 0.5}, {"shuffle_buffer_size": 0}]
)
def test_wrong_options_are_errors(options: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        DataConfig(**{"data": "x", "source": "en", "target": "de", **options})


def test_a_blank_reference_is_none_where_there_are_others() -> None:
    rows = [["a b", "", " "], ["", "c"], [""], ["d"]]
    dataset = datasets.Dataset.from_dict({"source": ["x"] * 4, "target": rows})
    assert references(dataset) == [["a b"], ["c"], [""], ["d"]]


@pytest.mark.skipif(not MULTI30K.exists(), reason="the Multi30k data are not here")
def test_multi30k() -> None:
    config = DataConfig(str(MULTI30K), "en", "fr")
    sizes = {split: len(load_split(config, split)) for split in ("train", "validation", "test")}
    assert sizes == {"train": 29_000, "validation": 1_014, "test": 1_000}
    lines = (MULTI30K / "test.jsonl").read_text(encoding="utf-8").split("\n")
    assert references(load_split(config, "test")) == [[json.loads(line)["fr"]] for line in lines if line]
