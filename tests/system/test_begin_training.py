"""What training refuses, or says, before it reads data or begins a run."""

import json
import logging
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import captions_images
import pytest

from seq2seq.cli.main import main
from seq2seq.cli.script import prepared
from seq2seq.errors import UserError
from seq2seq.tasks.dry_run import description_of
from seq2seq.tasks.transcription import train_generator
from tests.conftest import write_toy_data
from tests.tiny_runs import generator_task, spelled

STORED = Path(__file__).parents[1] / "fixtures"


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


def test_bf16_is_refused_on_a_cpu_whose_layers_lack_it(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("seq2seq.tasks.base.cpu_has_bf16_layers", lambda: False)
    options = ["--trainer.precision", "bf16", "--trainer.device", "cpu"]
    told = complaint(capsys, arguments(toy_data, tmp_path / "run", *options))
    assert "trainer.precision bf16: this CPU only emulates it" in told
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


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_run_of_another_kind_is_named_as_such(
    dry: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where it is of the first format, whose config.json does not say its kind."""
    for name, kind in (("generator-0.1.0-format2", "generator"), ("characters-0.1.0", "language_model")):
        output = shutil.copytree(STORED / name, tmp_path / name)
        before = {path: path.read_bytes() for path in output.iterdir()}
        told = f"{output}: holds a {kind}, not a translator; choose another --output"
        assert complaint(capsys, arguments(tmp_path / "nowhere", output, *dry)).endswith(told)
        assert {path: path.read_bytes() for path in output.iterdir()} == before


def test_a_start_of_another_kind_is_named_in_python_too(tmp_path: Path) -> None:
    task = replace(generator_task(tmp_path / "run"), start_from=str(STORED / "translator-0.1.0"))
    with pytest.raises(UserError, match="holds a translator, not a generator; training can only start from"):
        train_generator(task, spelled(4, 1), spelled(4, 2))


def test_a_recipe_generates_no_data_in_a_run_of_another_kind(tmp_path: Path) -> None:
    output = shutil.copytree(STORED / "translator-0.1.0", tmp_path / "run")
    asked = replace(captions_images.CONFIG, output=str(output), quick=True)
    refusal = pytest.raises(UserError, match="holds a translator, not a generator; choose another --output")
    with refusal, prepared(asked, captions_images.prepare):
        pass
    assert not (output / "data").exists()


def test_a_dry_run_of_a_recipe_that_makes_its_data_leaves_nothing(tmp_path: Path) -> None:
    asked = replace(captions_images.CONFIG, output=str(tmp_path / "run"), quick=True, dry_run=True)
    with prepared(asked, captions_images.prepare) as ready:
        assert ready.output == asked.output
        assert "parameters: " in description_of(lambda: captions_images.main(ready))
    assert not list(tmp_path.iterdir())
    assert not Path(ready.data).exists()
    (tmp_path / "run" / "data" / "train").mkdir(parents=True)
    (tmp_path / "run" / "data" / "train" / "metadata.jsonl").write_text("mine\n")
    refusal = pytest.raises(UserError, match=r"metadata\.jsonl: holds other words than this run would train on")
    with refusal, prepared(asked, captions_images.prepare):
        pass


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_an_output_that_is_a_broken_link_is_called_so(
    dry: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "gone")
    told = f"{link}: a link to what is not there; mend the link, or give another --output"
    assert complaint(capsys, arguments(tmp_path / "data", link, *dry)).endswith(told)
    told = f"{link}: a link to what is not there; mend the link, or give a folder, a file or a Hub id"
    assert complaint(capsys, arguments(link, tmp_path / "run", *dry)).endswith(told)


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


def test_a_dry_run_needs_no_output(
    toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", "--data", str(toy_data), "--source", "en", "--target", "de"]
    assert main([*words, "--dry-run"]) == 0
    assert "first batch" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    assert complaint(capsys, words).endswith("say where the run goes: --output DIR")
