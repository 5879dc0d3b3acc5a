"""Two processes under torchrun against one process on the same global batch."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seq2seq.config import write_config
from seq2seq.runs.checkpoints import CheckpointStore
from seq2seq.runs.weights import load_tensors
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.translation import run
from tests.conftest import toy_config
from tests.forking import run_ranks

RECIPES = Path(__file__).parents[2] / "recipes"

GRADIENTS = '''
"""Writes the gradient of the first global batch of two micro-batches."""
import sys
from pathlib import Path
import torch
from seq2seq.data.bucketing import BucketedBatches
from seq2seq.runs.weights import save_tensors
from seq2seq.config import read_config
from seq2seq.runtime.distributed import world
from seq2seq.tasks.base import Run
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.translation import prepare
from seq2seq.model.seq2seq import build_model
from seq2seq.training.objectives import teacher_forcing
from seq2seq.training.trainer import Trainer

config, output = read_config(sys.argv[1], ExperimentConfig), Path(sys.argv[2])
with world("cpu") as here:
    prepared = prepare(config, Run(config, output, here))
    torch.manual_seed(1)
    model = build_model(config.model, len(prepared.source_vocabulary), len(prepared.target_vocabulary)).double()
    trainer = Trainer(output, config.trainer, config.optimizer, here)
    step = trainer.begin(model, prepared.batches, teacher_forcing(0.1))
    batches = prepared.batches.iterate(0)
    step.gradients([next(batches) for _ in range(2 // here.size)])
    named = {name: parameter.grad for name, parameter in model.named_parameters()}
    save_tensors(named, output / f"gradients-{here.rank}-of-{here.size}.safetensors")
'''


# Each process would take a GPU of its own, where there may be one.
ENVIRONMENT = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone"]


def torchrun(processes: int, *arguments: str) -> str:
    """What the processes print on stdout."""
    command = [*LAUNCH, f"--nproc-per-node={processes}", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240, env=ENVIRONMENT)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


@pytest.mark.slow  # the quick suite has test_parallel.py's, of more ways and processes
def test_gradients_of_two_processes_equal_those_of_one(toy_data: Path, tmp_path: Path) -> None:
    config = toy_config(toy_data, tmp_path / "run")
    config = replace(config, model=replace(config.model, dropout=0.0))
    write_config(tmp_path / "config.json", config)
    (tmp_path / "gradients.py").write_text(GRADIENTS)
    outputs = tmp_path / "run"
    outputs.mkdir()
    for processes in (1, 2):
        run_ranks(processes, tmp_path / "gradients.py", [tmp_path / "config.json", outputs], tmp_path)
    one, first, second = (
        load_tensors(outputs / f"gradients-{name}.safetensors") for name in ("0-of-1", "0-of-2", "1-of-2")
    )
    for name, gradient in one.items():
        torch.testing.assert_close(first[name], gradient, atol=1e-12, rtol=1e-9)
        assert torch.equal(first[name], second[name])
        assert gradient.abs().sum() > 0, name


def test_training_with_two_processes_equals_accumulation_in_one(toy_data: Path, tmp_path: Path) -> None:
    def configured(name: str, accumulation: int) -> ExperimentConfig:
        config = toy_config(toy_data, tmp_path / name, max_steps=6, accumulation=accumulation, device="cpu")
        return replace(config, model=replace(config.model, dropout=0.0))

    write_config(tmp_path / "two.json", configured("two", 1))
    torchrun(2, "-m", "seq2seq", "train", "--config", str(tmp_path / "two.json"))
    run(configured("one", 2))
    weights = [load_tensors(tmp_path / name / "model.safetensors") for name in ("two", "one")]
    for name in weights[0]:
        torch.testing.assert_close(weights[0][name], weights[1][name], atol=1e-4, rtol=1e-3)


EXHAUSTED = '''
"""Trains; the second rank runs out of memory in its 22nd batch, of a size that has fitted before."""
import os
import sys
import torch
from seq2seq import ExperimentConfig, run
from seq2seq.cli.exit_status import guarded
from seq2seq.config import read_config
from seq2seq.training.objectives import teacher_forcing

objective, batches = teacher_forcing(0.1), []

def exhausted(model, batch):
    batches.append(batch)
    if os.environ["RANK"] == "1" and len(batches) == 22:
        raise torch.OutOfMemoryError("tried to allocate more than there is")
    return objective(model, batch)

config = read_config(sys.argv[1], ExperimentConfig)
sys.exit(guarded("seq2seq", lambda: run(config, objective=exhausted)))
'''


def test_out_of_memory_in_one_process_ends_all_with_advice(toy_data: Path, tmp_path: Path) -> None:
    write_config(tmp_path / "config.json", toy_config(toy_data, tmp_path / "run", epochs=4, validate_every_steps=4))
    (tmp_path / "exhausted.py").write_text(EXHAUSTED)
    command = [*LAUNCH, "--nproc-per-node=2", str(tmp_path / "exhausted.py"), str(tmp_path / "config.json")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, env=ENVIRONMENT)
    assert ended.returncode != 0
    assert "out of memory on rank 1" in ended.stderr
    assert "lower batching.max_tokens_per_batch" in ended.stderr
    loaded = CheckpointStore(tmp_path / "run" / "checkpoints").load_latest()
    assert loaded is not None and loaded[1]["step"] == 20


STOPPED = '''
"""Trains; the first rank alone is told to stop, during the last validation. Each leaves its exit status."""
import os
import signal
import sys
from pathlib import Path
from seq2seq.config import read_config
from seq2seq.tasks.evaluate import Validator
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.translation import run
from seq2seq.cli.exit_status import guarded

validate = Validator.__call__

def stopped(validator, model):
    if os.environ["RANK"] == "0":
        signal.raise_signal(signal.SIGTERM)
    return validate(validator, model)

Validator.__call__ = stopped
status = guarded("seq2seq", lambda: run(read_config(sys.argv[1], ExperimentConfig)))
Path(sys.argv[2], f"status-{os.environ['RANK']}").write_text(str(status))
'''


def test_all_ranks_stop_where_one_is_told_to_during_the_last_validation(toy_data: Path, tmp_path: Path) -> None:
    write_config(tmp_path / "config.json", toy_config(toy_data, tmp_path / "run", max_steps=2))
    (tmp_path / "stopped.py").write_text(STOPPED)
    run_ranks(2, tmp_path / "stopped.py", [tmp_path / "config.json", tmp_path], tmp_path)
    assert [(tmp_path / f"status-{rank}").read_text() for rank in (0, 1)] == ["143", "143"]


PREPARED = '''
"""A recipe that makes its data; each process leaves which data it was told to train on."""
import os
import sys
from dataclasses import replace
from pathlib import Path
from seq2seq.cli import script
from seq2seq.tasks.configs import TaskConfig

folder, rank = Path(sys.argv[1]), os.environ["RANK"]

def prepare(config):
    (folder / f"made-by-{rank}").touch()
    return replace(config, output=str(folder / "prepared"))

def carry_out(config):
    (folder / f"told-{rank}").write_text(config.output)

script.run_task(TaskConfig(), carry_out, ["--trainer.device", "cpu"], prepare)
'''


def test_the_data_of_a_recipe_is_made_by_one_process(tmp_path: Path) -> None:
    """Two that write the same files empty them under each other's eyes."""
    (tmp_path / "prepared.py").write_text(PREPARED)
    run_ranks(2, tmp_path / "prepared.py", [tmp_path], tmp_path)
    assert [path.name for path in tmp_path.glob("made-by-*")] == ["made-by-0"]
    assert {(tmp_path / f"told-{rank}").read_text() for rank in (0, 1)} == {str(tmp_path / "prepared")}


TWICE = '''
"""Joins three groups in turn; the first rank comes late, so that its old address is still in the store."""
import os
import time
from seq2seq.runtime.distributed import world

for number in range(3):
    time.sleep(1 if os.environ["RANK"] == "0" else 0)
    with world("cpu") as here:
        assert here.broadcast_object((here.rank, number)) == (0, number)
        here.barrier()
'''


def test_processes_train_together_more_than_once(tmp_path: Path) -> None:
    """As the recipes that compare several models do."""
    (tmp_path / "twice.py").write_text(TWICE)
    torchrun(2, str(tmp_path / "twice.py"))


FREED = """
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from seq2seq.runtime.distributed import world

for _ in range(40):
    def train():  # what it holds is freed when it returns, at once after the last message
        with world("cpu") as here:
            model = DistributedDataParallel(nn.Linear(4, 4))
            here.sum_tensors([torch.zeros(1)])
    train()
"""


def test_leaving_a_group_never_waits_for_its_own_threads(tmp_path: Path) -> None:
    (tmp_path / "freed.py").write_text(FREED)
    run_ranks(2, tmp_path / "freed.py", [], tmp_path)


AHEAD = """
import os
import time
from seq2seq.runtime.distributed import world

for number in range(2):
    with world("cpu") as here:
        assert here.broadcast_object((here.rank, number)) == (0, number)
        time.sleep(1 if here.is_main else 0)
"""


def test_a_process_that_is_ahead_finds_the_others(tmp_path: Path) -> None:
    """Without torchrun rank 0 keeps the store: that of the group before must not end while another waits at it."""
    (tmp_path / "ahead.py").write_text(AHEAD)
    run_ranks(2, tmp_path / "ahead.py", [], tmp_path)


def test_a_recipe_of_several_models_reports_once(tmp_path: Path) -> None:
    told = run_ranks(2, RECIPES / "talking_head.py", ["--output", tmp_path / "run", "--quick"], tmp_path)
    assert [line.split("  ")[0] for line in told.splitlines()] == ["LSTM", "BiLSTM", "deep BiLSTM"]


FAILS = '''
"""Trains with a vocabulary that cannot be learned, which the main process alone notices."""
import sys

from seq2seq.cli.main import main

sides = ["--source", "en", "--target", "de", "--trainer.device", "cpu"]
print(main(["train", "--data", sys.argv[1], "--output", sys.argv[2], *sides, "--vocabulary.size", "20"]))
'''


def test_an_error_of_one_process_is_no_traceback_of_another(toy_data: Path, tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text(FAILS)
    assert run_ranks(2, tmp_path / "fails.py", [toy_data, tmp_path / "run"], tmp_path) == "2\n2\n"
    errors = [(tmp_path / f"stderr-{rank}").read_text().splitlines() for rank in (0, 1)]
    assert "vocabulary size 20 is too small" in errors[0][-1]
    assert errors[1] == [
        "seq2seq: error: process 2 of 2 lost the others; if one of them has ended, its message says why"
    ]


LOST = '''
"""Fails as NCCL does where two processes have one GPU."""
from torch.distributed import DistBackendError

from seq2seq.errors import UserError
from seq2seq.runtime.distributed import world

try:
    with world("cpu") as here:
        here.barrier()  # rank 0 keeps the store: it must not end before the other has joined
        raise DistBackendError("NCCL error: Duplicate GPU detected")
except UserError as error:
    print(error)
'''


def test_the_reason_of_a_lost_connection_is_kept(tmp_path: Path) -> None:
    (tmp_path / "lost.py").write_text(LOST)
    lines = run_ranks(2, tmp_path / "lost.py", [], tmp_path).splitlines()
    assert len(lines) == 2 and all(line.endswith("if none has: NCCL error: Duplicate GPU detected") for line in lines)
