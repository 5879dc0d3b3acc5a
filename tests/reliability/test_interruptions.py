"""Training that is killed, told to stop, or shared with others ends as the uninterrupted one does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seq2seq.config import write_config
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.training.stopping import STOP_SIGNALS
from tests.comparison import assert_same, final_state
from tests.conftest import toy_config
from tests.forking import run_ranks
from tests.reliability.conftest import Trials, finish_training, small, start_training

KILLS_PER_RUN = 5


def wait_for(path: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not appear"
        time.sleep(0.01)


def newest_step(config: ExperimentConfig) -> int | None:
    """Of the newest checkpoint, all of which are whole here."""
    steps = [int(path.name[5:]) for path in (Path(config.output) / "checkpoints").glob("step-*")]
    return max(steps, default=None)


@pytest.mark.fault(1, "SIGKILL at random moments of training, resumed", 2, 100)
def test_killed_training_resumes_exactly(
    trials: Trials, toy_data: Path, whole: tuple[Path, float], tmp_path: Path
) -> None:
    expected, seconds = whole
    for chance in trials:
        config = small(toy_data, tmp_path / f"run{trials.done // KILLS_PER_RUN}")
        process = start_training(config)
        process.join(chance.uniform(0, seconds))
        process.kill()
        process.join()
        if trials.done % KILLS_PER_RUN == KILLS_PER_RUN - 1:
            saved = newest_step(config)
            told = finish_training(config)
            assert saved is None or f"resuming at step {saved}," in told
            assert_same(final_state(Path(config.output)), final_state(expected))


@pytest.mark.fault(3, "SIGTERM, SIGINT, SIGUSR1, SIGHUP", 2, 60)
def test_a_stop_signal_saves_and_is_resumed_exactly(trials: Trials, toy_data: Path, tmp_path: Path) -> None:
    finish_training(small(toy_data, tmp_path / "whole", epochs=6))
    for chance in trials:
        config = small(toy_data, tmp_path / f"run{trials.done}", epochs=6)
        number = STOP_SIGNALS[trials.done % len(STOP_SIGNALS)]
        process = start_training(config)
        wait_for(Path(config.output) / "checkpoints")  # before its first step, training has nothing to save
        time.sleep(chance.uniform(0, 0.5))
        assert process.pid is not None
        os.kill(process.pid, number)
        process.join(30)
        errors = Path(f"{config.output}.stderr").read_text()
        assert process.exitcode == 128 + number, errors
        assert "the same command continues from there" in errors
        assert f"resuming at step {newest_step(config)}," in finish_training(config)
        assert_same(final_state(Path(config.output)), final_state(tmp_path / "whole"))


@pytest.mark.fault(4, "resume of a resume of a resume", 1, 20)
def test_three_resumes_in_a_row(trials: Trials, toy_data: Path, whole: tuple[Path, float], tmp_path: Path) -> None:
    for chance in trials:
        output = tmp_path / f"run{trials.done}"
        for steps in sorted(chance.sample(range(1, 30), 3)):
            finish_training(small(toy_data, output, max_steps=steps))
        finish_training(small(toy_data, output))
        # A stop at max_steps validates there; what training ends with is the same.
        ended, expected = (final_state(path) for path in (output, whole[0]))
        for state in (ended, expected):
            state.pop("validations")
            state.pop("best")
        assert_same(ended, expected)


@pytest.mark.fault(13, "loader worker killed: training has no worker processes", 1, 20)
def test_training_has_no_child_processes(trials: Trials, toy_data: Path, tmp_path: Path) -> None:
    for chance in trials:
        config = small(toy_data, tmp_path / f"run{trials.done}")
        process = start_training(config)
        wait_for(Path(config.output) / "checkpoints")
        time.sleep(chance.uniform(0, 0.2))
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        alive = process.is_alive()
        found = children.read_text() if children.exists() else ""
        process.kill()
        process.join()
        assert alive
        assert found.split() == []


@pytest.mark.fault(16, "two trainers on one run directory", 1, 20)
def test_a_second_trainer_is_refused_with_the_firsts_process_id(trials: Trials, toy_data: Path, tmp_path: Path) -> None:
    for _ in trials:
        config = small(toy_data, tmp_path / f"run{trials.done}")
        first = start_training(config)
        wait_for(Path(config.output) / "provenance.json")
        assert first.pid is not None
        os.kill(first.pid, signal.SIGSTOP)  # it holds the directory for as long as the second tries
        try:
            second = start_training(config)
            second.join(60)
        finally:
            os.kill(first.pid, signal.SIGCONT)
        assert second.exitcode == 2
        errors = Path(f"{config.output}.stderr").read_text()
        assert f"process {first.pid} is training there" in errors
        first.join(120)
        assert first.exitcode == 0


def ranks(config: Path) -> "subprocess.Popen[str]":
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launcher, "-m", "seq2seq", "train", "--config", str(config)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def workers_of(launcher: int) -> list[int]:
    listed = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    return [int(pid) for pid in listed if b"seq2seq" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.fault(14, "two ranks: one killed, told to stop, or stopped for a while", 1, 40)
def test_the_other_rank_ends_and_a_restart_is_exact(trials: Trials, toy_data: Path, tmp_path: Path) -> None:
    """An odd number of batches makes the ranks' shares uneven but for the one that is left out."""

    def configured(name: str) -> Path:
        config = toy_config(toy_data, tmp_path / name, epochs=4, validate_every_steps=5)
        write_config(tmp_path / f"{name}.json", config)
        return tmp_path / f"{name}.json"

    def finish(config: Path) -> None:
        """The same command to its end, by processes that start at once."""
        (tmp_path / "train.py").write_text(
            "import sys\nfrom seq2seq.cli.main import main\nsys.exit(main(['train', '--config', sys.argv[1]]))\n"
        )
        run_ranks(2, tmp_path / "train.py", [config], tmp_path)

    finish(configured("whole"))
    for chance in trials:
        config = configured(f"run{trials.done}")
        launcher = ranks(config)
        wait_for(tmp_path / f"run{trials.done}" / "checkpoints", 120)
        time.sleep(chance.uniform(0, 0.5))
        workers = workers_of(launcher.pid)
        if trials.done % 3 < 2:
            os.kill(chance.choice(workers), (signal.SIGKILL, signal.SIGTERM)[trials.done % 3])
            _, errors = launcher.communicate(timeout=60)
            assert launcher.returncode != 0
            assert trials.done % 3 == 0 or errors.count("the state is saved") == 2, errors[-2000:]
            assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
            finish(config)
        else:
            slow = chance.choice(workers)
            os.kill(slow, signal.SIGSTOP)
            time.sleep(2)
            os.kill(slow, signal.SIGCONT)
            _, errors = launcher.communicate(timeout=240)
            assert launcher.returncode == 0, errors[-2000:]
        assert_same(final_state(tmp_path / f"run{trials.done}"), final_state(tmp_path / "whole"))
