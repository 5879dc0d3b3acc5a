"""Optimiser and learning rate. The rate is a pure function of the step, times the cuts a plateau has earned."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from seq2seq.config import COUNTS, COUNTS_OR_NONE, Real, Whole, check_fields, check_numbers
from seq2seq.errors import check


@dataclass(frozen=True)
class OptimizerConfig:
    """The optimiser and its learning rate over time."""

    name: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    """adam (Kingma & Ba 2015), adamw (Loshchilov & Hutter 2019), rmsprop (Tieleman & Hinton 2012) or sgd."""
    learning_rate: float = 0.002
    """Peak learning rate. Classic values: 0.001-0.003 for adam, 1.0 for sgd with halving."""
    beta1: float = 0.9
    """Adam's decay of the gradient's mean."""
    beta2: float = 0.98
    """Adam's and rmsprop's decay of the gradient's square."""
    epsilon: float = 1e-8
    """Adam's and rmsprop's addend to the denominator."""
    weight_decay: float = 0.0
    """Decay of weight matrices per step; biases are left alone. adamw, sgd: times the learning rate. rmsprop: an L2
    penalty, added to the gradient. adam: none, as it would weaken where gradients are large."""
    schedule: Literal["constant", "inverse_sqrt", "cosine", "halving", "plateau"] = "cosine"
    """After the warm-up. cosine: falls to final_fraction at the last step. inverse_sqrt: falls with 1/sqrt(step).
    halving: the classic SGD schedule, times decay_factor every decay_steps from decay_start on. plateau: times
    decay_factor whenever more than plateau_patience validations in a row brought no gain. constant: stays."""
    warmup_steps: int = 200
    """Steps of linear rise from 0 to the peak."""
    final_fraction: float = 0.02
    """cosine: the last step's learning rate as a fraction of the peak."""
    restarts: int = 0
    """cosine: how often the learning rate jumps back to the peak, after equal times (Loshchilov & Hutter 2017)."""
    decay_start: int = 5_000
    """halving: step of the first cut."""
    decay_steps: int = 1_000
    """halving: steps between cuts."""
    decay_factor: float = 0.5
    """halving and plateau: what a cut multiplies the learning rate by."""
    plateau_patience: int = 2
    """plateau: validations in a row without gain that are borne; one more is a cut, as in torch's
    ReduceLROnPlateau."""

    def __post_init__(self) -> None:
        check_fields(self, "optimizer")
        check_numbers(
            self,
            "optimizer",
            learning_rate=Real(0, 1_000, without=(0,)),
            beta1=Real(0, 1, without=(1,)),
            beta2=Real(0, 1, without=(1,)),
            epsilon=Real(0, 1, without=(0,)),
            weight_decay=Real(0, 1_000),
            warmup_steps=COUNTS_OR_NONE,
            final_fraction=Real(0, 1),
            restarts=Whole(0, 1_000),
            decay_start=COUNTS_OR_NONE,
            decay_steps=COUNTS,
            decay_factor=Real(0, 1, without=(0, 1)),
            plateau_patience=COUNTS_OR_NONE,
        )


def check_end(config: OptimizerConfig, known: bool) -> None:
    """Raises UserError where the learning rate falls towards a last step that is not known."""
    check(
        known or config.schedule != "cosine",
        "optimizer.schedule cosine needs to know the last step: set trainer.max_steps, or choose inverse_sqrt",
    )


def learning_rate(config: OptimizerConfig, step: int, total_steps: int, cuts: int = 0) -> float:
    """Learning rate of a step (the first is 1) in a training of total_steps; cuts: how many times a plateau was met."""
    peak = config.learning_rate
    if step < config.warmup_steps:
        return peak * step / config.warmup_steps
    match config.schedule:
        case "inverse_sqrt":
            return peak * math.sqrt(max(config.warmup_steps, 1) / step)
        case "cosine":
            whole = max(1, total_steps - config.warmup_steps)
            done = min(whole, step - config.warmup_steps) * (config.restarts + 1)
            begun = min(done // whole, config.restarts)  # in whole numbers: a restart is at a step, not just beside it
            cosine = (1 + math.cos(math.pi * ((done - begun * whole) / whole))) / 2
            return peak * (config.final_fraction + (1 - config.final_fraction) * cosine)
        case "halving":
            made = 0 if step < config.decay_start else 1 + (step - config.decay_start) // config.decay_steps
            return peak * float(config.decay_factor**made)
        case "plateau":
            return peak * float(config.decay_factor**cuts)
        case "constant":
            return peak


def build_optimizer(parameters: Iterable[nn.Parameter], config: OptimizerConfig) -> torch.optim.Optimizer:
    """The optimiser over two groups: matrices, which weight decay applies to, and the rest.

    All but rmsprop are fused: one pass over all weights, and they skip a step by themselves where their attribute
    found_inf, a tensor, is 1.
    """
    distinct = list(dict.fromkeys(parameters))
    groups = [
        {"params": [p for p in distinct if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in distinct if p.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if config.name == "sgd":
        return torch.optim.SGD(groups, config.learning_rate, fused=True)
    if config.name == "rmsprop":
        return torch.optim.RMSprop(groups, config.learning_rate, alpha=config.beta2, eps=config.epsilon)
    kind = torch.optim.Adam if config.name == "adam" else torch.optim.AdamW
    if config.name == "adam":  # Adam's own weight decay is an L2 penalty, which is not what the option says
        groups = [{**group, "weight_decay": 0.0} for group in groups]
    betas = (config.beta1, config.beta2)
    return kind(groups, config.learning_rate, betas=betas, eps=config.epsilon, fused=True)
