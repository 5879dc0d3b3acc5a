"""A model in training, used for a moment as it is used when it is trained."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


@contextlib.contextmanager
def in_use(model: nn.Module) -> Iterator[None]:
    """Without gradients or dropout; each part of the model gets back the mode that it had."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes:
            part.training = training
        torch.clear_autocast_cache()  # weights that were cast without gradients would be taken for the next pass
