"""Signals that ask training to end."""

import contextlib
import logging
import signal
from collections.abc import Iterator

from seq2seq.errors import Interrupted

log = logging.getLogger(__name__)

STOP_SIGNALS = [signal.SIGTERM, signal.SIGINT, *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else [])]
"""SIGUSR1 is what schedulers send ahead of a time limit."""


class StopRequest:
    """Whether this process was asked to stop after the current step."""

    def __init__(self) -> None:
        self.number = 0
        """The signal that asked for it; 0 = none."""

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Takes note of each of STOP_SIGNALS once; a second one takes its usual course."""

        def remember(number: int, _frame: object) -> None:
            self.number = number
            signal.signal(number, previous[signal.Signals(number)])
            log.info("%s: stopping after this step", signal.Signals(number).name)

        try:
            previous = {number: signal.signal(number, remember) for number in STOP_SIGNALS}
        except ValueError:  # not in the main thread: signals are the caller's business
            yield
            return
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def interrupted(self) -> Interrupted:
        """The exception to raise. Where only another process was asked, it names SIGTERM."""
        return Interrupted(self.number or signal.SIGTERM)
