"""The file of `translate --attention`: no other file is lost to it, nor its own content before there is a new one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seq2seq.cli.main import main
from seq2seq.inference.translator import Translator


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "in.txt").write_text("ba ko\nmi\n")
    return tmp_path / "in.txt"


@pytest.mark.parametrize(
    "name", ["in.txt", "./in.txt", "link", "config.json", "blank", "list.json", "-", "nowhere/a", "."]
)
def test_other_files_are_not_overwritten(
    name: str, toy_run: Path, text: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(text.parent)
    Path("link").symlink_to("in.txt")
    contents = {"config.json": '{"format": 1}\n', "blank": "\n", "list.json": '["line", "weights"]\n'}
    for file, content in contents.items():
        Path(file).write_text(content)
    assert main(["translate", str(toy_run), "in.txt", "--attention", name]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("seq2seq: error: --attention")
    assert text.read_text() == "ba ko\nmi\n"
    assert {file: Path(file).read_text() for file in contents} == contents
    assert not Path("-").exists()


def test_standard_output_is_for_the_translations(toy_run: Path, text: Path) -> None:
    command = [sys.executable, "-m", "seq2seq", "translate", str(toy_run), str(text), "--attention"]
    out = text.with_name("out.txt")
    for name in (out, "/dev/stdout"):
        with out.open("wb") as stream:
            ended = subprocess.run([*command, str(name)], stdout=stream, stderr=subprocess.PIPE)
        assert ended.returncode == 2
        assert b"standard output is for the translations" in ended.stderr
        assert out.read_bytes() == b""
    piped = subprocess.run([*command, "/dev/stderr"], capture_output=True)
    assert [json.loads(line)["line"] for line in piped.stderr.splitlines() if line.startswith(b"{")] == [1, 2]
    assert piped.stdout == b"BA KO\nMI\n"


def test_a_failure_leaves_what_was_there(toy_run: Path, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = text.with_name("weights.jsonl")
    command = ["translate", str(toy_run), str(text), "--attention", str(weights)]
    weights.write_text("")  # as a call leaves it that had nothing to translate
    assert main(command) == 0
    before = weights.read_text()
    assert [json.loads(line)["line"] for line in before.splitlines()] == [1, 2]

    def disk_full(*_: object) -> None:
        raise OSError(28, os.strerror(28), str(weights))

    text.write_text("so\n")
    with monkeypatch.context() as patched:
        patched.setattr(Translator, "align", disk_full)
        assert main(command) == 2
    assert weights.read_text() == before
    assert sorted(path.name for path in text.parent.iterdir()) == ["in.txt", "weights.jsonl"]
    assert main(command) == 0
    assert [json.loads(line)["line"] for line in weights.read_text().splitlines()] == [1]


def test_a_full_device_is_named(toy_run: Path, text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["translate", str(toy_run), str(text), "--attention", "/dev/full"]) == 2
    assert capsys.readouterr().err.endswith("seq2seq: error: --attention /dev/full: No space left on device\n")
