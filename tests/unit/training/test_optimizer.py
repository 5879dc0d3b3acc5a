"""Learning rates by hand."""

import math

import pytest
import torch
from torch import nn

from seq2seq.errors import UserError
from seq2seq.training.optimizer import OptimizerConfig, build_optimizer, learning_rate


@pytest.mark.parametrize(
    ("schedule", "step", "cuts", "expected"),
    [
        ("constant", 5, 0, 0.5),  # half of the warm-up
        ("constant", 500, 0, 1.0),
        ("inverse_sqrt", 10, 0, 1.0),
        ("inverse_sqrt", 1000, 0, 0.1),
        ("cosine", 10, 0, 1.0),
        ("cosine", 60, 0, 0.02 + 0.98 / 2),
        ("cosine", 110, 0, 0.02),
        ("halving", 99, 0, 1.0),
        ("halving", 100, 0, 0.5),
        ("halving", 125, 0, 0.125),
        ("plateau", 500, 2, 0.25),
    ],
)
def test_learning_rates(schedule: str, step: int, cuts: int, expected: float) -> None:
    config = OptimizerConfig(
        learning_rate=1.0,
        schedule=schedule,
        warmup_steps=10,
        decay_start=100,
        decay_steps=12,  # type: ignore[arg-type]
    )
    assert learning_rate(config, step, total_steps=110, cuts=cuts) == pytest.approx(expected)


def test_cosine_begins_anew_after_each_part() -> None:
    """Three parts of 40 steps; the last step is the end of the last one."""
    config = OptimizerConfig(learning_rate=1.0, warmup_steps=10, restarts=2)
    lowest, half = 0.02, 0.02 + 0.98 / 2
    wanted = {10: 1.0, 30: half, 50: 1.0, 70: half, 90: 1.0, 110: half, 130: lowest, 140: lowest}
    found = {step: learning_rate(config, step, total_steps=130) for step in wanted}
    assert found == pytest.approx(wanted)
    assert learning_rate(config, 49, total_steps=130) < 0.03
    many = OptimizerConfig(learning_rate=1.0, warmup_steps=0, restarts=21)
    assert [learning_rate(many, 77 * part, total_steps=77 * 22) for part in range(22)] == [1.0] * 22


def test_cosine_without_restarts_is_what_it_was_to_the_last_bit() -> None:
    """Runs that were begun before there were restarts go on exactly."""
    config = OptimizerConfig(learning_rate=0.003, warmup_steps=7)
    for step in range(7, 400):
        fraction = min(1.0, (step - 7) / (387 - 7))
        expected = 0.003 * (0.02 + (1 - 0.02) * ((1 + math.cos(math.pi * fraction)) / 2))
        assert learning_rate(config, step, total_steps=387) == expected


def test_weight_decay_is_for_matrices_of_all_but_adam() -> None:
    layer = nn.Linear(3, 3)
    for name, expected in (
        ("adamw", [0.1, 0.0]),
        ("sgd", [0.1, 0.0]),
        ("rmsprop", [0.1, 0.0]),
        ("adam", [0.0, 0.0]),
    ):
        optimizer = build_optimizer(layer.parameters(), OptimizerConfig(name=name, weight_decay=0.1))  # type: ignore[arg-type]
        assert [group["weight_decay"] for group in optimizer.param_groups] == expected
        assert [len(group["params"]) for group in optimizer.param_groups] == [1, 1]


def test_a_shared_weight_is_optimised_once() -> None:
    weight = nn.Parameter(torch.zeros(2, 2))
    optimizer = build_optimizer([weight, weight], OptimizerConfig())
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 1


@pytest.mark.parametrize("wrong", [{"learning_rate": 0.0}, {"warmup_steps": -1}, {"decay_factor": 1.0}, {"beta1": 1.0}])
def test_nonsense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        OptimizerConfig(**wrong)  # type: ignore[arg-type]
