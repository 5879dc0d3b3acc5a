"""Splits by the names of files: which are there, which is taken, and what is said of one that is missing."""

import shutil
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

from seq2seq.cli.main import main
from seq2seq.data.corpus import DataConfig, load_split
from seq2seq.data.loading import open_any
from seq2seq.errors import UserError

ROW = '{"en": "a", "de": "A"}\n'


def complaint(data: Path, split: str) -> str:
    with pytest.raises(UserError) as error:
        load_split(DataConfig(str(data), "en", "de"), split)
    return str(error.value)


def write(folder: Path, **contents: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name.replace("_", ".")).write_text(content)
    return folder


def test_the_splits_that_are_there_are_listed(tmp_path: Path) -> None:
    mixed = write(tmp_path / "a", train_jsonl=ROW, dev_en="a\n", dev_de="A\n", test_tsv="en\tde\na\tA\n", notes_txt="x")
    (mixed / "half.en").write_text("a\n")
    assert complaint(mixed, "nope") == f"{mixed}: no split 'nope'; the splits are dev, test, train"
    alone = write(tmp_path / "b", train_jsonl=ROW)
    hold_out = "give --train-split 'train[:95%]' --validation-split 'train[95%:]'"
    told = f"{alone}: no split 'validation'; the only split is train; to hold out a part of it, {hold_out}"
    assert complaint(alone, "validation") == told
    saved = tmp_path / "c"
    rows = Dataset.from_dict({"en": ["a"], "de": ["A"]})
    DatasetDict({"train": rows, "dev": rows}).save_to_disk(saved)
    assert complaint(saved, "test") == f"{saved}: no split 'test'; the splits are train, dev"
    (tmp_path / "d" / "data").mkdir(parents=True)
    for split in ("train", "test"):
        shutil.copy(alone / "train.jsonl", tmp_path / "d" / "data" / f"{split}-00000-of-00001.jsonl")
    d = tmp_path / "d"
    assert complaint(d, "nope") == f"{d}: no split 'nope'; the splits are test, train"
    shards = write(tmp_path / "e", validation_jsonl=ROW)
    for number, suffix in enumerate(("tsv", "jsonl")):
        (shards / f"train-0000{number}-of-00002.{suffix}").write_text("en\tde\na\tA\n")
    assert complaint(shards, "train").endswith(
        "train-00001-of-00002.jsonl has another format than train-00000-of-00002.tsv"
    )
    (shards / "train-00001-of-00002.jsonl").unlink()
    assert complaint(shards, "test") == f"{shards}: no split 'test'; the splits are train, validation"
    (shards / "train-00000-of-00002.tsv").write_text("en\tde\n")
    assert complaint(shards, "train") == f"{shards}, split train: the corpus is empty"


def test_files_of_other_kinds_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", validation_jsonl=ROW)
    for number in range(2):
        (folder / f"train-0000{number}-of-00002.jsonl.zst").write_text("packed")
    told = "the only split is validation; train-00000-of-00002.jsonl.zst is not read: compress it by gzip, bzip2 or xz"
    assert complaint(folder, "train") == f"{folder}: no split 'train'; {told}"
    alone = tmp_path / "train.jsonl.zst"
    alone.write_text("packed")
    kinds = ".jsonl, .ndjson, .json, .csv, .tsv, .parquet, .arrow, also with .gz, .bz2, .xz behind it"
    assert complaint(alone, "train") == f"{alone}: unknown kind of file; use {kinds}"


def test_no_insides_of_datasets_are_shown(tmp_path: Path) -> None:
    """The names of its exceptions, and what only its own developers can use."""
    garbage = write(tmp_path / "a", train_parquet="no parquet", test_arrow="no arrow")
    told = complaint(garbage, "train")
    assert told.startswith(f"{garbage / 'train.parquet'}: cannot read: Parquet magic bytes not found")
    assert "Error" not in complaint(garbage, "test")
    (tmp_path / "b" / "data").mkdir(parents=True)
    (tmp_path / "b" / "data" / "train-0.jsonl").write_text(ROW + '{"en": "b", "fr": "B"}\n')
    (tmp_path / "b" / "data" / "train-1.jsonl").write_text('{"en": 1, "fr": ["B"]}\n')
    assert "its rows differ in their columns" in complaint(tmp_path / "b", "train")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "train.txt").write_bytes(b"a \xff\n")
    with pytest.raises(UserError, match="it holds a file that is not UTF-8 text"):
        open_any(str(tmp_path / "c"), "train")
    with pytest.raises(UserError, match=r"train\.txt: a file, not a folder"):
        open_any(str(tmp_path / "c" / "train.txt"), "train")


def test_what_is_taken_of_several_files_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = write(tmp_path / "a", train_jsonl=ROW, train_tsv="en\tde\n", train_en="b\n", train_de="B\n", dev_jsonl=ROW)
    config = DataConfig(str(data), "en", "de")
    assert load_split(config, "dev")[0]["source"] == "a"
    assert not caplog.messages
    assert load_split(config, "train")[0]["source"] == "a"
    beside = "not from train.tsv, train.en, train.de beside it"
    assert caplog.messages == [f"{data}: the split train is read from train.jsonl, {beside}"]


def test_a_test_split_that_was_asked_for_is_looked_for_before_training(
    toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--data", str(toy_data), "--source", "en", "--target", "de", "--output", str(tmp_path / "run")]
    for further in (["--dry-run"], []):
        assert main([*words, "--test-split", "nope", *further]) == 2
        told = f"seq2seq: error: {toy_data}: no split 'nope'; the splits are test, train, validation\n"
        assert capsys.readouterr().err.endswith(told)
    assert not (tmp_path / "run" / "checkpoints").exists()
    shutil.copytree(toy_data, tmp_path / "data")
    (tmp_path / "data" / "test.jsonl").unlink()
    assert main([*words, "--data", str(tmp_path / "data"), "--vocabulary.size", "300", "--dry-run"]) == 0
