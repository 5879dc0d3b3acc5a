"""Exit statuses where standard output breaks, with Python's usual buffering; garbage collection around imports."""

import fcntl
import gc
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from importlib import import_module
from pathlib import Path

import pytest

from seq2seq.cli.exit_status import quick_imports

FULL = "{program}: error: standard output: No space left on device\n"
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
PROGRAM = """
import sys
from seq2seq.errors import UserError
from seq2seq.cli.exit_status import guarded
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
        told = FULL.format(program="program")
        unnamed = told.replace("standard output: ", "")  # Python forgets so much at once, and where it was to go
        assert ended(full.fileno(), size) == (2, told if size == 1 else unnamed)


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"]])
def test_help_ends_quietly_where_its_reader_has_gone(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        command = [sys.executable, "-m", "seq2seq", *words]
        process = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(writing)
    assert (process.returncode, process.stderr) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"]])
def test_help_on_a_full_disk_fails_as_other_output(words: list[str]) -> None:
    environment = BUFFERED if "train" in words else {**BUFFERED, "PYTHONUNBUFFERED": "1"}
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "seq2seq", *words]
        process = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environment)
    assert (process.returncode, process.stderr) == (2, FULL.format(program="seq2seq"))


def test_output_that_was_closed_from_the_start_is_the_users_to_mend() -> None:
    """Before any work is done: print would write the results nowhere, without an error."""
    command = 'exec "$0" -c "$1" >&-'
    process = subprocess.run(
        ["sh", "-c", command, sys.executable, PROGRAM.format(size=1, fails=False)], capture_output=True, text=True
    )
    told = "program: error: standard output is closed; open it, or discard the output: > /dev/null\n"
    assert (process.returncode, process.stderr) == (2, told)


def test_complaints_do_not_go_among_the_results_where_stderr_is_closed() -> None:
    process = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, PROGRAM.format(size=1, fails=True)], capture_output=True
    )
    assert (process.returncode, process.stdout) == (2, b"x\n")


LEAVING = """
import atexit, os, sys
from seq2seq.cli.exit_status import leave

class Library:
    def __del__(self):
        os.abort()

library = Library()
atexit.register(lambda: print("exit handlers"))
print("results")
leave(lambda: {run})
"""


@pytest.mark.parametrize(("run", "status"), [("0", 0), ("2", 2), ("sys.exit()", 0), ("sys.exit(3)", 3)])
def test_one_of_several_processes_is_not_brought_down_on_its_way_out(run: str, status: int) -> None:
    def end(world_size: str) -> tuple[int, str]:
        environment = BUFFERED | {"WORLD_SIZE": world_size}
        command = [sys.executable, "-c", LEAVING.format(run=run)]
        process = subprocess.run(command, capture_output=True, text=True, env=environment)
        return process.returncode, process.stdout

    assert end("2") == (status, "results\nexit handlers\n")
    assert end("1") == (-signal.SIGABRT, "results\nexit handlers\n")  # Python takes itself apart, as always


def test_quick_imports_collect_no_garbage_until_they_end() -> None:
    with quick_imports():
        within = gc.isenabled()
    assert (within, gc.isenabled()) == (False, True)


def test_garbage_is_collected_again_after_an_import_that_fails() -> None:
    with pytest.raises(ImportError), quick_imports():
        import_module("seq2seq.nothing_of_the_kind")
    assert gc.isenabled()


def test_quick_imports_of_a_program_that_has_torch_freeze_nothing() -> None:
    import_module("torch")
    frozen = gc.get_freeze_count()
    with quick_imports():
        pass
    assert gc.get_freeze_count() == frozen


def test_quick_imports_leave_a_collector_that_is_off() -> None:
    gc.disable()
    try:
        with quick_imports():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


SIGNALLED = """
import os, signal, sys, time
from seq2seq.cli.exit_status import guarded
def work():
    open("half", "w").close()
    try:
        {happens}
        print("done")
    finally:
        os.remove("half")
sys.exit(guarded("program", work))
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_program_by_one_line_once_it_has_cleaned_up(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SIGNALLED.format(happens=f"signal.raise_signal(signal.{name})")]
    process = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert process.returncode == 128 + signal.Signals[name]
    assert (process.stdout, process.stderr) == ("", f"program: error: ended by {name}\n")
    assert not list(tmp_path.iterdir())


def test_what_nohup_ignores_stays_ignored(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SIGNALLED.format(happens="signal.raise_signal(signal.SIGHUP)")]
    process = subprocess.run(["nohup", *command], capture_output=True, text=True, cwd=tmp_path)
    assert (process.returncode, process.stdout) == (0, "done\n")


def test_a_terminal_that_closes_ends_the_program_with_its_status(tmp_path: Path) -> None:
    """Where nothing can be said any more."""
    master, terminal = pty.openpty()
    happens = "open('begun', 'w').close(); time.sleep(30)"
    process = subprocess.Popen(
        [sys.executable, "-c", SIGNALLED.format(happens=happens)],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        cwd=tmp_path,
    )
    os.close(terminal)
    deadline = time.monotonic() + 20
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.close(master)
    assert process.wait(20) == 128 + signal.SIGHUP
    assert not (tmp_path / "half").exists()
