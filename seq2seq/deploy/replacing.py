"""A folder that takes another one's place once it is complete, whatever ends the program before."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import portalocker

from seq2seq.runtime.atomic_files import sync

LOCK, NEW, OLD = ".lock", ".tmp", ".old"
"""Ends of the hidden names beside a folder: held by the process that writes, what it writes, what it replaces."""


@contextlib.contextmanager
def replacing(directory: Path) -> Iterator[Path]:
    """A folder to write to, which `put_in_place` puts in the place of `directory`; removed where that does not come to
    pass. So is what processes left that were killed. Raises OSError where none can be written."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    remove_dead(directory)
    with _locked(directory) as lock:
        new = lock.with_suffix(NEW)
        try:
            new.mkdir(0o700)
            yield new
        finally:
            _remove(lock, directory)


def put_in_place(new: Path, directory: Path) -> None:
    """Renames what `replacing` gave; what was there before is kept until then."""
    old = new.with_suffix(OLD)
    new.chmod(0o755)
    if directory.exists():
        directory.rename(old)
    new.rename(directory)
    sync(directory.parent)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[Path]:
    """A new file beside the folder, locked by this process for as long as it lives."""
    descriptor, name = tempfile.mkstemp(prefix=f".{directory.name}.", suffix=LOCK, dir=directory.parent)
    with os.fdopen(descriptor, "r+") as file:
        portalocker.lock(file, portalocker.LOCK_EX)
        yield Path(name)


def remove_dead(directory: Path) -> None:
    """Removes what was written beside a folder by processes that are no more."""
    ours = re.compile(rf"\.{re.escape(directory.name)}\.\w{{8}}{re.escape(LOCK)}", re.ASCII)
    for lock in [path for path in directory.parent.iterdir() if ours.fullmatch(path.name)]:
        with contextlib.suppress(OSError, portalocker.LockException), lock.open("r+") as file:
            portalocker.lock(file, portalocker.LOCK_EX | portalocker.LOCK_NB)
            _remove(lock, directory)


def _remove(lock: Path, directory: Path) -> None:
    """What lies beside the folder under this lock's name; the former folder comes back where no other took its
    place."""
    old = lock.with_suffix(OLD)
    if old.exists() and not directory.exists():
        old.rename(directory)
    for path in (lock.with_suffix(NEW), old):
        shutil.rmtree(path, ignore_errors=True)
    lock.unlink(missing_ok=True)
