"""Paths as users give them."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from seq2seq.errors import UserError, check


def checked_path(given: Any, name: str, wanted: str) -> Path:
    """A file or folder that may be there or not. Raises UserError where what was given is no path, or the system
    cannot look for one of that name: it is too long, holds NUL, or a folder on the way is closed; or where it is a
    broken link.

    name, wanted: of the argument, and what to give for it, in errors.
    """
    check(isinstance(given, str | PathLike), f"{name} is of type {type(given).__name__}; give {wanted}")
    path = Path(given)
    check("\0" not in str(path), f"{name} holds a NUL character; give {wanted}")
    try:
        broken = path.is_symlink() and not path.exists()
    except OSError as error:
        shown = str(path) if len(str(path)) <= 60 else f"{str(path)[:57]}..."
        raise UserError(f"{shown}: cannot be opened ({error.strerror}); give {wanted}") from None
    check(not broken, f"{path}: a link to what is not there; mend the link, or give {wanted}")
    return path
