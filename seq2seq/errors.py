"""Errors of the user and of the outside world, as every module here raises them."""

import signal
import traceback
from pathlib import Path
from typing import Any


class UserError(ValueError):
    """A mistake the user can correct; its message is one line that names the file or option at fault."""


class Interrupted(Exception):
    """Training was asked to stop by a signal; its state is saved."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


class Terminated(BaseException):
    """A signal ends the program. Like KeyboardInterrupt no Exception: it passes those who handle mistakes."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"ended by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


def check(condition: bool, message: str) -> None:
    """Raise `UserError` with ``message`` unless ``condition`` holds."""
    if not condition:
        raise UserError(message)


def check_argument(function: str, name: str, value: Any, *kinds: type[Any]) -> None:
    """Raises UserError where an argument of a public function is of none of these types."""
    wanted = " or ".join(kind.__name__ for kind in kinds)
    check(isinstance(value, kinds), f"{function}: {name} must be of type {wanted}, not {type(value).__name__}")


def where_and_why(error: BaseException, path: Path) -> str:
    """`, line 3: TypeError: reason` of an error that arose in a file of the user's code, in one line; without the
    number where that is not known, as for bytes that are no text."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == path.resolve()]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    return f"{f', line {line}' if line else ''}: {type(error).__name__}: {' '.join(str(error).split())}"
