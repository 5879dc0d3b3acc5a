"""`python -m seq2seq`, and the command `seq2seq`: the command line."""

from typing import NoReturn

from seq2seq.cli.exit_status import leave
from seq2seq.cli.main import main


def run() -> NoReturn:
    """The command line as a program of its own."""
    leave(main)


if __name__ == "__main__":
    run()
