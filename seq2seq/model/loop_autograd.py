"""Custom backward passes for recurrent loops.

A weight that is the same at every step gets its gradient from one matrix product after the loop, not from one product
and one addition per step, as autograd would do it. An LSTM's elementwise part has a backward pass of its own, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seq2seq.runtime.device import product_type


class LoopProduct:
    """A product that a loop takes with one step's inputs after the other: inputs @ matrix + that step's addend.

    matrix [I, O], for inputs [B, I], or [B, I, O], one for each row, for inputs [B, 1, I]. addends [T, B, O] or
    [T, B, 1, O]: what each step's product is added to, such as a bias, or the part of the input that is known before
    the loop. The addends' gradients are those of the products, so once they are all there, the matrix's gradient is
    their product with all inputs.
    """

    def __init__(self, matrix: Tensor, addends: Tensor) -> None:
        dtype = product_type(matrix)
        self.matrix = matrix.detach().to(dtype)
        self.inputs: list[Tensor] = []
        addends = addends.to(dtype)
        self.addends: Iterator[Tensor] = iter(_JoinLoop.apply(addends, matrix, self.inputs).unbind(0))

    def __call__(self, inputs: Tensor) -> Tensor:
        """inputs of the next step -> its product, [B, O] or [B, 1, O]."""
        inputs = inputs.to(self.matrix.dtype)
        if torch.is_grad_enabled():
            self.inputs.append(inputs.detach())  # with its history it would be a cycle that nothing ever frees
        multiply = torch.addmm if self.matrix.dim() == 2 else torch.baddbmm
        return multiply(next(self.addends), inputs, self.matrix)


def loop_over_rows(matrices: Tensor, steps: int) -> LoopProduct:
    """matrices [B, I, O], one for each row, such as an encoder's states -> their products, with nothing added."""
    return LoopProduct(matrices, matrices.new_zeros(()).expand(steps, len(matrices), 1, matrices.shape[2]))


class _JoinLoop(torch.autograd.Function):
    """Gives the addends as they are; its backward runs when every step's gradient has come."""

    @staticmethod
    def forward(ctx: Any, addends: Tensor, matrix: Tensor, inputs: list[Tensor]) -> Tensor:
        ctx.inputs, ctx.dtype = inputs, matrix.dtype
        return addends.view_as(addends)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, Tensor, None]:
        grad_products = upstream[0]
        all_steps = grad_products.movedim(0, -3).flatten(-3, -2)  # [T B, O] or [B, T, O], as the inputs side by side
        grad_matrix = (all_steps.mT @ torch.cat(ctx.inputs, -2)).mT
        return grad_products, grad_matrix.to(ctx.dtype), None


def lstm_elementwise(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """gates [B, 4H] before their nonlinearities, in torch's order input, forget, cell, output; cell [B, H] -> h, c.

    In the gates' type, as torch's own cell.
    """
    cell = cell.to(gates.dtype)
    if gates.is_cuda:  # torch's kernel does it all in one launch
        hidden, cell, _ = torch.ops.aten._thnn_fused_lstm_cell(gates, torch.zeros_like(gates), cell)
        return hidden, cell
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
        grad_hidden, grad_cell = upstream
        ingoing, forget, candidate, outgoing, cell, squashed = ctx.saved_tensors
        grad_cell = grad_cell + torch.ops.aten.tanh_backward(grad_hidden * outgoing, squashed)
        grad_gates = (
            torch.ops.aten.sigmoid_backward(grad_cell * candidate, ingoing),
            torch.ops.aten.sigmoid_backward(grad_cell * cell, forget),
            torch.ops.aten.tanh_backward(grad_cell * ingoing, candidate),
            torch.ops.aten.sigmoid_backward(grad_hidden * squashed, outgoing),
        )
        return torch.cat(grad_gates, 1), grad_cell * forget
