"""`python -m seq2seq`: the command line."""

import atexit
import contextlib
import os
import sys

from seq2seq.cli.main import main


def _leave(status: int) -> None:
    """Ends one of several processes. On busy cores one in twelve that had done their work was seen to abort while
    Python took itself apart ("terminate called without an active exception", a thread of a library)."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    status = main()
    if os.environ.get("WORLD_SIZE", "1") != "1":
        _leave(status)
    sys.exit(status)
