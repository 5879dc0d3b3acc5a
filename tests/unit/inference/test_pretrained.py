"""Trained models of every kind are saved and loaded after the Hub's habits."""

import json
import shutil
from pathlib import Path

import pytest

import seq2seq
from seq2seq.cli.main import main
from seq2seq.errors import UserError
from tests.comparison import assert_close
from tests.tiny_runs import answers

FIXTURES = Path(__file__).parents[2] / "fixtures"
STORED = sorted(FIXTURES.glob("*-format2"))
CLASSES = {
    "translator": seq2seq.Translator,
    "generator": seq2seq.Generator,
    "predictor": seq2seq.Predictor,
    "language_model": seq2seq.CharacterModel,
}


@pytest.mark.parametrize("stored", STORED, ids=lambda path: path.name)
def test_a_saved_model_answers_alike(stored: Path, tmp_path: Path) -> None:
    kind = json.loads((stored / "config.json").read_text())["kind"]
    expected = json.loads((stored / "expected.json").read_text())
    CLASSES[kind].from_pretrained(stored).save_pretrained(tmp_path / "saved")
    assert_close(answers(tmp_path / "saved", expected["inputs"]), expected["answers"], 1e-4)
    reader = {"reader"} if kind in ("generator", "predictor") else set()
    assert json.loads((tmp_path / "saved" / "config.json").read_text()).keys() == {"format", "kind", "model"} | reader
    assert main(["verify", str(tmp_path / "saved")]) == 0
    others = [each for name, each in CLASSES.items() if name != kind]
    for other in others:
        with pytest.raises(UserError, match=f"holds a {kind}, not a {other.kind}"):
            other.from_pretrained(tmp_path / "saved")


@pytest.mark.parametrize("stored", STORED, ids=lambda path: path.name)
def test_it_is_not_saved_onto_a_training_run(stored: Path, tmp_path: Path) -> None:
    shutil.copytree(stored, tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(UserError, match="holds a training run"):
        seq2seq.load(stored).save_pretrained(tmp_path / "run")
    assert {path: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
