"""`python -m seq2seq`: the command line."""

import atexit
import contextlib
import logging
import os
import sys

from seq2seq.cli.main import main


def _leave(status: int) -> None:
    """Ends one of several processes. Threads of torch's connection may outlive what they use while Python takes itself
    apart, about once in ten ends on busy cores, and abort a process that has done its work."""
    atexit._run_exitfuncs()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    status = main()
    if os.environ.get("WORLD_SIZE", "1") != "1":
        _leave(status)
    sys.exit(status)
