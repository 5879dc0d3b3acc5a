"""The file of `translate --attention`: a JSON line per input line."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from seq2seq.errors import UserError
from seq2seq.runtime.atomic_files import replaced

LONGEST_LINE = 1 << 26
"""Bytes of a first line that are looked at."""


def check_attention_file(path: Path, inputs: Sequence[str]) -> None:
    """Raises UserError where the attention weights would go among the translations, over an input, or over a file that
    they were not written to before. inputs: as `lines_of` takes them."""
    if str(path) == "-" or _is_stdout(path):
        raise UserError("--attention: standard output is for the translations; name another file for the weights")
    if not path.parent.is_dir():
        raise UserError(f"--attention {path}: there is no folder {path.parent}")
    if not path.exists():
        return
    if path.is_dir():
        raise UserError(f"--attention {path}: that is a folder; name a file in it")
    if any(os.path.exists(name) and path.samefile(name) for name in inputs):
        raise UserError(f"--attention {path}: that is an input; name another file")
    if path.is_file() and not _holds_attention(path):
        raise UserError(
            f"--attention {path}: that file was not written by --attention (its first line is no JSON object with "
            '"line" and "weights"); move it, or name another file'
        )


@contextlib.contextmanager
def attention_file(path: Path | None) -> Iterator[IO[bytes] | None]:
    """Where to write the lines; None where none are wanted. A file is replaced at the end, and stays as it was where an
    error comes first; a pipe or a device is written as it goes."""
    if path is None:
        yield None
    elif path.exists() and not path.is_file():
        with path.open("wb") as stream:
            yield stream
    else:
        with replaced(path.resolve()) as stream:
            yield stream


def write_attention(lines: str, stream: IO[bytes], path: Path) -> None:
    """Writes lines to that file. Raises UserError, which names it, where it does not take them."""
    try:
        stream.write(lines.encode())
        stream.flush()
    except OSError as error:
        with contextlib.suppress(OSError):  # what is not written yet would be tried once more, and that error shown
            stream.close()
        raise UserError(f"--attention {path}: {error.strerror or error}") from None


def _is_stdout(path: Path) -> bool:
    """Whether standard output goes there, the null device aside."""
    with contextlib.suppress(OSError, ValueError):  # no such path, or no descriptor
        return not path.samefile(os.devnull) and os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    return False


def _holds_attention(path: Path) -> bool:
    """Whether the file is empty (nothing was translated) or begins as one that was written by --attention."""
    with path.open("rb") as file:
        first = file.readline(LONGEST_LINE)
    try:
        line = json.loads(first) if first else {"line": 0, "weights": []}
    except (ValueError, RecursionError):
        return False
    return isinstance(line, dict) and {"line", "weights"} <= line.keys()
