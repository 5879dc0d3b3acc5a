"""Zoneout: dropout for recurrent layers that keeps a unit's last value instead of setting it to 0."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seq2seq.model.looped import Looped
from seq2seq.model.recurrent import JointWeights, State


class ZoneoutLayer(Looped):
    """Another layer, of which in training each unit of h, and of c, keeps its last value for a step with probability
    `rate`, drawn for each step; in use all move 1 - rate of the way (Krueger et al. 2017)."""

    def __init__(self, layer: nn.Module, rate: float) -> None:
        super().__init__()
        self.layer: Any = layer
        self.rate = rate
        for name in ("has_cell", "reads_hidden", "hidden_size", "weight_dropout"):
            setattr(self, name, getattr(layer, name))

    def joint_weights(self) -> JointWeights:
        """Those of the layer."""
        return self.layer.joint_weights()

    def advance(self, gates: Tensor, hidden: Tensor, cell: Tensor) -> State:
        """gates [N, G], hidden [N, H], cell [N, H] -> the next h and c."""
        new_hidden, new_cell = self.layer.advance(gates, hidden, cell)
        moved = self._moved(hidden, new_hidden)
        return moved, self._moved(cell, new_cell) if self.has_cell else moved

    def _moved(self, last: Tensor, new: Tensor) -> Tensor:
        last = last.to(new.dtype)
        if not self.training:
            return torch.lerp(new, last, self.rate)
        return torch.where(torch.rand_like(new) < self.rate, last, new)
