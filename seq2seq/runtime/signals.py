"""Signals that end a program: SIGTERM, and SIGHUP, which comes when a terminal closes."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import NoReturn

from seq2seq.errors import Terminated

END_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def terminate(number: int, _frame: object) -> NoReturn:
    """A handler that raises Terminated. A second signal takes its usual course."""
    signal.signal(number, signal.SIG_DFL)
    raise Terminated(number)


@contextlib.contextmanager
def ending_by_exception() -> Iterator[None]:
    """Within it, each of END_SIGNALS raises Terminated in the main thread, so that what was half written is removed.
    Signals that are ignored (as nohup has it), or that the caller handles, stay as they are."""
    former = {number: signal.getsignal(number) for number in END_SIGNALS}
    former = {number: handler for number, handler in former.items() if handler is signal.SIG_DFL}
    try:
        for number in former:
            signal.signal(number, terminate)
    except ValueError:  # not in the main thread: signals are the caller's business
        former = {}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
