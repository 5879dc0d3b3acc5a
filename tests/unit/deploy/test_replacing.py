"""A folder is replaced as a whole, and what a killed process left beside it goes when the next one comes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seq2seq.deploy.replacing import put_in_place, remove_dead, replacing

PROGRAM = """
import os, signal, sys
from pathlib import Path
from seq2seq.cli.exit_status import guarded
from seq2seq.deploy.replacing import replacing
def work():
    with replacing(Path(sys.argv[1])) as new:
        (new / "half").write_text("half")
        print("begun", flush=True)
        signal.pause()
sys.exit(guarded("program", work))
"""


def begun(directory: Path) -> "subprocess.Popen[str]":
    """A process that is writing."""
    command = [sys.executable, "-c", PROGRAM, str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    process = begun(tmp_path / "export")
    process.send_signal(signal.Signals[name])
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors.count("\n")) == (128 + signal.Signals[name], 1)
    assert not list(tmp_path.iterdir())


def test_the_next_one_removes_what_a_killed_process_left_and_nothing_else(tmp_path: Path) -> None:
    directory = tmp_path / "export"
    for name in (".export.mine", ".export.tmp", ".export.2.abcd1234.tmp", ".export.abcd1234.tmp"):
        (tmp_path / name).mkdir()
    before = set(tmp_path.iterdir())
    killed, alive = begun(directory), begun(directory)
    killed.kill()
    killed.communicate()
    left = set(tmp_path.iterdir()) - before
    assert len(left) == 4  # folder and lock of each
    with replacing(directory) as new:
        (new / "whole").write_text("whole")
        put_in_place(new, directory)
    assert [path.name for path in directory.iterdir()] == ["whole"]
    assert len(set(tmp_path.iterdir()) - before - {directory}) == 2
    alive.terminate()
    alive.communicate()
    assert set(tmp_path.iterdir()) == before | {directory}


def test_a_folder_that_was_being_replaced_comes_back(tmp_path: Path) -> None:
    """A kill between the two renames."""
    directory = tmp_path / "export"
    directory.mkdir()
    (directory / "before").touch()
    process = begun(directory)
    process.kill()
    process.communicate()
    (lock,) = tmp_path.glob(".export.*.lock")
    directory.rename(lock.with_suffix(".old"))
    remove_dead(directory)
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
    assert (directory / "before").exists()
