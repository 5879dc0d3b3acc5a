"""Atomic file writes: readers see the old or the new content, never a part."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from seq2seq.errors import check, check_argument
from seq2seq.runtime.paths import checked_path

TEMPORARY = re.compile(r"\..+\.\d+\.tmp")
"""Names under which `write_atomically` begins."""


def sync(path: Path) -> None:
    """Makes a file or directory entry survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Replaces a file so that readers see the old or the new content, never a part."""
    temporary = _beside(path)
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def write_once(path: Path, text: str) -> None:
    """Writes a file of data that a recipe makes, unless it is there already. Raises UserError where another text is
    there: it may be the user's."""
    place = checked_path(path, "path", "a file of text")
    check_argument("write_once", "text", text, str)
    if not place.exists():
        write_atomically(place, text)  # of several processes each writes it, or reads the whole
    same = place.read_bytes() == text.encode()
    check(same, f"{place}: holds other words than this run would train on; choose another --output")


@contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """As `write_atomically`, for content that comes piece by piece: the old file stays where an error comes first."""
    temporary = _beside(path)
    try:
        with temporary.open("wb") as file:
            yield file
        sync(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def sweep(directory: Path) -> None:
    """Removes what writers that died left behind. Call it where nobody else is writing."""
    for leftover in directory.glob(".*.tmp"):
        if leftover.is_file() and TEMPORARY.fullmatch(leftover.name):  # not a file of the user's
            leftover.unlink(missing_ok=True)
