"""Hours of work in one process keep memory and descriptors where they were after warm-up."""

import gc
import os
import random
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

import seq2seq
from seq2seq.hardware import keep_freed_memory
from seq2seq.objectives import teacher_forcing
from tests.forking import SERVER
from tests.reliability.conftest import Trials
from tests.reliability.test_numbers import Given, batches_of, model, trainer

MINUTES_EACH, WARM_UP_MINUTES = 60, 5


def resident() -> float:
    """MiB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def growth(work: Callable[[], None], minutes: float, warm_up: float) -> tuple[float, int]:
    """Relative growth of resident memory after the warm-up, and new descriptors, of a callable repeated so long."""
    os.nice(10)  # the other faults, which have time limits, run beside this
    began = time.monotonic()
    while time.monotonic() - began < 60 * warm_up:
        work()
    memory, opened = resident(), descriptors()
    while time.monotonic() - began < 60 * minutes:
        work()
    return resident() / memory - 1, descriptors() - opened


def soak_training(folder: Path) -> tuple[float, int]:
    keep_freed_memory()
    chance = random.Random(0)

    def train() -> None:
        batches = batches_of(chance, 200, rows=chance.randint(1, 64))
        made = trainer(folder / "run", average_decay=0.9)
        made.fit(model(0.1), Given(batches), teacher_forcing(), lambda _: {"loss": 0.0})
        shutil.rmtree(folder / "run")

    return growth(train, MINUTES_EACH, WARM_UP_MINUTES)


def soak_decoding(run: Path) -> tuple[float, int]:
    keep_freed_memory()
    chance = random.Random(0)
    translator = seq2seq.load(run)
    words = ["ba", "ko", "mi", "lu", "te", "so", "ra", "ne"]

    def decode() -> None:
        lines = [" ".join(chance.choices(words, k=chance.randint(1, 60))) for _ in range(chance.randint(1, 300))]
        translator.search(lines, beam_size=chance.choice([1, 5, 12]))

    return growth(decode, MINUTES_EACH, WARM_UP_MINUTES)


@pytest.mark.fault(19, "soak: an hour of training, an hour of decoding", 0, 2)
def test_memory_and_descriptors_stay(trials: Trials, toy_run: Path, tmp_path: Path) -> None:
    """Both at once, each in a process of its own."""
    with ProcessPoolExecutor(2, mp_context=SERVER) as pool:
        jobs = [(soak_training, tmp_path), (soak_decoding, toy_run)][: trials.wanted]
        soaked = [pool.submit(*job) for job in jobs]
        for _ in trials:
            grown, opened = soaked[trials.done].result()
            assert grown < 0.02, f"resident memory grew by {100 * grown:.1f} %"
            assert opened <= 0
