"""Files that are damaged, swapped, hostile or random: refused or passed over, never used, never executed."""

import json
import os
import pickle
import random
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import seq2seq
from seq2seq.cli.main import main
from seq2seq.config import read_config, write_config
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.errors import UserError
from seq2seq.runs.checkpoints import CheckpointStore
from seq2seq.runs.layout import MODEL_FILE
from seq2seq.runs.weights import load_tensors
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.translation import run
from tests.comparison import assert_same, final_state
from tests.fixtures.store import BELONGS
from tests.forking import SERVER
from tests.hostile import BINDINGS, hostile_options, make_hostile
from tests.reliability.conftest import DAMAGES, STORED, Trials, small
from tests.tiny_runs import answers

TEXTS = ["ba ko mi", "lu te so ra", "ne"]
CHOSEN_BY_THE_USER = {"generation_config.json"}
"""Search settings are meant to be edited by hand; any valid ones are right."""


def attempted(work: Callable[[], Any]) -> tuple[str | None, Any]:
    """Why it was refused, or None and what it gave. Any other exception is a defect."""
    try:
        return None, work()
    except UserError as error:
        return str(error), None


def files_of(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


@pytest.mark.fault(6, "truncated, bit-flipped, zeroed, deleted, swapped files", 60, 1_000)
def test_damaged_files_are_never_used(trials: Trials, toy_data: Path, toy_run: Path, tmp_path: Path) -> None:
    refused = 0
    other = other_run(toy_data, tmp_path / "other")
    kinds = {run: json.loads((run / "expected.json").read_text())["inputs"] for run in STORED}
    kinds[toy_run] = TEXTS
    expected = {run: answers(run, inputs) for run, inputs in kinds.items()}
    for chance in trials:
        whole = chance.choice([toy_run, *STORED])
        directory = copied(whole, tmp_path / "run")
        path = chance.choice(files_of(directory))
        way = chance.randrange(len(DAMAGES) + 1)
        if way == len(DAMAGES):
            swap(path, other)
        else:
            damaged = DAMAGES[way](path.read_bytes(), chance)
            path.unlink() if damaged is None else path.write_bytes(damaged)
        refusal, found = attempted(lambda: answers(directory, kinds[whole]))  # noqa: B023
        if refusal is None:
            assert found == expected[whole] or path.name in CHOSEN_BY_THE_USER, path
        else:
            assert str(directory) in refusal
            refused += 1
    assert refused > trials.wanted / 2


def copied(run: Path, target: Path) -> Path:
    """A copy of what a run's model consists of."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for pattern in BELONGS:
        for path in run.glob(pattern):
            shutil.copy(path, target)
    return target


def swap(path: Path, other: Path) -> None:
    """Puts another run's file of that name in its place; its weights where it has none of that name."""
    theirs = other / path.name
    shutil.copy(theirs if theirs.exists() else other / MODEL_FILE, path)


def other_run(data: Path, output: Path) -> Path:
    """A run of the same shapes with other weights, and a vocabulary of the same size learned from other text."""
    rows = [json.dumps({"en": f"{a}{b} {b}{a}", "de": f"{b}{a}"}) for a in "bkmltsrn" for b in "aoiue"]
    for split in ("train", "validation", "test"):
        (output / "data").mkdir(parents=True, exist_ok=True)
        (output / "data" / f"{split}.jsonl").write_text("\n".join(rows) + "\n")
    run(small(output / "data", output, max_steps=5))
    return output


@pytest.mark.fault(6, "truncated, bit-flipped, zeroed, deleted, swapped files", 60, 1_000)
def test_a_damaged_checkpoint_is_passed_over(
    toy_data: Path, whole: tuple[Path, float], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(1)
    for number in range(20):
        store = CheckpointStore(tmp_path / str(number))
        shutil.copytree(whole[0] / "checkpoints", store.directory)
        path = chance.choice(files_of(store.list()[-1]))
        damaged = DAMAGES[number % len(DAMAGES)](path.read_bytes(), chance)
        path.unlink() if damaged is None else path.write_bytes(damaged)
        loaded = store.load_latest()
        assert loaded is not None
        assert loaded[1]["step"] == int(store.list()[0].name.split("-")[1])
    older, newer = CheckpointStore(tmp_path / "swapped"), tmp_path / "swapped" / "step-99999999"
    shutil.copytree(whole[0] / "checkpoints", older.directory)
    older.list()[0].replace(newer)
    loaded = older.load_latest()
    assert loaded is not None
    assert loaded[1]["step"] == int(older.list()[0].name.split("-")[1])
    assert "falling back" in caplog.text


class Hostile:
    """Unpickling it leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.fault(7, "hostile pickles under every file name a run may hold", 20, 50)
def test_pickles_are_never_executed(
    trials: Trials, toy_data: Path, whole: tuple[Path, float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "executed"
    bomb = pickle.dumps(Hostile(trace))
    pickle.loads(bomb)
    assert trace.exists()  # the bomb works
    trace.unlink()
    strangers = ["pytorch_model.bin", "model.pt", "optimizer.pkl", "training_args.bin", "checkpoints/latest.pt"]
    places = [(whole[0], str(path.relative_to(whole[0]))) for path in files_of(whole[0])]
    places += [(whole[0], name) for name in strangers]
    places += [(run, path.name) for run in STORED for path in files_of(run)]
    for _ in trials:
        source, name = places[trials.done % len(places)]
        directory = tmp_path / "run"
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(source, directory)
        (directory / name).write_bytes(bomb)
        inputs = [] if source in STORED else TEXTS
        attempts = [lambda: answers(directory, inputs)]  # noqa: B023
        if source not in STORED:
            attempts.append(lambda: run(small(toy_data, directory)))  # noqa: B023
        for refusal, _ in map(attempted, attempts):
            assert refusal is None or str(directory) in refusal
        main(["verify", str(directory)])
        assert not trace.exists(), name


FUZZED_PER_PROCESS = 100
MEMORY, SECONDS_PER_FILE = 16 << 30, 5
PIECES = [b"{", b"[", b'"', b"\xff", b"\x00", b"9" * 30, b"[" * 9_000]


def fuzzed(content: bytes, chance: random.Random) -> bytes:
    """Some bytes replaced, removed, doubled, or all of them random."""
    if chance.random() < 0.1:
        return chance.randbytes(chance.randrange(2_000))
    changed = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        place = chance.randrange(max(1, min(len(changed), 3_000)))
        match chance.randrange(4):
            case 0:
                changed[place : place + 1] = chance.randbytes(1)
            case 1:
                del changed[place : place + chance.randrange(1, 40)]
            case 2:
                changed[place:place] = changed[place : place + chance.randrange(1, 40)]
            case _:
                changed[place : place + 1] = chance.choice(PIECES)
    return bytes(changed)


def _read_fuzzed(folder: str, first: int, count: int) -> None:
    """Reads changed files; whatever but a clear refusal ends the process with a traceback, or by a signal."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sources = [path for path in sorted(Path(folder).iterdir()) if path.is_file()]
    readers: dict[str, Any] = {
        ".safetensors": load_tensors,
        ".model": lambda path: Vocabulary.load(path).decode(Vocabulary.load(path).encode("ba ko")),
        ".json": lambda path: read_config(path, ExperimentConfig),
        ".yaml": lambda path: read_config(path, ExperimentConfig),
    }
    for number in range(first, first + count):
        chance = random.Random(number)
        source = chance.choice(sources)
        path = Path(folder) / "fuzzed" / f"{first}{source.suffix}"
        path.write_bytes(fuzzed(source.read_bytes(), chance))
        signal.alarm(SECONDS_PER_FILE)
        try:
            readers[source.suffix](path)
        except UserError:
            continue
    signal.alarm(0)


@pytest.mark.fault(8, "fuzzed safetensors, SentencePiece models, JSON, YAML", 200, 20_000)
def test_random_files_are_refused_or_read_without_harm(trials: Trials, toy_run: Path, tmp_path: Path) -> None:
    for name in ("model.safetensors", "joint.spm.model", "config.json"):
        shutil.copy(toy_run / name, tmp_path / name)
    write_config(tmp_path / "config.yaml", read_config(toy_run / "config.json", ExperimentConfig))
    (tmp_path / "fuzzed").mkdir()
    for _ in trials:
        if trials.done % FUZZED_PER_PROCESS:
            continue
        process = SERVER.Process(target=_read_fuzzed, args=(str(tmp_path), trials.done, FUZZED_PER_PROCESS))
        process.start()
        process.join(120 + SECONDS_PER_FILE * FUZZED_PER_PROCESS)
        assert process.exitcode == 0, f"files {trials.done} to {trials.done + FUZZED_PER_PROCESS - 1}"


HOSTILE_SIZES = [3 * 10**6, 10**8, 10**9, 10**19]
MOST_GROWTH, SECONDS_PER_RUN = 200 << 20, 5


def _load_hostile(folder: str, first: int, count: int) -> None:
    """Loads hostile runs; too much time or memory, or any exception but a clear refusal, ends the process."""
    began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(first, first + count):
        chance = random.Random(number)
        run = chance.choice([Path(folder) / "toy", *STORED])
        directory = copied(run, Path(folder) / f"hostile{first}")
        options = hostile_options(json.loads((directory / "config.json").read_text())["model"])
        make_hostile(directory, chance.choice(options), chance.choice(HOSTILE_SIZES), chance.choice(BINDINGS))
        signal.alarm(SECONDS_PER_RUN)
        refusal, _ = attempted(lambda: seq2seq.load(directory))  # noqa: B023
        assert refusal is None or str(directory) in refusal
    signal.alarm(0)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - began < MOST_GROWTH >> 10, "memory"


@pytest.mark.fault(8, "configurations of hostile sizes, bound to the weights or not", 200, 2_000)
def test_hostile_sizes_cost_neither_time_nor_memory(trials: Trials, toy_run: Path, tmp_path: Path) -> None:
    copied(toy_run, tmp_path / "toy")
    for _ in trials:
        if trials.done % FUZZED_PER_PROCESS:
            continue
        process = SERVER.Process(target=_load_hostile, args=(str(tmp_path), trials.done, FUZZED_PER_PROCESS))
        process.start()
        process.join(120 + SECONDS_PER_RUN * FUZZED_PER_PROCESS)
        assert process.exitcode == 0, f"runs {trials.done} to {trials.done + FUZZED_PER_PROCESS - 1}"


def test_an_older_state_comes_back_whole_after_damage(
    toy_data: Path, whole: tuple[Path, float], tmp_path: Path
) -> None:
    """The newest checkpoint is damaged: training goes on from the one before and ends as it would have."""
    shutil.copytree(whole[0], tmp_path / "run")
    newest = CheckpointStore(tmp_path / "run" / "checkpoints").list()[-1]
    (newest / "model.safetensors").write_bytes(b"damaged")
    run(small(toy_data, tmp_path / "run"))
    assert_same(final_state(tmp_path / "run"), final_state(whole[0]))
