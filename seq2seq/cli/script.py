"""What a recipe script calls: its choices, overridden by the command line, carried out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from seq2seq.cli.exit_status import guarded, leave
from seq2seq.cli.options import parse_task, parse_training, task_parser, training_parser
from seq2seq.errors import check_argument
from seq2seq.inference.translator import Translator
from seq2seq.runs.layout import CURVES_FILE, WRITTEN, begun, refuse_foreign_files
from seq2seq.runs.stored_model import Build, refuse_other_kind
from seq2seq.runtime.device import prepare_process
from seq2seq.runtime.distributed import world
from seq2seq.tasks.base import scratch_output
from seq2seq.tasks.configs import ExperimentConfig, TaskConfig
from seq2seq.tasks.dry_run import description_of, dry_run
from seq2seq.tasks.evaluate import Evaluation
from seq2seq.tasks.translation import TEXT_FILES, run

Report = Callable[[ExperimentConfig, Translator, Evaluation], None]
Task = TypeVar("Task", bound=TaskConfig)
PICTURES = (
    CURVES_FILE,
    "alarms.csv",
    "clips.png",
    "comparison.png",
    "forecast.png",
    "lengths.png",
    "strips.png",
    "table.csv",
    "trajectories.png",
)
"""What recipes draw and list in their output folder."""


def run_recipe(
    defaults: ExperimentConfig,
    arguments: Sequence[str] | None = None,
    prepare: Callable[[ExperimentConfig], ExperimentConfig] | None = None,
    report: Report | None = None,
) -> NoReturn:
    """Runs a recipe script of text to text: `defaults` are its choices. The default output is runs/NAME OF THE SCRIPT.
    Exits.

    prepare: called first, in the main process, for recipes that make their own data; returns the configuration to run.
    report: called last, in the main process, with the model and its figures; by default these are printed on stdout.
    """
    check_argument("run_recipe", "defaults", defaults, ExperimentConfig)
    defaults = _with_output(defaults)

    def checked(config: ExperimentConfig) -> ExperimentConfig:
        assert prepare is not None
        refuse_foreign_files(config.directory(), (*WRITTEN, *TEXT_FILES))
        return prepare(config)

    def work() -> None:
        parser = training_parser(_script().name, _description(), defaults)
        config, build = parse_training(parser, sys.argv[1:] if arguments is None else arguments)
        with prepared(config, prepare and checked) as ready:
            train_and_report(ready, report or print_figures, build)

    leave(lambda: guarded(_script().name, work))


def run_task(
    defaults: Task,
    carry_out: Callable[[Task], None],
    arguments: Sequence[str] | None = None,
    prepare: Callable[[Task], Task] | None = None,
) -> NoReturn:
    """Runs a recipe script of any other task: carry_out gets its choices, overridden by the command line. Exits.

    prepare: as in `run_recipe`.
    """
    check_argument("run_task", "defaults", defaults, TaskConfig)
    defaults = _with_output(defaults)

    def work() -> None:
        parser = task_parser(_script().name, _description(), defaults)
        config = parse_task(parser, sys.argv[1:] if arguments is None else arguments, type(defaults))
        prepare_process()
        refuse_foreign_pictures(config.directory())
        with prepared(config, prepare) as ready:
            description = description_of(lambda: carry_out(ready))
        if description:
            print(description)

    leave(lambda: guarded(_script().name, work))


def refuse_foreign_pictures(output: Path) -> None:
    """Raises UserError where pictures lie in the folder that a recipe of several runs would overwrite with its own,
    while none of those runs has begun there."""
    if not any(begun(folder) for folder in output.glob("*/")):
        refuse_foreign_files(output, PICTURES)


@contextmanager
def prepared(config: Task, prepare: Callable[[Task], Task] | None) -> Iterator[Task]:
    """What prepare makes of the configuration, in the main process. The others wait for it, since one that wrote the
    same files later would empty them while they are read. On a dry run each makes its own, and the data that was not
    there before is gone after it. Raises UserError, before it writes anything, where the output is a run of another
    kind."""
    if prepare is None:
        yield config
        return
    if begun(config.directory()):
        refuse_other_kind(config.directory(), config.kind, "choose another --output")
    if config.dry_run:
        with scratch_output(config, "data") as asked:
            yield replace(prepare(asked), output=config.output)
        return
    with world(config.trainer.device) as here:
        made = here.broadcast_object(prepare(config) if here.is_main else config)
    yield made


def _script() -> Path:
    return Path(sys.argv[0])


def _description() -> str:
    return (sys.modules["__main__"].__doc__ or "").strip()


def _with_output(defaults: Any) -> Any:
    return defaults if defaults.output else replace(defaults, output=str(Path("runs") / _script().stem))


def train_and_report(config: ExperimentConfig, report: Report, build: Build | None = None) -> None:
    """Trains and reports; on a dry run prints what would be trained."""
    prepare_process()
    if config.dry_run:
        print(dry_run(config, build))
        return
    translator, evaluation = run(config, build)
    if evaluation is not None:
        report(config, translator, evaluation)


def print_figures(config: ExperimentConfig, _translator: Translator, evaluation: Evaluation) -> None:
    """The test figures on stdout."""
    print(f"{config.test_split}\t{evaluation.scores.describe()}")
    print(f"{config.test_split}, lowercased\t{evaluation.lowercased.bleu.describe()}")
    for corpus, scores in evaluation.corpora.items():
        print(f"{config.test_split}, {corpus}\t{scores.describe()}")
