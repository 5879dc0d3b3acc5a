"""A save that dies or fails at any point loses nothing that was saved before."""

import contextlib
import errno
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq.cli.exit_status import guarded
from seq2seq.runs import checkpoints
from seq2seq.runs.checkpoints import CheckpointStore, find_fault
from seq2seq.runtime import atomic_files
from tests.comparison import assert_same, final_state
from tests.forking import SERVER
from tests.reliability.conftest import Trials, finish_training, small, train_quietly

BOUNDARIES = [
    (Path, "write_bytes"),
    (Path, "replace"),
    (Path, "mkdir"),
    (atomic_files, "sync"),
    (checkpoints, "sync"),
    (shutil, "rmtree"),
]
"""Every call of the save protocol that touches the disk."""


WRITE_BYTES = Path.write_bytes


class Death(BaseException):
    """Nothing in the program handles it, as nothing handles SIGKILL."""


@contextlib.contextmanager
def failing(at: int, error: Callable[[Any], BaseException]) -> Iterator[list[int]]:
    """Makes the at-th of the boundary calls raise instead; gives the number of calls so far."""
    calls = [0]
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in BOUNDARIES:
            patch.setattr(owner, name, _counting(getattr(owner, name), calls, at, error))
        yield calls


def _counting(original: Any, calls: list[int], at: int, error: Callable[[Any], BaseException]) -> Any:
    def call(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == at:
            if original is WRITE_BYTES:  # half of it reached the disk
                original(arguments[0], arguments[1][: len(arguments[1]) // 2])
            raise error(arguments[0])
        return original(*arguments, **options)

    return call


def contents(step: int) -> dict[str, dict[str, torch.Tensor]]:
    return {name: {"w": torch.full((50,), float(step))} for name in ("model", "optimizer", "average")}


def save(directory: Path, step: int) -> None:
    CheckpointStore(directory / "checkpoints").save(step, contents(step), {"progress": step})


def calls_of_a_save(directory: Path) -> int:
    with failing(-1, lambda _: Death()) as calls:
        save(directory, 3)
    return calls[0]


def prepared(directory: Path) -> Path:
    for step in (1, 2):
        save(directory, step)
    return directory


QUICK_BOUNDARIES = 30
"""Calls of a save that prunes; the test checks that the number is right."""


@pytest.mark.fault(2, "death at every boundary of the save", QUICK_BOUNDARIES, 200)
def test_death_in_a_save_leaves_the_one_before(trials: Trials, tmp_path: Path) -> None:
    assert calls_of_a_save(prepared(tmp_path / "count")) == QUICK_BOUNDARIES
    outcomes = set()
    for chance in trials:
        directory = prepared(tmp_path / f"{trials.done}")
        at = trials.done + 1 if trials.done < QUICK_BOUNDARIES else chance.randint(1, QUICK_BOUNDARIES)
        with pytest.raises(Death), failing(at, lambda _: Death()):
            save(directory, 3)
        loaded = CheckpointStore(directory / "checkpoints").load_latest()
        assert loaded is not None
        tensors, state = loaded
        assert state["progress"] in (2, 3)
        assert_same(tensors, contents(state["progress"]))
        outcomes.add(state["progress"])
        save(directory, 4)
        latest, *left = sorted(path.name for path in (directory / "checkpoints").iterdir())
        assert (directory / "checkpoints" / latest).read_text() == "step-00000004\n"
        assert len(left) == 2
        assert left[-1] == "step-00000004"
    assert outcomes == {2, 3}


def _os_error(number: int, path: object) -> OSError:
    return OSError(number, os.strerror(number), str(path))


ERRORS = [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES]


@pytest.mark.fault(5, "disk full, I/O error, read-only, no permission at the n-th write", 4, 80)
def test_a_failed_write_is_one_line_and_training_goes_on_later(
    trials: Trials, toy_data: Path, whole: tuple[Path, float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for chance in trials:
        config = small(toy_data, tmp_path / f"run{trials.done}")
        number = ERRORS[trials.done % len(ERRORS)]
        with failing(chance.randint(1, 90), partial(_os_error, number)):
            status = guarded("seq2seq", partial(train_quietly, config))
        told = capsys.readouterr().err.strip().split("\n")
        if status:
            assert status == 2
            assert told[-1].startswith("seq2seq: error: ")
            assert os.strerror(number) in told[-1]
        store = CheckpointStore(Path(config.output) / "checkpoints")
        assert [find_fault(path) for path in store.list()] == [None] * len(store.list())
        finish_training(config)
        assert_same(final_state(Path(config.output)), final_state(whole[0]))


def _train_in_a_small_place(config: Any, limit: int) -> None:
    """The kernel itself refuses to write more than `limit` bytes to any file."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    sys.exit(guarded("seq2seq", partial(train_quietly, config)))


def test_a_file_that_the_kernel_refuses_to_grow_loses_nothing(
    toy_data: Path, whole: tuple[Path, float], tmp_path: Path
) -> None:
    config = small(toy_data, tmp_path / "run")
    finish_training(small(toy_data, tmp_path / "run", max_steps=8))
    largest = max(path.stat().st_size for path in (tmp_path / "run").rglob("*.safetensors"))
    process = SERVER.Process(target=_train_in_a_small_place, args=(config, largest - 1))
    process.start()
    process.join(60)
    assert process.exitcode == 2
    finish_training(config)
    ended, expected = (final_state(path) for path in (tmp_path / "run", whole[0]))
    assert_same(ended["model.safetensors"], expected["model.safetensors"])
