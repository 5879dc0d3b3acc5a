"""The outermost layer of every program here: errors become one line and an exit status."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn

from seq2seq.errors import Interrupted, Terminated, UserError
from seq2seq.runtime.signals import END_SIGNALS, ending_by_exception


def guarded(program: str, work: Callable[[], None]) -> int:
    """Does the work; turns what can go wrong outside this program into one line on stderr and an exit status.

    0: done. 2: something the user can mend. 128 + number: ended by a signal, the state saved.
    """
    for number in (signal.SIGINT, *END_SIGNALS):
        if signal.getsignal(number) is _end_at_once:  # from here on `work` may have something to save
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    if sys.stderr is None:  # closed by the caller: print(file=None) would put complaints among the results
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
    if sys.stdout is None:  # print would write the results nowhere, and call that success
        return _complain(program, "standard output is closed; open it, or discard the output: > /dev/null", 2)
    with ending_by_exception():
        status = _status_of(program, work)
    if not _takes_output():  # Python would try once more on its way out, and end with status 120
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def leave(run: Callable[[], int]) -> NoReturn:
    """Ends this process with the status that `run` gives, or exits with.

    One of several processes does not take Python apart: on busy cores one in twelve that had done their work was seen
    to abort on that way ("terminate called without an active exception", a thread of a library), which torchrun takes
    for a failure.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        sys.exit(run())
    try:
        status = run()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # no reader any more, or closed
            stream.flush()
    os._exit(status)


def guard_imports() -> None:
    """Until `guarded` takes over, Ctrl-C and END_SIGNALS end the script with one line and a status: importing torch
    takes seconds. Recipes call it first of all; nothing is to be saved by then."""
    for number in (signal.SIGINT, *END_SIGNALS):
        if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):  # else ignored, or the caller's
            signal.signal(number, _end_at_once)


def _end_at_once(number: int, _frame: object) -> None:
    """A handler that raises nothing: modules half imported would catch it, or report it in their own way."""
    reason = "interrupted" if number == signal.SIGINT else str(Terminated(number))
    with contextlib.suppress(OSError):
        os.write(2, f"{os.path.basename(sys.argv[0])}: error: {reason}\n".encode())
    os._exit(128 + number)


@contextlib.contextmanager
def quick_imports() -> Iterator[None]:
    """Imports without garbage collection: torch's make some 280,000 objects, and looking through them again and again
    takes 0.3 to 0.5 s of 3. Nearly all of them stay, so later collections leave them out, too."""
    begins = "torch" not in sys.modules  # else the program's own garbage would be left out with them
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if begins:
            gc.freeze()
        if collecting:
            gc.enable()


def _status_of(program: str, work: Callable[[], None]) -> int:
    try:
        work()
        _flush_output()  # what was written is not done before the reader or the disk has taken it
    except UserError as error:
        return _complain(program, str(error), 2)
    except Interrupted as stop:
        _say(f"{program}: {stop}; the state is saved, the same command continues from there")
        return 128 + stop.signal_number
    except Terminated as end:
        return _complain(program, str(end), 128 + end.signal_number)
    except KeyboardInterrupt:
        return _complain(program, "interrupted", 128 + signal.SIGINT)
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone: nothing more to say, and Python's own complaint is noise
        return 128 + signal.SIGPIPE
    except OSError as error:
        where = error.filename or ("" if _takes_output() else "standard output")
        return _complain(program, f"{where}: {error.strerror or error}" if where else f"{error.strerror or error}", 2)
    return 0


def _takes_output() -> bool:
    """Whether standard output takes what still waits to be written. What it refused once waits, unless it was large."""
    try:
        _flush_output()
    except OSError:
        return False
    return True


def _flush_output() -> None:
    sys.stdout.flush()


def _complain(program: str, message: str, status: int) -> int:
    _say(f"{program}: error: {' '.join(message.split())}")
    return status


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone: that is what SIGHUP says
        print(line, file=sys.stderr)
