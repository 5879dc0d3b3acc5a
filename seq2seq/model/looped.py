"""Recurrent layers whose steps are a loop of our own, for what torch has no kernel for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seq2seq.model.loop_autograd import LoopProduct
from seq2seq.model.memory import length_mask
from seq2seq.model.recurrent import JointWeights, Output, State, dropped


class Looped(nn.Module):
    """A loop over time around `advance`, which a subclass defines, as it does `joint_weights`."""

    has_cell: Any
    reads_hidden: Any
    hidden_size: int
    weight_dropout: float

    def joint_weights(self) -> JointWeights:
        """The weights that make the gates."""
        raise NotImplementedError

    def advance(self, gates: Tensor, hidden: Tensor, cell: Tensor) -> State:
        """gates [N, G], hidden [N, H], cell [N, H] -> the next h and c."""
        raise NotImplementedError

    def forward(self, inputs: Tensor, lengths: Tensor) -> Output:
        """inputs [B, S, I], lengths [B] -> states [B, S, H], last real h [B, H], c [B, H]."""
        nothing = inputs.new_zeros(inputs.shape[0], self.hidden_size)
        return self._loop(inputs, (nothing, nothing), length_mask(lengths, inputs.shape[1])[..., None])

    def run(self, inputs: Tensor, start: State) -> Tensor:
        """inputs [B, T, I], start h and c [B, H] -> states [B, T, H]."""
        real = torch.ones(1, inputs.shape[1], 1, dtype=torch.bool, device=inputs.device)
        return self._loop(inputs, start, real)[0]

    def step(self, inputs: Tensor, hidden: Tensor, cell: Tensor) -> State:
        """inputs [N, I], hidden [N, H], cell [N, H] -> the next h and c."""
        by_input, by_hidden, bias = self.joint_weights()
        gates = nn.functional.linear(inputs, by_input, bias) + hidden @ by_hidden.t()
        return self.advance(gates, hidden, cell)

    def _loop(self, inputs: Tensor, start: State, real: Tensor) -> Output:
        """real [B or 1, S, 1] bool: h and c stand still on the other steps."""
        by_input, by_hidden, bias = self.joint_weights()
        projected = nn.functional.linear(inputs, by_input, bias)
        gates_of = LoopProduct(dropped(by_hidden, self).t(), projected.transpose(0, 1))
        hidden, cell = (each.to(inputs.dtype) for each in start)
        states = []
        for step in range(inputs.shape[1]):
            new_hidden, new_cell = self.advance(gates_of(hidden), hidden, cell)
            hidden = torch.where(real[:, step], new_hidden, hidden)
            cell = torch.where(real[:, step], new_cell, cell)
            states.append(hidden)
        return torch.stack(states, 1), hidden, cell
