"""What a recipe script calls: its choices, overridden by the command line, carried out."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from seq2seq.config import UserError
from seq2seq.experiment import ExperimentConfig, run
from seq2seq.hardware import keep_freed_memory, limit_threads
from seq2seq.inspection import dry_run
from seq2seq.options import parse_training, training_parser
from seq2seq.trainer import Interrupted


def main(defaults: ExperimentConfig, arguments: Sequence[str] | None = None) -> None:
    """Runs a recipe script: `defaults` are its choices. The default output is runs/NAME OF THE SCRIPT. Exits the process."""
    script = Path(sys.argv[0])
    description = (sys.modules["__main__"].__doc__ or "").strip().split("\n")[0]
    if not defaults.output:
        defaults = replace(defaults, output=str(Path("runs") / script.stem))

    def work() -> None:
        parser = training_parser(script.name, description, defaults)
        train_as_told(*parse_training(parser, sys.argv[1:] if arguments is None else arguments))

    sys.exit(guarded(script.name, work))


def train_as_told(config: ExperimentConfig, dry: bool) -> None:
    """Trains and prints the test figures on stdout; or, on a dry run, prints what would be trained."""
    keep_freed_memory()
    limit_threads()
    if dry:
        print(dry_run(config))
        return
    _, evaluation = run(config)
    if evaluation is not None:
        print(f"{config.test_split}\t{evaluation.scores.describe()}")
        print(f"{config.test_split}, lowercased\t{evaluation.lowercased.bleu.describe()}")


def guarded(program: str, work: Callable[[], None]) -> int:
    """Does the work; turns what can go wrong outside this program into one line on stderr and an exit status.

    0: done. 2: something the user can mend. 128 + number: ended by a signal, the state saved.
    """
    try:
        work()
    except UserError as error:
        return _complain(program, str(error), 2)
    except Interrupted as stop:
        return _complain(program, f"{stop}; the state is saved, the same command goes on from there", 128 + stop.signal_number)
    except KeyboardInterrupt:
        return _complain(program, "interrupted", 128 + signal.SIGINT)
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone: nothing more to say, and Python's own complaint is noise
        return 128 + signal.SIGPIPE
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _complain(program, f"{where}{error.strerror or error}", 2)
    return 0


def _complain(program: str, message: str, status: int) -> int:
    print(f"{program}: error: {' '.join(message.split())}", file=sys.stderr)
    return status
