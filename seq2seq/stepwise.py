"""What a loop over time needs to train fast: weights whose gradient is one product over all steps, and an LSTM's
elementwise part with a backward of its own.

Left to itself, autograd would multiply, and add to a tensor of the weight's size, once per step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seq2seq.hardware import product_type


class LoopWeight:
    """A weight [O, I] that a loop applies to one step's inputs after the other.

    addends [T, B, O]: what each step's product is added to, such as a bias, or the part of the input that is known
    before the loop. The addends' gradients are those of the products, so once they are all there, the weight's
    gradient is their product with all inputs.
    """

    def __init__(self, weight: Tensor, addends: Tensor) -> None:
        kind = product_type(weight)
        self.weight = weight.detach().to(kind).t()
        self.inputs: list[Tensor] = []
        addends = addends.to(kind)
        self.addends: Iterator[Tensor] = iter(_JoinLoop.apply(addends, weight, self.inputs).unbind(0))

    def __call__(self, inputs: Tensor) -> Tensor:
        """inputs [B, I] of the next step -> inputs W^T + addend [B, O]."""
        inputs = inputs.to(self.weight.dtype)
        if torch.is_grad_enabled():
            self.inputs.append(inputs.detach())  # with its history it would be a cycle that nothing ever frees
        return torch.addmm(next(self.addends), inputs, self.weight)


class _JoinLoop(torch.autograd.Function):
    """Gives the addends as they are; its backward runs when every step's gradient has come."""

    @staticmethod
    def forward(ctx: Any, addends: Tensor, weight: Tensor, inputs: list[Tensor]) -> Tensor:
        ctx.inputs, ctx.dtype = inputs, weight.dtype
        return addends.view_as(addends)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor, None]:
        by_product = upstream[0]
        rows = torch.cat(ctx.inputs)
        return by_product, (by_product.flatten(0, 1).t() @ rows).to(ctx.dtype), None


def lstm_elementwise(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """gates [B, 4H] before their nonlinearities, in torch's order input, forget, cell, output; cell [B, H] -> h, c."""
    return _LSTMElementwise.apply(gates, cell)


class _LSTMElementwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        ingoing, forget, candidate, outgoing = gates.chunk(4, 1)
        ingoing, forget, outgoing = ingoing.sigmoid(), forget.sigmoid(), outgoing.sigmoid()
        candidate = candidate.tanh()
        new_cell = torch.addcmul(forget * cell, ingoing, candidate)
        squashed = new_cell.tanh()
        ctx.save_for_backward(ingoing, forget, candidate, outgoing, cell, squashed)
        return outgoing * squashed, new_cell

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor]:
        by_hidden, by_cell = upstream
        ingoing, forget, candidate, outgoing, cell, squashed = ctx.saved_tensors
        by_cell = by_cell + torch.ops.aten.tanh_backward(by_hidden * outgoing, squashed)
        by_gates = (
            torch.ops.aten.sigmoid_backward(by_cell * candidate, ingoing),
            torch.ops.aten.sigmoid_backward(by_cell * cell, forget),
            torch.ops.aten.tanh_backward(by_cell * ingoing, candidate),
            torch.ops.aten.sigmoid_backward(by_hidden * squashed, outgoing),
        )
        return torch.cat(by_gates, 1), by_cell * forget
