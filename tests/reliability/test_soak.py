"""Hours of work in one process keep memory and descriptors where they were after warm-up."""

import gc
import itertools
import os
import random
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

import seq2seq
from seq2seq.runtime.device import prepare_process
from seq2seq.tasks.translation import run
from tests.forking import SERVER
from tests.reliability.conftest import Trials, small

WARM_UP_MINUTES, MINUTES = 15, 60
"""After the warm-up nearly all sizes have been met, for each of which oneDNN prepares kernels."""


def resident() -> float:
    """MiB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def growth(work: Callable[[], object]) -> tuple[float, int]:
    """Relative growth of the largest resident memory from the first third of the time after the warm-up to the last
    third, and new descriptors, of a callable repeated so long."""
    os.nice(10)  # the other faults, which have time limits, run beside this
    repeat(work, WARM_UP_MINUTES)
    opened = descriptors()
    first, _, last = (max(repeat(work, MINUTES / 3)) for _ in range(3))
    return last / first - 1, descriptors() - opened


def repeat(work: Callable[[], object], minutes: float) -> list[float]:
    """Resident memory after each call."""
    began = time.monotonic()
    memory = []
    while time.monotonic() - began < 60 * minutes:
        work()
        memory.append(resident())
    return memory


def soak_training(data: Path, folder: Path) -> tuple[float, int]:
    """Whole trainings, with validations, checkpoints and event files."""
    prepare_process()
    seeds = itertools.count(1)

    def train() -> None:
        run(small(data, folder / "run", seed=next(seeds)))
        shutil.rmtree(folder / "run")

    return growth(train)


def soak_decoding(run: Path) -> tuple[float, int]:
    prepare_process()
    chance = random.Random(0)
    translator = seq2seq.load(run)
    words = ["ba", "ko", "mi", "lu", "te", "so", "ra", "ne"]

    def decode() -> None:
        lines = [" ".join(chance.choices(words, k=chance.randint(1, 60))) for _ in range(chance.randint(1, 300))]
        translator.search(lines, beam_size=chance.choice([1, 5, 12]))

    return growth(decode)


@pytest.mark.fault(19, "soak: an hour of training, an hour of decoding", 0, 2)
def test_memory_and_descriptors_stay(trials: Trials, toy_data: Path, toy_run: Path, tmp_path: Path) -> None:
    """Both at once, each in a process of its own."""
    if not trials.wanted:
        pytest.skip("an hour: --full")
    with ProcessPoolExecutor(2, mp_context=SERVER) as pool:
        soaked = [pool.submit(soak_training, toy_data, tmp_path), pool.submit(soak_decoding, toy_run)]
        for _ in trials:
            grown, opened = soaked[trials.done].result()
            assert grown < 0.02, f"resident memory grew by {100 * grown:.1f} %"
            assert opened <= 0
