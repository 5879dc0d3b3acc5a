"""The training loop: what a step does to the weights, and what it does when something goes wrong."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seq2seq.data.batch import Batch, collate
from seq2seq.errors import Interrupted, UserError
from seq2seq.model.losses import LossSum
from seq2seq.runs.figures import kept_validation
from seq2seq.runs.metrics_log import read_journal
from seq2seq.runs.weights import load_tensors
from seq2seq.training.config import TrainerConfig
from seq2seq.training.optimizer import OptimizerConfig
from seq2seq.training.trainer import Trainer

SGD = OptimizerConfig(name="sgd", learning_rate=0.5, schedule="constant", warmup_steps=0)


class Mean(nn.Module):
    """One weight, trained towards the mean of the target tokens: every figure can be worked out by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))


def squared_error(model: Any, batch: Batch) -> LossSum:
    tokens = batch.target_output[batch.target_output > 3].double()
    return LossSum(((model.weight - tokens) ** 2 / 2).sum(), torch.tensor(len(tokens)))


class Fixed:
    """The same batches every epoch."""

    def __init__(self, *targets: list[int]) -> None:
        self.batches = [collate([([4], target)]) for target in targets]
        self.batches_per_epoch: int | None = len(targets)

    def iterate(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        return iter(self.batches[start:])


def trainer(directory: Path, optimizer: OptimizerConfig = SGD, **config: Any) -> Trainer:
    settings = {"average_decay": 0.0, "clip_norm": 0.0, "precision": "fp32", "device": "cpu", **config}
    return Trainer(directory, TrainerConfig(**settings), optimizer)


def no_figures(_model: Any) -> dict[str, float]:
    return {"bleu": 1.0, "loss": 1.0}


def fit(made: Trainer, batches: Fixed, validate: Any = no_figures, loss: Any = squared_error) -> float:
    model = Mean()
    made.fit(model, batches, loss, validate)
    return float(model.weight.detach())


def test_the_gradient_is_a_mean_over_tokens_not_over_batches(tmp_path: Path) -> None:
    # Tokens 4, 8, 8, 8: mean 7, so one step of rate 0.5 from 0 ends at 3.5; a mean of the means would end at 3.
    uneven = Fixed([4], [8, 8, 8])
    assert fit(trainer(tmp_path / "a", epochs=1, accumulation=2), uneven) == pytest.approx(3.5)
    assert fit(trainer(tmp_path / "b", epochs=1), Fixed([4, 8, 8, 8])) == pytest.approx(3.5)


def test_the_gradient_is_clipped_to_the_norm(tmp_path: Path) -> None:
    assert fit(trainer(tmp_path, epochs=1, clip_norm=2.0), Fixed([40])) == pytest.approx(0.5 * 2.0)


def test_the_average_follows_its_definition(tmp_path: Path) -> None:
    fit(trainer(tmp_path, epochs=3, average_decay=0.15), Fixed([8]))
    weight = average = 0.0
    for step in range(1, 4):
        weight += 0.5 * (8 - weight)
        decay = min(0.15, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * weight
    newest = sorted((tmp_path / "checkpoints").iterdir())[-1]
    assert load_tensors(newest / "average.safetensors")["weight"].item() == pytest.approx(average)
    assert load_tensors(newest / "model.safetensors")["weight"].item() == pytest.approx(weight)


def undefined_in(steps: set[int]) -> Any:
    """An objective whose loss is undefined in some of its calls."""
    calls = iter(range(1, 1000))

    def loss(model: Any, batch: Batch) -> LossSum:
        total, tokens = squared_error(model, batch)
        return LossSum(total * math.nan if next(calls) in steps else total, tokens)

    return loss


def test_an_undefined_gradient_is_skipped_and_counted(tmp_path: Path) -> None:
    made = trainer(tmp_path, epochs=3)
    assert fit(made, Fixed([8]), loss=undefined_in({2})) == pytest.approx(6.0)  # two steps: 4, 6
    assert made.progress.skipped == 1


def test_many_in_a_row_end_training_and_leave_the_best_model(tmp_path: Path) -> None:
    made = trainer(tmp_path, epochs=9, nonfinite_patience=3)
    with pytest.raises(UserError, match="diverged: 4 steps in a row"):
        fit(made, Fixed([8]), loss=undefined_in(set(range(2, 50))))
    assert load_tensors(tmp_path / "model.safetensors")["weight"].item() == pytest.approx(4.0)


def bleu_of(*figures: float) -> Any:
    remaining = iter(figures)
    return lambda _model: {"bleu": next(remaining), "loss": 0.0}


def test_the_best_is_kept_and_patience_ends_training(tmp_path: Path) -> None:
    made = trainer(tmp_path, epochs=50, patience=2)
    fit(made, Fixed([8]), bleu_of(1.0, 5.0, 4.0, 3.0, 9.0))
    assert (made.progress.step, made.progress.best_step, made.progress.best) == (4, 2, 5.0)
    assert load_tensors(tmp_path / "model.safetensors")["weight"].item() == pytest.approx(6.0)


def test_the_loss_can_choose_the_best(tmp_path: Path) -> None:
    losses = iter([3.0, 2.0, 2.5])
    made = trainer(tmp_path, epochs=3, best_metric="loss")
    fit(made, Fixed([8]), lambda _model: {"bleu": 0.0, "loss": next(losses)})
    assert made.progress.best_step == 2


@pytest.mark.parametrize(
    ("metric", "best"),
    [
        ("bleu", 2),
        ("chrf", 2),
        ("accuracy", 2),
        ("loss", 3),
        ("error_rate", 3),
        ("character_error_rate", 3),
        ("own", 3),
    ],
)
def test_scores_are_better_the_higher_and_errors_the_lower(metric: str, best: int, tmp_path: Path) -> None:
    values = iter([2.0, 3.0, 1.0])
    made = trainer(tmp_path, epochs=3, best_metric=metric)
    fit(made, Fixed([8]), lambda _model: {metric: next(values)})
    assert made.progress.best_step == best


def test_a_plateau_cuts_the_learning_rate(tmp_path: Path) -> None:
    plateau = OptimizerConfig(name="sgd", learning_rate=0.5, schedule="plateau", warmup_steps=0, plateau_patience=1)
    made = trainer(tmp_path, plateau, epochs=4)
    fit(made, Fixed([8]), bleu_of(5.0, 5.0, 4.0, 4.0))
    assert made.progress.cuts == 1
    assert read_journal(tmp_path)[-2]["learning_rate"] == pytest.approx(0.25)  # of the last step


def test_steps_end_training_within_an_epoch_and_are_validated(tmp_path: Path) -> None:
    made = trainer(tmp_path, max_steps=3)
    fit(made, Fixed([8], [8], [8], [8], [8]))
    assert (made.progress.step, made.progress.epoch, made.progress.cursor) == (3, 0, 3)
    assert (tmp_path / "model.safetensors").exists()


def test_patience_ends_training_within_an_epoch(tmp_path: Path) -> None:
    """As it does where the run is taken up right after the last validation."""
    made = trainer(tmp_path, validate_every_steps=1, patience=2)
    fit(made, Fixed([8], [8], [8], [8], [8], [8]), bleu_of(5.0, 4.0, 3.0, 9.0))
    assert (made.progress.step, made.progress.best_step) == (3, 1)


def test_a_run_prolonged_at_the_end_of_an_epoch_is_not_validated_there_twice(tmp_path: Path) -> None:
    figures = bleu_of(5.0, 6.0)
    fit(trainer(tmp_path, max_steps=2, patience=1), Fixed([8], [8]), figures)
    goes_on = trainer(tmp_path, max_steps=4, patience=1)
    fit(goes_on, Fixed([8], [8]), figures)
    assert (goes_on.progress.step, goes_on.progress.best_step) == (4, 4)


def told_to_stop_in(step: int, made: Trainer) -> Any:
    """An objective during whose step a signal arrives."""

    def loss(model: Any, batch: Batch) -> LossSum:
        made.stop.number = 15 if made.progress.step + 1 == step else 0
        return squared_error(model, batch)

    return loss


@pytest.mark.parametrize("settings", [{"max_steps": 2}, {"epochs": 1, "validate_every_steps": 2}, {"epochs": 1}])
def test_a_run_stopped_in_its_last_step_is_validated_when_taken_up(tmp_path: Path, settings: dict[str, int]) -> None:
    batches = Fixed([8], [8]) if "epochs" in settings else Fixed([8], [8], [8])
    stopped = trainer(tmp_path, **settings)
    with pytest.raises(Interrupted):
        fit(stopped, batches, loss=told_to_stop_in(2, stopped))
    goes_on = trainer(tmp_path, **settings)
    fit(goes_on, batches)
    assert (goes_on.progress.step, goes_on.progress.validated_step) == (2, 2)
    assert load_tensors(tmp_path / "model.safetensors")["weight"].item() == pytest.approx(6.0)


def test_a_run_may_be_cut_short_where_it_stands(tmp_path: Path) -> None:
    stopped = trainer(tmp_path)
    with pytest.raises(Interrupted):
        fit(stopped, Fixed([8], [8], [8], [8]), loss=told_to_stop_in(3, stopped))
    for _ in range(2):  # the second time there is nothing left to do
        goes_on = trainer(tmp_path, max_steps=2)
        fit(goes_on, Fixed([8], [8], [8], [8]))
        assert (goes_on.progress.best_step, goes_on.progress.without_gain) == (3, 0)


def test_checkpoints_may_come_more_often_than_validations(tmp_path: Path) -> None:
    fit(trainer(tmp_path, epochs=1, save_every_steps=2, keep_checkpoints=9), Fixed(*[[8]] * 5))
    names = sorted(path.name for path in (tmp_path / "checkpoints").glob("step-*"))
    assert names == ["step-00000002", "step-00000004", "step-00000005"]


def test_a_figure_that_the_task_lacks_cannot_choose_the_best(tmp_path: Path) -> None:
    made = trainer(tmp_path, epochs=1, best_metric="accuracy")
    with pytest.raises(UserError, match=r"best_metric accuracy is not among this task's figures: bleu, loss"):
        fit(made, Fixed([8], [8]))
    assert (tmp_path / "checkpoints" / "step-00000002").is_dir()  # the epoch's work is not lost


def test_a_schedule_to_the_end_needs_an_end(tmp_path: Path) -> None:
    endless = Fixed([8])
    endless.batches_per_epoch = None
    with pytest.raises(UserError, match=r"trainer\.max_steps"):
        fit(trainer(tmp_path, OptimizerConfig()), endless)
    fit(trainer(tmp_path, OptimizerConfig(), max_steps=2), endless)


@pytest.mark.parametrize("wrong", [{"clip_norm": -1.0}, {"log_every_steps": 0}, {"patience": -1}, {"seed": -1}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(UserError, match=rf"trainer\.{name} must be"):
        TrainerConfig(**wrong)


def test_metrics_are_lines_of_json(tmp_path: Path) -> None:
    fit(trainer(tmp_path, epochs=2, log_every_steps=1), Fixed([8]))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().split("\n") if line]
    assert [line["train_loss"] for line in lines if "train_loss" in line] == [32.0, 8.0]
    assert [line["validation_bleu"] for line in lines if "validation_bleu" in line] == [1.0, 1.0]


def training_losses(run: Path) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().split("\n") if line]
    return [(line["step"], line["train_loss"]) for line in lines if "train_loss" in line]


def test_the_last_steps_are_logged_however_few(tmp_path: Path) -> None:
    """At each validation, and at the end: the mean loss of the steps since the entry before."""
    five = Fixed(*[[8]] * 5)
    losses = [32.0, 8.0, 2.0, 0.5, 0.125]
    fit(trainer(tmp_path / "epoch", epochs=1), five)
    assert training_losses(tmp_path / "epoch") == [(5, pytest.approx(sum(losses) / 5))]
    fit(trainer(tmp_path / "often", epochs=1, log_every_steps=2, validate_every_steps=4), five)
    assert training_losses(tmp_path / "often") == [(2, 20.0), (4, 1.25), (5, 0.125)]


def test_steps_before_an_interruption_are_logged_once(tmp_path: Path) -> None:
    five = Fixed(*[[8]] * 5)
    stopped = trainer(tmp_path, epochs=1)
    with pytest.raises(Interrupted):
        fit(stopped, five, loss=told_to_stop_in(3, stopped))
    for _ in range(2):  # the second time there is nothing left to do
        fit(trainer(tmp_path, epochs=1), five)
    assert training_losses(tmp_path) == [(3, 14.0), (5, 0.3125)]


def test_a_resumed_run_forgets_metrics_of_steps_it_lost(tmp_path: Path) -> None:
    fit(trainer(tmp_path, epochs=1, log_every_steps=1), Fixed([8]))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "train_loss": 1.0}\n{"step": 3, "trai')
    fit(trainer(tmp_path, epochs=2, log_every_steps=1), Fixed([8]))
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().split("\n") if line]
    assert steps == [1, 1, 2, 2]


def test_tensorboard_shows_the_same_figures(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for epochs in (1, 2):  # the second time resumed
        fit(trainer(tmp_path, epochs=epochs, log_every_steps=1), Fixed([8]))
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(1, 32.0), (2, 8.0)]
    assert [(event.step, event.value) for event in events.Scalars("validation/bleu")] == [(1, 1.0), (2, 1.0)]


def test_no_data_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no batch"):
        fit(trainer(tmp_path, epochs=1), Fixed())


def test_weights_may_be_of_any_module(tmp_path: Path) -> None:
    """Parameters that the loss does not reach get no gradient of their own, and training goes on."""

    class Idle(Mean):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Parameter(torch.ones(2))

    model = Idle()
    trainer(tmp_path, epochs=1).fit(model, Fixed([8]), squared_error, no_figures)
    unused: Tensor = model.unused
    assert unused.tolist() == [1.0, 1.0]


def test_running_statistics_are_kept_and_frozen_weights_stay(tmp_path: Path) -> None:
    class Frozen(Mean):
        def __init__(self) -> None:
            super().__init__()
            self.frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)
            self.seen = nn.Buffer(torch.zeros(()))

    def counting(model: Any, batch: Batch) -> LossSum:
        model.seen += 1
        return squared_error(model, batch)

    decaying = OptimizerConfig(name="adamw", weight_decay=0.5, schedule="constant", warmup_steps=0)
    model = Frozen()
    trainer(tmp_path, decaying, epochs=3, average_decay=0.9).fit(model, Fixed([8]), counting, bleu_of(1.0, 2.0, 3.0))
    stored = load_tensors(tmp_path / "model.safetensors")
    assert stored["seen"].item() == 3
    assert stored["frozen"].unique().tolist() == model.frozen.unique().tolist() == [1.0]


def test_what_cannot_be_repeated_is_refused_where_repeating_was_asked_for(tmp_path: Path) -> None:
    def unordered(model: Any, batch: Batch) -> LossSum:
        torch.zeros(3).put_(torch.tensor([0]), torch.ones(1))  # whose order torch does not promise on any device
        return squared_error(model, batch)

    fit(trainer(tmp_path / "one"), Fixed([5]), loss=unordered)
    try:
        with pytest.raises(UserError, match=r"trainer\.deterministic"):
            fit(trainer(tmp_path / "two", deterministic=True), Fixed([5]), loss=unordered)
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_run_without_loss_scaling_goes_on_with_it(tmp_path: Path) -> None:
    """As one in bf16 does that moves from a CPU to a GPU."""
    fit(trainer(tmp_path, epochs=1), Fixed([5]))
    goes_on = trainer(tmp_path, epochs=2, precision="fp16")
    fit(goes_on, Fixed([5]))
    newest = sorted((tmp_path / "checkpoints").glob("step-*"))[-1]
    assert json.loads((newest / "state.json").read_text())["scaler"]["scale"] > 1
    assert goes_on.progress.step == 2


def falling(*values: float) -> Any:
    """Validation that gives these figures one after the other."""
    rest = iter(values)
    return lambda _: {"bleu": next(rest)}


def test_a_best_model_that_was_removed_comes_back_from_its_checkpoint(tmp_path: Path) -> None:
    fit(trainer(tmp_path, epochs=3), Fixed([4, 8]), falling(1, 3, 2))
    stored = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").unlink()
    made = trainer(tmp_path, epochs=3)
    fit(made, Fixed([4, 8]), falling())  # nothing is validated again
    assert (tmp_path / "model.safetensors").read_bytes() == stored
    assert (made.progress.best, made.progress.best_step) == (3, 2)


def test_where_its_checkpoint_is_gone_too_the_newest_model_takes_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fit(trainer(tmp_path, epochs=4, patience=9), Fixed([4, 8]), falling(9, 1, 2, 3))
    (tmp_path / "model.safetensors").unlink()
    made = trainer(tmp_path, epochs=4, patience=9)
    last = fit(made, Fixed([4, 8]), falling(3))
    assert float(load_tensors(tmp_path / "model.safetensors")["weight"]) == last
    assert "model.safetensors is missing: the best model, of step 1, is lost; that of step 4 takes its" in caplog.text
    again = trainer(tmp_path, epochs=4, patience=9)
    fit(again, Fixed([4, 8]), falling())  # it is the best one now, and stays
    assert (again.progress.best, again.progress.best_step, again.progress.without_gain) == (3, 4, 3)


def test_patience_that_has_run_out_stays_so_when_the_best_model_is_lost(tmp_path: Path) -> None:
    fit(trainer(tmp_path, epochs=9, patience=2), Fixed([4, 8]), falling(9, 1, 2))
    (tmp_path / "model.safetensors").unlink()
    made = trainer(tmp_path, epochs=9, patience=2)
    fit(made, Fixed([4, 8]), falling(2))
    assert made.progress.step == 3
    assert (tmp_path / "model.safetensors").exists()


def test_of_models_within_a_standard_error_of_the_best_the_last_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    accuracies = [50.0, 80.0, 77.0, 70.0, 78.5, 75.9]

    class Validation:
        def __init__(self) -> None:
            self.left = iter(accuracies)

        def __call__(self, _model: Any) -> dict[str, float]:
            return {"accuracy": next(self.left)}

        def standard_error(self, best: float) -> float | None:
            return 4.0 if best == 80.0 else 1.0

    made = trainer(tmp_path, epochs=6, best_metric="accuracy")
    with caplog.at_level("INFO"):
        fit(made, Fixed([8]), Validation())
    progress = made.progress
    assert (progress.best, progress.best_step, progress.without_gain) == (80.0, 5, 4), "75.9 is 4.1 below the best"
    entries = [entry for entry in read_journal(tmp_path) if "validation_accuracy" in entry]
    assert [entry["best_step"] for entry in entries] == [1, 2, 3, 3, 5, 5]
    kept = kept_validation(entries, "accuracy")
    assert kept is not None and kept["validation_accuracy"] == 78.5
    older = [{name: value for name, value in entry.items() if name != "best_step"} for entry in entries]
    assert kept_validation(older, "accuracy") == older[1], "runs of earlier versions kept the best"
    assert caplog.text.count("(best so far)") == 2 and caplog.text.count("(kept: as good as the best)") == 2
    weight = load_tensors(tmp_path / "model.safetensors")["weight"].item()
    assert weight == pytest.approx(8 * (1 - 0.5**5)), "that of the fifth step"
