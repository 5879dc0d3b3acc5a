"""Exit statuses where standard output breaks, with Python's usual buffering."""

import os
import subprocess
import sys

import pytest

from seq2seq.guard import guarded

BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
PROGRAM = """
import sys
from seq2seq.config import UserError
from seq2seq.guard import guarded
def work():
    print("x" * {size})
    if {fails}:
        raise UserError("wrong")
sys.exit(guarded("program", work))
"""


def ended(stdout: int, size: int, fails: bool = False) -> tuple[int, str]:
    """Status and stderr of a program that writes so many characters."""
    command = [sys.executable, "-c", PROGRAM.format(size=size, fails=fails)]
    process = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=BUFFERED)
    return process.returncode, process.stderr


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_a_reader_that_has_gone_ends_the_program_quietly(size: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    assert ended(writer, size) == (141, "")
    assert ended(writer, 1, fails=True) == (2, "program: error: wrong\n")
    os.close(writer)


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_a_full_disk_is_the_users_to_mend(size: int) -> None:
    with open("/dev/full", "wb") as full:
        assert ended(full.fileno(), size) == (2, "program: error: No space left on device\n")


def test_output_that_was_closed_from_the_start_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert guarded("program", lambda: None) == 0
