"""The loop's fast parts against torch's own cell and autograd's own sums, in fp64."""

import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from seq2seq.model.loop_autograd import LoopProduct, loop_over_rows, lstm_elementwise


def gradients(weight: Tensor, others: list[Tensor], outcome: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(outcome.pow(2).sum(), [weight, *others]))


def test_the_gradient_of_a_loops_weight_is_the_sum_over_its_steps() -> None:
    torch.manual_seed(0)
    weight, addends, first = (torch.randn(size).double().requires_grad_() for size in ((5, 5), (4, 3, 5), (3, 5)))

    def fast() -> Tensor:
        loop = LoopProduct(weight.t(), addends)
        state = first
        for _ in range(4):
            state = torch.tanh(loop(state))
        return state

    def plain() -> Tensor:
        state = first
        for step in range(4):
            state = torch.tanh(nn.functional.linear(state, weight) + addends[step])
        return state

    torch.testing.assert_close(fast(), plain(), rtol=1e-12, atol=1e-12)
    got, expected = (gradients(weight, [addends, first], outcome()) for outcome in (fast, plain))
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_the_gradient_of_a_loops_rows_is_the_sum_over_its_steps() -> None:
    torch.manual_seed(0)
    matrices, first = (torch.randn(size).double().requires_grad_() for size in ((3, 5, 5), (3, 1, 5)))

    def run(multiply: Callable[[Tensor], Tensor]) -> Tensor:
        state = first
        for _ in range(4):
            state = torch.tanh(multiply(state))
        return state

    outcomes = [run(loop_over_rows(matrices, 4)), run(lambda state: state @ matrices)]
    torch.testing.assert_close(*outcomes, rtol=1e-12, atol=1e-12)
    got, expected = (gradients(matrices, [first], outcome) for outcome in outcomes)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def test_a_loop_that_is_never_differentiated_frees_its_inputs() -> None:
    weight, addends = torch.randn(5, 5).requires_grad_(), torch.randn(2, 3, 5)
    loop = LoopProduct(weight, addends)
    outcome = loop(loop(torch.randn(3, 5)))
    kept = weakref.ref(loop.inputs[1])
    del loop, outcome
    gc.collect()
    assert kept() is None


@pytest.mark.parametrize("rows", [1, 7])
def test_the_elementwise_part_equals_torchs_cell(rows: int) -> None:
    torch.manual_seed(0)
    cell = nn.LSTMCell(6, 4).double()
    inputs, hidden, state = (torch.randn(rows, width).double().requires_grad_() for width in (6, 4, 4))
    gates = nn.functional.linear(inputs, cell.weight_ih, cell.bias_ih)
    gates = gates + nn.functional.linear(hidden, cell.weight_hh, cell.bias_hh)
    got, expected = lstm_elementwise(gates, state), cell(inputs, (hidden, state))
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    sums = [one.pow(2).sum() + (3 * other).sin().sum() for one, other in (got, expected)]
    wanted = [inputs, hidden, state, cell.weight_ih]
    torch.testing.assert_close(*(torch.autograd.grad(each, wanted) for each in sums), rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(lstm_elementwise, (gates.detach().requires_grad_(), state))


@pytest.mark.gpu
def test_the_gpus_cell_equals_the_cpus() -> None:
    torch.manual_seed(0)
    gates, cell = torch.randn(7, 16), torch.randn(7, 4)
    found = []
    for device in ("cpu", "cuda"):
        given = [each.to(device).requires_grad_() for each in (gates, cell)]
        hidden, new_cell = lstm_elementwise(*given)
        gradients = torch.autograd.grad(hidden.pow(2).sum() + new_cell.sin().sum(), given)
        found.append([each.cpu() for each in (hidden, new_cell, *gradients)])
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-5)
