"""What training refuses, or says, before it reads data or begins a run."""

import json
import logging
import os
import sys
from pathlib import Path

import pytest

from seq2seq.cli.main import main
from tests.conftest import write_toy_data


def arguments(data: Path, output: Path, *more: object) -> list[str]:
    given = ["--data", data, "--source", "en", "--target", "de", "--output", output, "--vocabulary.size", "40"]
    return ["train", *map(str, given), "--vocabulary.byte-fallback", "false", *map(str, more)]


def complaint(capsys: pytest.CaptureFixture[str], words: list[str]) -> str:
    """Of a command that fails with one line."""
    capsys.readouterr()
    assert main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--trainer.precision", "fp16", "--trainer.device", "cpu"], "trainer.precision fp16 needs a GPU"),
        (["--trainer.device", "meta"], "device 'meta' is not known; choose cpu or cuda"),
        (["--trainer.device", "cpu:3"], "device 'cpu:3' is not known"),
    ],
)
def test_what_the_hardware_cannot_do_is_said_before_data_is_read(
    options: list[str], told: str, dry: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no such data: whoever looked for it first would name it."""
    assert told in complaint(capsys, arguments(tmp_path / "nowhere", tmp_path / "run", *options, *dry))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", ["data", "output"])
def test_a_name_that_is_no_utf8_is_refused_before_work(
    option: str, toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It could not be recorded in the run's config.json."""
    words = arguments(toy_data, tmp_path / "run", f"--{option}", os.fsdecode(os.fsencode(tmp_path / "bad") + b"\xff"))
    assert f"option '{option}' must be UTF-8" in complaint(capsys, words)
    assert not list(tmp_path.iterdir())


def test_the_output_that_a_file_names_is_said(
    toy_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    options = json.loads((toy_run / "config.json").read_text())
    (tmp_path / "mine.yaml").write_text(json.dumps({**options, "output": str(tmp_path / "run")}))
    words = ["train", "--config", str(tmp_path / "mine.yaml"), "--dry-run"]
    assert main(words) == 0
    said = f"output: {tmp_path / 'run'}, from {tmp_path / 'mine.yaml'}"
    assert said in caplog.messages
    caplog.clear()
    assert main([*words, "--output", str(tmp_path / "other")]) == 0
    assert not any(line.startswith("output:") for line in caplog.messages)


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_run_does_not_begin_among_its_data(
    dry: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_toy_data(tmp_path / "m")
    before = sorted(path.name for path in data.iterdir())
    for given in (data, data / "train.jsonl"):
        told = complaint(capsys, arguments(given, tmp_path / "x" / ".." / "m", "--validation-split", "train", *dry))
        assert "the data lies in that folder; choose another --output" in told
    assert sorted(path.name for path in data.iterdir()) == before
    assert main(arguments(data, data / "run", "--dry-run")) == 0


def test_a_missing_tokenizer_is_said_before_data_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "MeCab", None)
    monkeypatch.setitem(sys.modules, "ipadic", None)
    words = arguments(tmp_path / "nowhere", tmp_path / "run", "--target", "ja", "--dry-run")
    assert "BLEU's tokenizer for ja cannot be used" in complaint(capsys, words)


def test_going_the_other_way_than_the_start_is_warned_of(
    toy_run: Path, toy_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = ["train", "--data", str(toy_data), "--output", str(tmp_path / "run"), "--dry-run"]
    for source, target, warned in (("de", "en", True), ("en", "de", False)):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "seq2seq"):
            assert main([*words, "--source", source, "--target", target, "--start-from", str(toy_run)]) == 0
        told = "was trained from en to de, and this run goes from de to en"
        assert any(told in line for line in caplog.messages) is warned
