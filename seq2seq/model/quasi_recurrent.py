"""A layer whose gates read the input alone, so that its recurrence is elementwise: no product with the last state."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from seq2seq.model.memory import length_mask
from seq2seq.model.recurrent import JointWeights, Output, State, last_step
from seq2seq.runtime.device import at_least_fp32


class QRNNLayer(nn.Module):
    """Quasi-recurrent layer of filter width 1 with fo-pooling (Bradbury et al. 2017), kin of the SRU (Lei et al. 2018)
    and the SSRU (Kim et al. 2019).

    z = tanh(W_z x), f = s(W_f x), o = s(W_o x), c = f * c_before + (1 - f) * z, h = o * c. All products of a sequence
    are one; what is left for each step is one multiplication and addition per unit. h and c lie within [-1, 1].
    """

    has_cell: ClassVar[bool] = True
    reads_hidden: ClassVar[bool] = False
    weight_dropout = 0.0

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        bound = 1 / math.sqrt(hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(3 * hidden_size, input_size).uniform_(-bound, bound))
        """[3H, I] z, f, o"""
        self.bias = nn.Parameter(torch.zeros(3 * hidden_size))

    def forward(self, inputs: Tensor, lengths: Tensor) -> Output:
        """inputs [B, S, I], lengths [B] -> states [B, S, H], last real h [B, H], c [B, H]."""
        nothing = inputs.new_zeros(inputs.shape[0], self.hidden_size)
        states, cells = self._states(inputs, nothing, length_mask(lengths, inputs.shape[1])[..., None])
        return states, last_step(states, lengths), cells[:, -1]

    def run(self, inputs: Tensor, start: State) -> Tensor:
        """inputs [B, T, I], start h and c [B, H] -> states [B, T, H]."""
        return self._states(inputs, start[1], None)[0]

    def step(self, inputs: Tensor, hidden: Tensor, cell: Tensor) -> State:
        """inputs [N, I], hidden [N, H], cell [N, H] -> the next h and c."""
        return self.advance(nn.functional.linear(inputs, self.weight_ih, self.bias), hidden, cell)

    def joint_weights(self) -> JointWeights:
        """Those by h are 0."""
        return JointWeights(self.weight_ih, self.weight_ih.new_zeros(len(self.bias), self.hidden_size), self.bias)

    def advance(self, gates: Tensor, _hidden: Tensor, cell: Tensor) -> State:
        """gates [N, 3H], cell [N, H] -> the next h, in the gates' type, and c, in fp32 at least."""
        candidate, forget, outgoing = at_least_fp32(gates).chunk(3, -1)  # see `_states`
        candidate = candidate.tanh()
        new_cell = candidate + forget.sigmoid() * (cell.to(candidate.dtype) - candidate)
        return (outgoing.sigmoid() * new_cell).to(gates.dtype), new_cell

    def _states(self, inputs: Tensor, start: Tensor, real: Tensor | None) -> tuple[Tensor, Tensor]:
        """inputs [B, S, I], start c [B, H], real [B, S, 1] bool: c stands still on the other steps -> h and c [B, S,
        H]."""
        gates = nn.functional.linear(inputs, self.weight_ih, self.bias)
        candidate, forget, outgoing = gates.chunk(3, -1)
        forget = at_least_fp32(forget).sigmoid()  # in bf16 a c that is hardly forgotten would not change at all
        added = (1 - forget) * at_least_fp32(candidate).tanh()
        if real is not None:
            forget, added = forget.masked_fill(~real, 1.0), added.masked_fill(~real, 0.0)
        cells = linear_recurrence(forget, added, start.to(forget.dtype))
        return (outgoing.sigmoid() * cells).to(gates.dtype), cells.to(gates.dtype)


def linear_recurrence(factors: Tensor, added: Tensor, start: Tensor) -> Tensor:
    """x_t = factors_t * x_before + added_t: factors and added [B, S, H], start [B, H] -> [B, S, H]."""
    return _LinearRecurrence.apply(factors, added, start)


class _LinearRecurrence(torch.autograd.Function):
    """One kernel per step in each direction."""

    @staticmethod
    def forward(ctx: Any, factors: Tensor, added: Tensor, start: Tensor) -> Tensor:
        by_step = factors.transpose(0, 1).contiguous()
        states = added.transpose(0, 1).clone(memory_format=torch.contiguous_format)  # the loop writes over it
        last = start
        for factor, state in zip(by_step.unbind(0), states.unbind(0), strict=True):
            last = state.addcmul_(factor, last)
        ctx.save_for_backward(by_step, states, start)
        return states.transpose(0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        factors, states, start = ctx.saved_tensors
        by_added = upstream[0].transpose(0, 1).clone(memory_format=torch.contiguous_format)
        later: Tensor | None = None
        for factor, gradient in zip(reversed(factors.unbind(0)), reversed(by_added.unbind(0)), strict=True):
            if later is not None:
                gradient += later
            later = factor * gradient
        before = torch.cat((start[None], states[:-1]))
        assert later is not None
        return (by_added * before).transpose(0, 1), by_added.transpose(0, 1), later
