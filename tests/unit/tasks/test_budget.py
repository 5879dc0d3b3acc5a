"""batching.max_tokens_per_batch auto: the search by trial, the bound on a CPU, and what a run keeps of it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq.config import read_config
from seq2seq.data.bucketing import BatchingConfig
from seq2seq.errors import UserError
from seq2seq.model.losses import LossSum
from seq2seq.model.seq2seq import build_model
from seq2seq.tasks import budget
from seq2seq.tasks.budget import LOWEST, Trial, find_budget, largest_that_fits
from seq2seq.tasks.configs import ExperimentConfig, LanguageModelTask
from seq2seq.tasks.language_modelling import train_language_model
from seq2seq.tasks.translation import run
from seq2seq.training.config import TrainerConfig
from seq2seq.training.objectives import teacher_forcing
from tests.conftest import toy_config

CPU = torch.device("cpu")


@pytest.mark.parametrize("limit", [256, 257, 300, 4_095, 4_096, 4_097, 123_456, 10_000_000])
def test_the_largest_that_fits_is_found_to_a_sixteenth(limit: int) -> None:
    tried: list[int] = []

    def fits(tokens: int) -> bool:
        tried.append(tokens)
        return tokens <= limit

    found = largest_that_fits(fits)
    assert limit * 15 / 16 - 1 <= found <= limit
    assert len(tried) <= 2 + 24 + 4  # doubled at most 16 times, halved at most 4 times
    assert max(tried) <= 2 * limit
    assert largest_that_fits(lambda _: True, 100, 1_000) == 1_000
    with pytest.raises(UserError, match="not even 256 tokens fit; lower the sizes in model"):
        largest_that_fits(lambda tokens: tokens < 200)


def limited(tokens: int) -> Any:
    """Cross-entropy, on a device that holds batches of so many padded tokens."""
    usual = teacher_forcing()

    def objective(model: Any, batch: Any) -> LossSum:
        if batch.source.numel() > tokens:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return usual(model, batch)

    return objective


def test_trials_run_out_of_memory_where_training_would(tmp_path: Path) -> None:
    config = toy_config(tmp_path, tmp_path / "run")
    trial = Trial(config, lambda: build_model(config.model, 40, 40), limited(3_000), CPU, width=12)
    assert 3_000 * 15 / 16 - 12 <= largest_that_fits(trial.fits) < 3_000 + 12

    def broken(_model: Any, _batch: Any) -> LossSum:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        Trial(config, lambda: build_model(config.model, 40, 40), broken, CPU, width=12).fits(LOWEST)


def test_on_a_cpu_half_of_the_available_memory_is_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = toy_config(tmp_path, tmp_path / "run")

    def found(available: int, tokens: int = 10**9) -> int:
        monkeypatch.setattr(budget, "available_bytes", lambda: available)
        return find_budget(
            config, lambda: build_model(config.model, 40, 40), teacher_forcing(), CPU, longest=11, tokens=tokens
        )

    small, large = found(1 << 30), found(1 << 31)
    assert 1_000 < small < 1_000_000
    assert large == pytest.approx(2 * small, rel=1e-3)
    assert found(1 << 31, tokens=250_000) == 5_000  # 50 batches an epoch
    assert found(1 << 31, tokens=1_000) == 2_000  # the usual budget, however little data there is
    monkeypatch.undo()
    with open("/proc/meminfo") as file:
        total = int(next(file).split()[1]) * 1024
    assert 0 < budget.available_bytes() <= total


@pytest.mark.parametrize("form", ["tokens", "sum", "concatenate", "separate"])
def test_features_are_part_of_the_trial(form: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [f"{word}ab\tV;{person};PST\t{word}ed\n" for word in ("walk", "play", "go", "see") for person in "123"]
    for split in ("train", "validation"):
        (tmp_path / f"{split}.tsv").write_text("".join(rows * 3))
    usual = toy_config(tmp_path, tmp_path / "run", max_steps=1)
    config = replace(
        usual,
        source="lemma",
        target="form",
        features="tags",
        columns="lemma,tags,form",
        source_units="characters",
        target_units="characters",
        model=replace(usual.model, tie="two_way", features=form, feature_size=4),
        batching=BatchingConfig("auto"),
        test_split="",
    )
    shapes: list[list[int]] = []
    usual_objective = teacher_forcing()

    def objective(model: Any, batch: Any) -> LossSum:
        shapes.append(list(batch.source.shape))
        return usual_objective(model, batch)

    run(config, objective=objective)
    assert "padded tokens (auto: " in caplog.text
    tried, trained = shapes[0], shapes[-1]
    assert tried[2:] == trained[2:] == ([] if form == "tokens" else [4]), "a token and three features"


def test_a_run_records_the_budget_and_goes_on_with_it(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def config(steps: int) -> ExperimentConfig:
        usual = toy_config(toy_data, tmp_path / "run", max_steps=steps)
        return replace(usual, batching=BatchingConfig("auto"), test_split="")

    monkeypatch.setattr(budget, "LEAST", 330)
    run(config(2))
    assert "batching.max_tokens_per_batch: 330 padded tokens (auto: so that an epoch has 50 batches;" in caplog.text
    assert "the learning rate stays at 0.015" in caplog.text
    stored = read_config(tmp_path / "run" / "config.json", ExperimentConfig)
    assert stored.batching.max_tokens_per_batch == 330
    assert stored.optimizer == config(2).optimizer
    monkeypatch.setattr(budget, "LEAST", 700)  # another machine
    run(config(4))
    assert json.loads((tmp_path / "run" / "config.json").read_text())["batching"]["max_tokens_per_batch"] == 330
    with pytest.raises(UserError, match=r"batching\.max_tokens_per_batch was 330, is 300"):
        run(replace(config(4), batching=BatchingConfig(300)))


def test_other_tasks_ask_for_a_number(tmp_path: Path) -> None:
    trainer = TrainerConfig(best_metric="loss")
    task = LanguageModelTask(output=str(tmp_path), batching=BatchingConfig("auto"), trainer=trainer)
    with pytest.raises(UserError, match="auto is for text to text; give a number"):
        train_language_model(task, "ab\n" * 300, "ab\n" * 60, lambda _: None)
    with pytest.raises(UserError, match=r"option 'batching\.max_tokens_per_batch' must be|must be a whole number"):
        BatchingConfig("most")  # type: ignore[arg-type]
