"""Losses without a value and memory without end: training skips, splits, or stops with advice."""

import math
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import seq2seq
from seq2seq.data.batch import Batch, collate
from seq2seq.errors import UserError
from seq2seq.inference.fast_decoder import InferenceDecoder
from seq2seq.model.losses import LossSum
from seq2seq.model.seq2seq import Seq2Seq, build_model
from seq2seq.runs.weights import load_tensors
from seq2seq.runtime.distributed import World
from seq2seq.training.config import TrainerConfig
from seq2seq.training.objectives import loss_per_token, teacher_forcing
from seq2seq.training.optimizer import OptimizerConfig
from seq2seq.training.trainer import Trainer
from tests.conftest import toy_config
from tests.reliability.conftest import Trials

WORDS = ["ba", "ko", "mi", "lu", "te", "so", "ra", "ne"]
STEPS = 24


def batches_of(chance: random.Random, count: int, rows: int = 8) -> list[Batch]:
    def ids() -> list[int]:
        return [chance.randrange(4, 30) for _ in range(chance.randint(1, 6))]

    return [collate([(ids(), ids()) for _ in range(rows)]) for _ in range(count)]


class Given:
    """One epoch of given batches."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches
        self.batches_per_epoch: int | None = len(batches)

    def iterate(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        return iter(self.batches[start:])


def model(dropout: float = 0.0) -> Seq2Seq:
    torch.manual_seed(0)
    config = toy_config(Path(), Path()).model
    return build_model(replace(config, dropout=dropout), 30, 30)


def trainer(directory: Path, **settings: Any) -> Trainer:
    plain = OptimizerConfig(name="sgd", learning_rate=0.3, schedule="constant", warmup_steps=0)
    defaults = {"epochs": 1, "average_decay": 0.0, "best_metric": "loss"}
    return Trainer(directory, TrainerConfig(**{**defaults, **settings}), plain)


def weights(module: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


@pytest.mark.fault(11, "NaN or infinite loss or gradient", 2, 50)
def test_steps_without_a_value_are_skipped_and_too_many_stop(trials: Trials, tmp_path: Path) -> None:
    """Training on batches of which some have no loss equals training on the others alone."""
    objective = teacher_forcing()
    for chance in trials:
        batches = batches_of(chance, STEPS)
        bad = set(chance.sample(range(STEPS), 5))
        poison = chance.choice([math.nan, math.inf, -math.inf])
        calls = iter(range(10_000))

        def poisoned(model: Seq2Seq, batch: Batch) -> LossSum:
            loss = objective(model, batch)
            return LossSum(loss.total * poison if next(calls) in bad else loss.total, loss.tokens)  # noqa: B023

        one, two = model(), model()
        made = trainer(tmp_path / f"{trials.done}a")
        made.fit(one, Given(batches), poisoned, lambda _: {"loss": 0.0})
        assert made.progress.skipped == len(bad)
        healthy = [batch for number, batch in enumerate(batches) if number not in bad]
        trainer(tmp_path / f"{trials.done}b").fit(two, Given(healthy), objective, lambda _: {"loss": 0.0})
        for left, right in zip(weights(one), weights(two), strict=True):
            assert torch.equal(left, right)

        stopping = trainer(tmp_path / f"{trials.done}c", validate_every_steps=4, nonfinite_patience=3)
        bad, calls = set(range(9, 10_000)), iter(range(10_000))
        with pytest.raises(UserError, match=r"learning_rate"):
            stopping.fit(model(), Given(batches), poisoned, lambda _: {"loss": 0.0})
        stored = load_tensors(tmp_path / f"{trials.done}c" / "model.safetensors")
        assert all(bool(tensor.isfinite().all()) for tensor in stored.values())


def exhausted_beyond(rows: int, objective: Any) -> Any:
    """An objective that has memory for so many rows, and notices only after the forward pass."""

    def compute(model: Seq2Seq, batch: Batch) -> LossSum:
        loss: LossSum = objective(model, batch)
        if len(batch.source) > rows:
            raise torch.OutOfMemoryError("tried to allocate more than there is")
        return loss

    return compute


@pytest.mark.fault(12, "out of memory in training, validation, search (simulated)", 3, 30)
def test_out_of_memory_gives_the_same_gradient_loss_and_text(
    trials: Trials, toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective = teacher_forcing()
    translator = seq2seq.load(toy_run)
    for chance in trials:
        batches, limit = batches_of(chance, 2, rows=chance.randint(4, 11)), chance.randint(1, 3)
        gradients = []
        for compute in (objective, exhausted_beyond(limit, objective)):
            made, module = trainer(tmp_path, precision="fp32"), model().double()
            step = made.begin(module, Given(batches), compute)
            total, count = step.gradients(batches)
            gradients.append([total, count, *[parameter.grad for parameter in module.parameters()]])
        for whole, split in zip(*gradients, strict=True):
            torch.testing.assert_close(whole, split, atol=1e-9, rtol=1e-6)
        assert made.progress.halved > 0
        losses = [
            loss_per_token(model().double(), batches, compute)
            for compute in (objective, exhausted_beyond(limit, objective))
        ]
        assert losses[0] == pytest.approx(losses[1], rel=1e-9)

        texts = [" ".join(chance.choices(WORDS, k=chance.randint(1, 6))) for _ in range(9)]
        expected = translator.search(texts, n_best=2)
        with monkeypatch.context() as patch:
            patch.setattr(InferenceDecoder, "start_from", limited_to(limit))
            found = translator.search(texts, n_best=2)
        assert [[each.text for each in best] for best in found] == [[each.text for each in best] for best in expected]


@pytest.mark.gpu
def test_memory_that_really_runs_out_gives_the_same_gradient(tmp_path: Path) -> None:
    """Half of what the whole batch took, of a GPU's memory."""
    here = World(device=torch.device("cuda"))
    batches = batches_of(random.Random(1), 1, rows=20_000)
    everything = torch.cuda.get_device_properties(here.device).total_memory
    gradients, most = [], everything
    try:
        for _ in range(2):
            torch.cuda.empty_cache()
            torch.cuda.set_per_process_memory_fraction(most / everything)
            torch.cuda.reset_peak_memory_stats()
            made, module = trainer(tmp_path, precision="fp32"), model().double()
            made.world = here
            step = made.begin(module, Given(batches), teacher_forcing())
            total, count = step.gradients(batches)
            gradients.append([total, count, *[parameter.grad for parameter in module.parameters()]])
            most = torch.cuda.max_memory_reserved() // 2
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert made.progress.halved > 0
    for whole, split in zip(*gradients, strict=True):
        torch.testing.assert_close(whole, split, atol=1e-9, rtol=1e-6)


def limited_to(limit: int) -> Any:
    """A start of the search that has memory for so many sentences."""
    start_from = InferenceDecoder.start_from

    def limited(decoder: InferenceDecoder, memory: Any, source: Any = None) -> Any:
        if len(memory.states) > limit:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate too much")
        return start_from(decoder, memory, source)

    return limited


def test_a_single_row_too_many_ends_with_advice(tmp_path: Path) -> None:
    batches = batches_of(random.Random(1), 1, rows=2)
    made = trainer(tmp_path)
    step = made.begin(model(), Given(batches), exhausted_beyond(0, teacher_forcing()))
    with pytest.raises(UserError, match="single example"):
        step.gradients(batches)
