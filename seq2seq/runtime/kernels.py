"""Matrix products and selections for decoding, each with its reason and measured gain."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from seq2seq.errors import UserError, check
from seq2seq.runtime.device import compute_type

DecodingPrecision = Literal["fp32", "int8", "bf16", "fp16"]
Product = Callable[[Tensor, Tensor], Tensor]
"""(inputs [N, I], addend [N, O] or [O]) -> inputs W^T + addend [N, O], for a weight W [O, I] that stays the same."""

DECODING_STEP = 8
"""Sentences are decoded in multiples of this many, where they are more, and padded to multiples of so many tokens (long
ones to larger multiples), so that few sizes occur: oneDNN prepares kernels for each, megabytes of them, and where they
come and go memory grows for hours. 490 MiB instead of 970 after searches of random sizes, at the same speed."""


def product_of(weight: Tensor, precision: DecodingPrecision) -> Product:
    """The fastest product with this weight [O, I] on its device.

    Raises UserError where int8, bf16 or fp16 is asked of hardware without such instructions.
    """
    if precision == "int8":
        if weight.device.type != "cpu" or not cpu_multiplies_int8():
            raise UserError("precision int8 needs a CPU with VNNI instructions; use fp32")
        return Int8Product(weight)
    if precision == "bf16" or precision == "fp16":
        return HalfProduct(weight, _half_type(precision, weight.device))
    if precision != "fp32":
        raise UserError(f"the precision of decoding is fp32, int8, bf16 or fp16, not {precision}")
    if weight.device.type == "cpu" and weight.dtype == torch.float32 and torch.backends.mkldnn.is_available():
        return PackedProduct(weight)
    return PlainProduct(weight)


def _half_type(precision: Literal["bf16", "fp16"], device: torch.device) -> torch.dtype:
    """The type of that name. Raises UserError where the device would only emulate it."""
    known = device.type != "cpu" if precision == "fp16" else compute_type("auto", device) == torch.bfloat16
    needed = {"bf16": "a GPU, or a CPU with AMX or AVX512-BF16, that multiplies it", "fp16": "a GPU"}
    check(known, f"precision {precision} needs {needed[precision]}; use fp32")
    return compute_type(precision, device)


def cpu_multiplies_int8() -> bool:
    """Whether int8 products are exact and fast (VNNI instructions); False where this torch has no such test."""
    return torch.backends.mkldnn.is_available() and bool(getattr(torch.cpu, "_is_vnni_supported", lambda: False)())


class PlainProduct:
    """By torch's own product: on GPUs, and for other types than fp32."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight.t().contiguous()

    def __call__(self, inputs: Tensor, addend: Tensor) -> Tensor:
        """See `Product`."""
        return torch.addmm(addend, inputs, self.weight)


class HalfProduct:
    """In bf16 or fp16: inputs, weight and product are rounded, and what is added to it is fp32."""

    def __init__(self, weight: Tensor, dtype: torch.dtype) -> None:
        self.weight = weight.t().to(dtype).contiguous()

    def __call__(self, inputs: Tensor, addend: Tensor) -> Tensor:
        """See `Product`."""
        return addend.float() + inputs.to(self.weight.dtype) @ self.weight


class PackedProduct:
    """fp32, with the weight laid out once as oneDNN's kernel reads it: 1.1 to 1.3 x for 960 rows, 3.5 x for 5 rows."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous())

    def __call__(self, inputs: Tensor, addend: Tensor) -> Tensor:
        """See `Product`."""
        inputs, addend = inputs.float(), addend.float()  # under autocast they may come in bf16
        if addend.dim() == 1:
            return torch.ops.mkldnn._linear_pointwise(inputs, self.weight, addend, "none", [], "")
        return torch.ops.mkldnn._linear_pointwise.binary(inputs, addend, self.weight, None, "add")


INT8_LARGEST = 127
UINT8_ZERO = 128


class Int8Product:
    """Quantised to int8, for inputs within [-1, 1], as hidden states are: 4 x fp32 on CPUs with VNNI.

    The weight has a scale for each output, set by its largest element; inputs share one fixed scale, so that a row's
    result never depends on the rows beside it. Inputs are shifted to uint8, as the instructions multiply uint8 by int8;
    oneDNN scales the int32 sums and adds in fp32 as it writes them: 1.25 x against doing so afterwards (960 rows, 8,000
    outputs). With int8 inputs it would take its reference code, a thousand times slower.
    """

    def __init__(self, weight: Tensor) -> None:
        self.scales = weight.float().abs().amax(1).clamp(min=1e-30) / INT8_LARGEST
        quantised = (weight.float() / self.scales[:, None]).round().to(torch.int8)
        self.weight = torch.ops.onednn.qlinear_prepack(quantised, None)
        self.zeros = torch.zeros(len(weight), dtype=torch.int64)
        self.half = torch.tensor(UINT8_ZERO + 0.5)

    def __call__(self, inputs: Tensor, addend: Tensor) -> Tensor:
        """See `Product`."""
        shifted = torch.add(self.half, inputs, alpha=INT8_LARGEST).to(torch.uint8)  # cut off, so rounded
        addend = addend.float()
        quantised = (shifted, 1 / INT8_LARGEST, UINT8_ZERO, self.weight, self.scales, self.zeros)
        if addend.dim() == 1:
            return torch.ops.onednn.qlinear_pointwise(*quantised, addend, 1.0, 0, torch.float32, "none", [], "")
        added = (addend, None, 1.0, 0, torch.float32, 1.0, 0, "add", 1.0)
        return torch.ops.onednn.qlinear_pointwise.binary(*quantised, *added, "none", [], "")


def tanh_(tensor: Tensor) -> Tensor:
    """tanh in place, to 2e-7.

    torch leaves tanh to MKL, which is slow on other makers' CPUs: there 2 sigmoid(2x) - 1 takes a quarter of the time,
    as torch's sigmoid is its own. On Intel's CPUs MKL's tanh is the faster one.
    """
    if tensor.is_cuda or _mkl_is_at_home():
        return tensor.tanh_()
    return tensor.mul_(2).sigmoid_().mul_(2).sub_(1)


@functools.cache
def _mkl_is_at_home() -> bool:
    try:
        return "AuthenticAMD" not in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return True


BLOCK = 64


def best_continuations(log_probs: Tensor, totals: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """log_probs [b, K, V] added to totals [b, K] -> the k largest of each b (fewer where there are no more), largest
    first, and their places in K * V.

    torch's top-k on CPU walks a row element by element. The k largest lie in the k blocks of 64 with the largest
    maxima, and maxima of blocks are one pass of vector instructions.
    """
    slots, size = log_probs.shape[1:]
    blocks = size // BLOCK
    if log_probs.is_cuda or blocks <= 2 * k:
        return _best_of_each_row(log_probs, totals, k)
    whole = blocks * BLOCK
    maxima = totals[..., None] + log_probs[..., :whole].unflatten(-1, (blocks, BLOCK)).amax(-1)
    chosen = maxima.flatten(1).topk(k).indices
    slot, block = chosen // blocks, chosen % blocks
    places = ((slot * size + block * BLOCK)[..., None] + torch.arange(BLOCK)).flatten(1)
    if whole < size:  # the last columns make no block
        rest = (torch.arange(slots)[:, None] * size + torch.arange(whole, size)).flatten()
        places = torch.cat((places, rest.expand(len(places), -1)), 1)
    values = totals.gather(1, places // size) + log_probs.flatten(1).gather(1, places)
    best, picked = values.topk(k)
    return best, places.gather(1, picked)


def _best_of_each_row(log_probs: Tensor, totals: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """No slot's continuation beyond its own best k can be among the best k of all."""
    size = log_probs.shape[2]
    best, tokens = log_probs.topk(min(k, size))
    values, picked = (totals[..., None] + best).flatten(1).topk(min(k, best[0].numel()))
    return values, picked // best.shape[2] * size + tokens.flatten(1).gather(1, picked)
