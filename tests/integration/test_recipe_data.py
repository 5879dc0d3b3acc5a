"""What recipes make of data that is given to them, and of settings they wrote themselves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pytest
import text_classification

from seq2seq.config import UserError

CLASSES = ["bad", "good"]


def write_reviews(folder: Path, **labels: list[int | None]) -> text_classification.Config:
    """A split of reviews per list of labels; the configuration that reads them."""
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=CLASSES)})
    folder.mkdir()
    for split, given in labels.items():
        columns: dict[str, Any] = {"text": [f"{split} {row}" for row in range(len(given))], "label": given}
        datasets.Dataset.from_dict(columns, features=features).to_parquet(folder / f"{split}.parquet")
    return replace(text_classification.CONFIG, data=str(folder))


@pytest.mark.parametrize("hidden", [-1, None])
def test_hidden_labels_are_refused(hidden: int | None, tmp_path: Path) -> None:
    """As an index into the names, -1 is the last class: a figure would mean nothing."""
    config = write_reviews(tmp_path / "reviews", train=[0, 1] * 10, test=[1, hidden, hidden])
    with pytest.raises(UserError, match=r"split test, row 2: the label is hidden \((-1|None)\); give data"):
        text_classification.read(config)


def test_validation_is_held_out_of_training_only_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_reviews(tmp_path / "two", train=[0, 1] * 10, test=[0, 1])
    training, validation, test = text_classification.read(config)
    assert (len(training), len(validation), len(test)) == (18, 2, 2)
    config = write_reviews(tmp_path / "three", train=[0, 1] * 10, validation=[1, 0, 1], test=[0, 1])
    training, validation, test = text_classification.read(config)
    assert (len(training), len(validation), len(test)) == (20, 3, 2)
    assert {text.split()[0] for text, _ in validation} == {"validation"}

    def unreachable(data: str, split: str) -> Any:
        if split == "validation":
            raise UserError("no network")
        return datasets.load_dataset(data, split=split)

    monkeypatch.setattr(text_classification, "open_any", unreachable)
    with pytest.raises(UserError, match="no network"):
        text_classification.read(config)


def test_baselines_are_tested_on_what_the_models_are_tested_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An example of a class that training does not have is left out for both."""
    training = [("clean room", "good"), ("dirty room", "bad")] * 30
    splits = training, training[:10], [*training[:6], ("a remark", "unheard of")]
    monkeypatch.setattr(text_classification, "read", lambda _: splits)
    monkeypatch.setattr(text_classification, "POOLINGS", ())
    text_classification.main(replace(text_classification.CONFIG, output=str(tmp_path), vocabulary_size=20))
    assert capsys.readouterr().out.count("% of 6") == 2
