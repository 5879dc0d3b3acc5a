"""The torture: every test here stands for a fault of docs/reliability.md and repeats it a number of times.

`pytest` does the quick number; `make torture` (`pytest --full`) the full one. At the end a table tells both.
"""

from __future__ import annotations

import multiprocessing.process
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from seq2seq.cli.exit_status import guarded
from seq2seq.evaluation import plotting
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.translation import run
from tests.conftest import toy_config
from tests.forking import SERVER


@dataclass
class Trials:
    """Counts repetitions: iterate to go on until the wanted number is done."""

    number: int
    fault: str
    wanted: int
    done: int = 0
    seconds: float = 0.0

    def __iter__(self) -> Iterator[random.Random]:
        """Gives each trial its own source of chance, so that one can be repeated alone."""
        began = time.perf_counter()
        while self.done < self.wanted:
            yield random.Random(f"{self.number}.{self.done}")
            self.done += 1
            self.seconds = time.perf_counter() - began


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fault(number, name, quick, full): what a test of tests/reliability repeats")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The soak comes first: an hour that the other test process fills with the other faults."""
    items.sort(key=lambda item: item.path.name != "test_soak.py")


@pytest.fixture
def trials(request: pytest.FixtureRequest) -> Iterator[Trials]:
    """The repetitions of the test's fault; how many were done travels in the test's report, from any test process."""
    made = trials_of(request.node)
    yield made
    request.node.user_properties.append(("trials", asdict(made)))


def trials_of(item: pytest.Item) -> Trials:
    marker = item.get_closest_marker("fault")
    assert marker is not None
    number, name, quick, full = marker.args
    return Trials(number, name, full if item.config.getoption("--full") else quick)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test whose fixtures fail has done nothing, and has its row in the table all the same."""
    report = yield
    if report.failed and report.when == "setup" and "trials" in getattr(item, "fixturenames", ()):
        report.user_properties.append(("trials", asdict(trials_of(item))))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [
        each for group in terminalreporter.stats.values() for each in group if isinstance(each, pytest.TestReport)
    ]
    failed = {report.nodeid for report in reports if report.failed}
    found = {}
    for report in reports:
        told = dict(report.user_properties).get("trials")
        if told:
            found[report.nodeid] = Trials(**told)
    if not found:
        return
    terminalreporter.section("faults")
    for test, each in sorted(found.items(), key=lambda pair: pair[1].number):
        if not each.wanted:  # the soak, but for --full
            continue
        verdict = "FELL SHORT" if test in failed or each.done < each.wanted else "holds"
        row = f"| {each.number} | {each.fault} | {each.done:,} of {each.wanted:,} | {each.seconds:.0f} s | {verdict} |"
        terminalreporter.write_line(row)


def _train(config: ExperimentConfig, errors: str) -> None:
    sys.stderr = open(errors, "w", encoding="utf-8")  # noqa: SIM115 (open until the process ends)
    plotting.available = lambda: False  # pictures take longer than these trainings
    sys.exit(guarded("seq2seq", partial(train_quietly, config)))


def train_quietly(config: ExperimentConfig) -> None:
    """Trains; what comes of it lies in config.output."""
    run(config)


def start_training(config: ExperimentConfig) -> multiprocessing.process.BaseProcess:
    """A process that trains as the command line does; its stderr goes to OUTPUT.stderr."""
    process = SERVER.Process(target=_train, args=(config, f"{config.output}.stderr"))
    process.start()
    return process


def finish_training(config: ExperimentConfig) -> str:
    """Trains to the end; the process must end well. Returns what it wrote on stderr."""
    process = start_training(config)
    process.join(120)
    errors = Path(f"{config.output}.stderr").read_text(encoding="utf-8")
    assert process.exitcode == 0, errors
    return errors


def small(data: Path, output: Path, epochs: int = 2, **trainer: object) -> ExperimentConfig:
    """A training of about a second with a checkpoint every few steps, and no test split.

    Its learning rate does not depend on the number of steps, which some tests change.
    """
    config = toy_config(data, output, epochs=epochs, validate_every_steps=7, **trainer)
    return replace(config, test_split="", optimizer=replace(config.optimizer, schedule="inverse_sqrt"))


STORED = sorted((Path(__file__).parents[1] / "fixtures").glob("*-*.*.*"))
"""Runs of earlier releases, one of each kind of model."""

MEMORY_DISK = Path("/dev/shm")
"""What dies here are processes, not machines: synced writes need not wait for a real disk."""


def new_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="seq2seq-", dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None))


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Instead of pytest's."""
    folder = new_folder()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def whole(toy_data: Path) -> Iterator[tuple[Path, float]]:
    """The uninterrupted run, and how long it took in seconds."""
    folder = new_folder()
    output = folder / "run"
    began = time.perf_counter()
    finish_training(small(toy_data, output))
    yield output, time.perf_counter() - began
    shutil.rmtree(folder, ignore_errors=True)


Damage = Callable[[bytes, random.Random], bytes | None]


def truncated(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))] if content else b"x"


def bit_flipped(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << chance.randrange(8)]) + content[place + 1 :]


def zeroed(content: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(content))
    end = chance.randrange(start, len(content)) + 1
    return content[:start] + bytes(end - start) + content[end:]


def deleted(content: bytes, chance: random.Random) -> None:
    return None


DAMAGES: list[Damage] = [truncated, bit_flipped, zeroed, deleted]
