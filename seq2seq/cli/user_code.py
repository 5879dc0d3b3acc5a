"""A function of the user's own, which `--build FILE.py:FUNCTION` names, or `--metrics`: the one place where a name
becomes code. Only the command line gives such names, never a file."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from seq2seq.errors import UserError, check, where_and_why


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
        with contextlib.redirect_stdout(sys.stderr):  # standard output is for results
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[path.stem]
        raise UserError(f"{option}: {path}{where_and_why(error, path)}") from None
    return module
