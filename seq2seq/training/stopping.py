"""Signals that ask training to end."""

import contextlib
import logging
import signal
from collections.abc import Iterator

from seq2seq.errors import Interrupted
from seq2seq.runtime.signals import terminate

log = logging.getLogger(__name__)

STOP_SIGNALS: list[signal.Signals] = [
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP") if hasattr(signal, name)
]
"""SIGUSR1 is what schedulers send ahead of a time limit, SIGHUP what comes when the terminal closes."""


class StopRequest:
    """Whether this process was asked to stop after the current step."""

    def __init__(self) -> None:
        self.number = 0
        """The signal that asked for it; 0 = none."""

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Takes note of each of STOP_SIGNALS once; a second one takes its usual course. SIGHUP stays ignored where it
        is, as nohup has it."""

        def remember(number: int, _frame: object) -> None:
            self.number = number
            usual = previous[signal.Signals(number)]
            # The command line's own handler would wait for a step that hangs.
            signal.signal(number, signal.SIG_DFL if usual is terminate else usual)
            log.info("%s: stopping after this step", signal.Signals(number).name)

        ignored = hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        heard = [number for number in STOP_SIGNALS if not (ignored and number == signal.SIGHUP)]
        try:
            previous = {number: signal.signal(number, remember) for number in heard}
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
