"""A function of the user's own, which `--build FILE.py:FUNCTION` names, or `--metrics`: the one place where a name
becomes code. Only the command line gives such names, never a file."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from seq2seq.errors import UserError, check


def function_in(place: str, option: str = "--build") -> Callable[..., Any]:
    """The function that FILE.py:FUNCTION names, as the option has it; runs the file. Raises UserError where there is
    none, or the file raises an error or ends the program."""
    file, _, name = place.rpartition(":")
    check(file.endswith(".py") and name.isidentifier(), f"{option} must be FILE.py:FUNCTION, not {place!r}")
    check(Path(file).is_file(), f"{option} {place}: there is no file {file}")
    function = getattr(_module_in(Path(file), option), name, None)
    check(callable(function), f"{option} {place}: {file} defines no function {name}")
    assert callable(function)
    return function


def _module_in(path: Path, option: str) -> ModuleType:
    imported = sys.modules.get(path.stem)
    check(
        imported is None or Path(getattr(imported, "__file__", None) or path).resolve() == path.resolve(),
        f"{option} {path}: a module {path.stem} is imported already; rename the file",
    )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their own module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[path.stem]
        raise UserError(f"{option}: {path}{_line_of(error, path)}: {type(error).__name__}: {error}") from None
    return module


def _line_of(error: BaseException, path: Path) -> str:
    """Where in the file an error arose; nothing where that is not known, as for bytes that are no text."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == path.resolve()]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    return f", line {line}" if line else ""
