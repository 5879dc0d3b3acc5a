"""Data sets that a program holds already, in the place of a folder or a Hub id."""

import copy
import dataclasses
import json
import pickle
import random
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict, IterableDataset

from seq2seq.cli.main import main
from seq2seq.config import read_config, to_dict
from seq2seq.data.corpus import DataConfig, data_fingerprint, load_split
from seq2seq.errors import UserError
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.dry_run import dry_run
from seq2seq.tasks.translation import run
from tests.conftest import WORDS, toy_config

ROWS = {"en": ["ba ko", "mi", "lu te so", "ne"], "de": ["BA KO", "MI", "LU TE SO", "NE"], "id": [1, 2, 3, 4]}
PAIRS = [{"source": one, "target": two} for one, two in zip(ROWS["en"], ROWS["de"], strict=True)]


def config(data: Any, **options: Any) -> DataConfig:
    return DataConfig(data, "en", "de", **options)


def test_a_split_is_what_the_same_rows_in_a_file_are(tmp_path: Path) -> None:
    data = Dataset.from_dict(ROWS)
    data.to_parquet(tmp_path / "train.parquet")
    stored = load_split(config(tmp_path), "train")  # a Path is a path
    for given in (DatasetDict(train=data), {"train": data}, data, data.with_format("numpy")):
        found = load_split(config(given), "train")
        assert list(found) == list(stored) == PAIRS
        assert data_fingerprint(found) == data_fingerprint(stored)
        assert list(load_split(config(given), "train[1:3]")) == PAIRS[1:3]
    for streamed in (data, data.to_iterable_dataset()):
        found = load_split(config({"train": streamed}, streaming=True), "train")
        assert isinstance(found, IterableDataset)
        assert list(found) == PAIRS


def test_copies_of_a_configuration_share_the_data() -> None:
    data = DatasetDict(train=Dataset.from_dict(ROWS))
    first = config(data)
    copies = [dataclasses.replace(first, max_length=5), copy.deepcopy(first), copy.copy(first)]
    copies.append(config(dataclasses.asdict(first)["data"]))
    for each in copies:
        assert each.data.splits is data  # type: ignore[union-attr]
    assert list(load_split(pickle.loads(pickle.dumps(first)), "train")) == PAIRS
    assert json.loads(json.dumps(to_dict(first)))["data"] == "(in memory)"


SLICES = r"--train-split 'train\[:95%\]' --validation-split 'train\[95%:\]'"
WRONG = [
    (5, "train", "data must be a folder, a file, a Hub id, a datasets.Dataset or a DatasetDict, not of type int"),
    (None, "train", "not of type NoneType"),
    ({"en"}, "train", "not of type set"),
    ({"train": ["a"]}, "train", "split 'train' is of type list; give a datasets.Dataset for each split"),
    (Dataset.from_dict(ROWS), "validation", SLICES),
    ({"train": Dataset.from_dict(ROWS), "dev": Dataset.from_dict(ROWS)}, "test", "the splits are train, dev"),
    (Dataset.from_dict({"en": ["a"]}), "train", "data in memory, split train: column 'de' is missing"),
    (Dataset.from_dict({"en": [1], "de": ["a"]}), "train", "column 'en' holds int64, which is not text"),
    (Dataset.from_dict(ROWS).to_iterable_dataset(), "train", "an IterableDataset is read with streaming true"),
    (Dataset.from_dict(ROWS).with_transform(dict), "train", "has a transform; apply it first, with map"),
    ("(in memory)", "train", "give it anew: --data in a command, data= in Python"),
]


@pytest.mark.parametrize(("data", "split", "told"), WRONG)
def test_mistakes_are_one_clear_line(data: Any, split: str, told: str) -> None:
    with pytest.raises(UserError, match=told) as error:
        load_split(config(data), split)
    assert "\n" not in str(error.value)


def toy_splits(seed: int = 0) -> DatasetDict:
    chance = random.Random(seed)
    splits = {}
    for name, rows in (("train", 80), ("validation", 8), ("test", 8)):
        lines = [" ".join(chance.choices(WORDS, k=chance.randint(1, 5))) for _ in range(rows)]
        splits[name] = Dataset.from_dict({"en": lines, "de": [line.upper() for line in lines]})
    return DatasetDict(splits)


def test_a_run_on_data_in_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trained, tested, taken up again, refused on other data, evaluated on data that are given anew."""

    def toy(data: Any, steps: int) -> ExperimentConfig:
        return dataclasses.replace(toy_config(tmp_path, tmp_path / "run", max_steps=steps), data=data)

    assert "parameters: " in dry_run(toy(toy_splits(), 2))
    _, evaluation = run(toy(toy_splits(), 2))
    assert evaluation is not None
    assert len(evaluation.sources) == 8
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    assert stored["data"] == "(in memory)"
    assert "`(in memory)`" in (tmp_path / "run" / "README.md").read_text()
    with pytest.raises(UserError, match="a run on other data"):
        run(toy(toy_splits(seed=1), 4))
    toy_splits().save_to_disk(tmp_path / "saved")
    run(toy(tmp_path / "saved", 4))  # the same rows elsewhere are the same data
    run(toy(toy_splits(), 6))
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 6
    again = read_config(tmp_path / "run" / "config.json", ExperimentConfig)
    with pytest.raises(UserError, match="the data of this run was in memory"):
        run(again)
    assert main(["evaluate", str(tmp_path / "run")]) == 2
    assert "was in memory, which a file of options cannot hold; give it anew: --data" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(tmp_path / "saved")]) == 0
