"""Products of each precision against torch's own, and against exact arithmetic."""

import math
from contextlib import nullcontext
from typing import get_args

import pytest
import torch

from seq2seq.cli.verbs import PRECISIONS
from seq2seq.errors import UserError
from seq2seq.runtime.device import cpu_has_bf16_layers, device_named
from seq2seq.runtime.kernels import (
    DecodingPrecision,
    Int8Product,
    PackedProduct,
    PlainProduct,
    best_continuations,
    product_of,
    tanh_,
)
from tests.conftest import needs_bf16, needs_int8


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
@pytest.mark.parametrize("rows", [1, 5, 96])
def test_packed_products_equal_plain_ones(rows: int) -> None:
    torch.manual_seed(0)
    weight, inputs = torch.randn(40, 24), torch.randn(rows, 24)
    for addend in (torch.randn(40), torch.randn(rows, 40)):
        got, expected = (kind(weight)(inputs, addend) for kind in (PackedProduct, PlainProduct))
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(expected, inputs @ weight.T + addend, rtol=1e-5, atol=1e-5)


@needs_int8
def test_int8_products_are_sums_of_rounded_numbers() -> None:
    """Worked out in fp64 with the product's own integers, each of which is checked against the weight."""
    torch.manual_seed(0)
    weight, inputs, addend = torch.randn(40, 24), torch.rand(7, 24) * 2 - 1, torch.randn(7, 40)
    weight[3] = 0.0
    product = Int8Product(weight)
    steps = weight.double().abs().amax(1, keepdim=True) / 127
    rounded_weight = product(torch.eye(24), torch.zeros(40)).T.double()
    assert ((rounded_weight - weight).abs() <= steps * 0.5001).all()
    expected = (inputs * 127).round().double() / 127 @ rounded_weight.T + addend
    torch.testing.assert_close(product(inputs, addend).double(), expected, rtol=1e-5, atol=1e-5)


@needs_int8
def test_an_int8_row_does_not_depend_on_the_rows_beside_it() -> None:
    """Every row equals the product of the quantised values, summed here as whole numbers, to the rounding of fp32: CPUs
    with AMX have a kernel for few rows and one for many, and each rounds the scaled sum in an order of its own."""
    weight, inputs, addend = torch.randn(64, 32), torch.rand(50, 32) * 2 - 1, torch.randn(64)
    product = Int8Product(weight)
    scales = weight.abs().amax(1) / 127
    exact = (inputs * 127).round().long() @ (weight / scales[:, None]).round().long().t()
    expected = exact.double() * scales.double() / 127 + addend.double()
    for result in (product(inputs, addend), torch.cat([product(row[None], addend) for row in inputs])):
        rounding = 4 * torch.finfo(torch.float32).eps * (expected - addend).abs().clamp(min=1.0)
        assert ((result - expected).abs() <= rounding).all()


def test_int8_is_refused_where_the_hardware_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seq2seq.runtime.kernels.cpu_multiplies_int8", lambda: False)
    with pytest.raises(UserError, match="VNNI"):
        product_of(torch.randn(4, 4), "int8")
    with pytest.raises(UserError, match="int4"):
        product_of(torch.randn(4, 4), "int4")  # type: ignore[arg-type]


def test_half_precision_is_refused_where_it_would_be_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="fp16 needs a GPU; use fp32"):
        product_of(torch.randn(4, 4), "fp16")
    monkeypatch.setattr("seq2seq.runtime.device._cpu_multiplies_bf16", lambda: False)
    with pytest.raises(UserError, match="bf16 needs a GPU, or a CPU with AMX"):
        product_of(torch.randn(4, 4), "bf16")


def test_bf16_layers_are_there_where_an_lstm_runs_in_bf16() -> None:
    """An LSTM of usual size, forth and back; asking draws no random number."""
    state = torch.get_rng_state()
    there = cpu_has_bf16_layers.__wrapped__()
    assert torch.equal(torch.get_rng_state(), state)
    with nullcontext() if there else pytest.raises(RuntimeError), torch.autocast("cpu", torch.bfloat16):
        states, _ = torch.nn.LSTM(32, 64)(torch.randn(5, 3, 32))
        states.sum().backward()
        assert states.dtype == torch.bfloat16


def test_the_command_line_offers_every_precision() -> None:
    assert get_args(DecodingPrecision) == PRECISIONS


@needs_bf16
def test_products_in_bf16_round_inputs_and_weight_only() -> None:
    weight, inputs, addend = torch.randn(9, 6), torch.randn(5, 6), 1000 + torch.rand(9)
    exact = inputs.bfloat16().double() @ weight.bfloat16().double().T
    found = product_of(weight, "bf16")(inputs, addend)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double() - addend.double(), exact, rtol=0.01, atol=0.02)


def test_weights_in_fp64_are_multiplied_in_fp64() -> None:
    weight, inputs, addend = (torch.randn(size).double() for size in ((8, 6), (3, 6), (8,)))
    torch.testing.assert_close(product_of(weight, "fp32")(inputs, addend), inputs @ weight.T + addend)


@pytest.mark.parametrize(("slots", "size", "k"), [(5, 8_000, 5), (1, 8_000, 5), (3, 1_037, 7), (1, 3, 5), (4, 130, 2)])
def test_best_continuations_are_those_of_a_full_sort(slots: int, size: int, k: int) -> None:
    torch.manual_seed(size)
    log_probs = torch.randn(6, slots, size).log_softmax(-1)
    totals = -torch.rand(6, slots)
    totals[2, -1] = totals[3, :-1] = -math.inf  # slots of hypotheses that have ended
    log_probs[4] = -math.inf  # at its limit, a sentence has eos only
    log_probs[4, :, 2] = -1.0
    values, places = best_continuations(log_probs, totals, k)
    every = (totals[..., None] + log_probs).flatten(1)
    expected = every.sort(descending=True, stable=True).values[:, :k]
    assert torch.equal(values, expected)
    assert torch.equal(every.gather(1, places), values)
    for row, numbers in enumerate(places.tolist()):
        finite = [number for number, value in zip(numbers, values[row].tolist(), strict=True) if value > -math.inf]
        assert len(set(finite)) == len(finite)


@pytest.mark.parametrize("at_home", [True, False])
def test_tanh_is_tanh_on_every_maker_s_cpu(at_home: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seq2seq.runtime.kernels._mkl_is_at_home", lambda: at_home)
    given = torch.cat((torch.linspace(-12, 12, 4001), torch.tensor([-math.inf, -1e30, 0.0, 1e30, math.inf])))
    torch.testing.assert_close(tanh_(given.clone()).double(), given.double().tanh(), rtol=0, atol=2e-7)


@pytest.mark.parametrize(("name", "advice"), [("tpu9", "cpu or cuda"), ("cuda", "finds no GPU"), ("cuda:1", "no GPU")])
def test_a_device_that_is_not_there_is_refused(name: str, advice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=advice):
        device_named(name)
    assert device_named("auto") == torch.device("cpu")


@pytest.mark.parametrize(
    "name", ["mps", "xla", "meta", "cpu:3", "cuda:", "cuda:-1", "cuda:9999", "", "CPU", " cpu", "cpu\n"]
)
def test_only_what_this_was_written_for_is_a_device(name: str) -> None:
    with pytest.raises(UserError, match="is not known; choose cpu or cuda"):
        device_named(name)
