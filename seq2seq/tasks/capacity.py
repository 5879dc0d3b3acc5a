"""Whether a model can be trained on this machine, found out before any memory is taken for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from seq2seq.errors import UserError
from seq2seq.model.initialisation import parameter_count
from seq2seq.runs.stored_model import ShapesAlone
from seq2seq.training.config import TrainerConfig
from seq2seq.training.optimizer import OptimizerConfig

Model = TypeVar("Model", bound=nn.Module)

BYTES = 4
"""Of a parameter while training: fp32, whatever the products are computed in."""
MOMENTS = {"adam": 2, "adamw": 2, "rmsprop": 1, "sgd": 0}
"""Values that the optimiser keeps per parameter."""
MEBIBYTE = 1 << 20


def fresh_model(
    build: Callable[[], Model], trainer: TrainerConfig, optimizer: OptimizerConfig, device: torch.device
) -> Model:
    """The model that `build` gives with the seed of the run. Raises UserError, before it is built, where the device has
    too little memory to train it."""
    with ShapesAlone():
        parameters = parameter_count(build())
    needed, present = training_bytes(parameters, trainer, optimizer), device_bytes(device)
    if needed > present:
        raise UserError(
            f"a model of {parameters:,} parameters needs {needed / MEBIBYTE:,.0f} MiB for weights, gradients and "
            f"optimiser, this machine has {present / MEBIBYTE:,.0f} MiB ({device.type}); lower the sizes in model"
        )
    torch.manual_seed(trainer.seed)
    return build()


def training_bytes(parameters: int, trainer: TrainerConfig, optimizer: OptimizerConfig) -> int:
    """Memory for weights, gradients, the optimiser's moments and the running average; of a model in shares, whatever
    their number, for weights and gradients, which are whole during a step."""
    shared_out = MOMENTS[optimizer.name] + (trainer.average_decay > 0)
    copies = 2 + (shared_out if trainer.sharding == "none" else 0)
    return BYTES * copies * parameters


def device_bytes(device: torch.device) -> int:
    """All memory of a GPU, or of the machine."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
