"""Hardware lore, each with its reason and measured gain, kept out of the model's sight."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import torch
from torch import Tensor

from seq2seq.config import UserError

Whole = TypeVar("Whole")
Precision = Literal["auto", "fp32", "bf16", "fp16"]
DecodingPrecision = Literal["fp32", "int8"]
Product = Callable[[Tensor, Tensor], Tensor]
"""(inputs [N, I], addend [N, O] or [O]) -> inputs W^T + addend [N, O], for a weight W [O, I] that stays the same."""

DECODING_STEP = 8
"""Sentences are decoded in multiples of this many, where they are more, and padded to multiples of so many tokens (long
ones to larger multiples), so that few sizes occur: oneDNN prepares kernels for each, megabytes of them, and where they
come and go memory grows for hours. 490 MiB instead of 970 after searches of random sizes, at the same speed."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # names and values of glibc's malloc.h


def prepare_process() -> None:
    """Settings of the whole process, to be made before its first product: memory, threads, what fp32 means.

    Only programs call it (the command line, recipes), never `import seq2seq`.
    """
    _keep_freed_memory()
    _limit_threads()
    torch.backends.cudnn.allow_tf32 = False  # it would round fp32 to 10 bits in cuDNN's layers
    warnings.filterwarnings("ignore", "RNN module weights are not part of single contiguous chunk")  # nor can they be


def _keep_freed_memory() -> None:
    """Lets glibc keep large freed buffers instead of handing them back and page-faulting them in at every step.

    1.45 x end to end in training on 2 cores. A no-op where the C library is not glibc.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 1 << 30)
        mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)


def _limit_threads() -> None:
    """Gives each of several processes on one machine its share of the cores, unless OMP_NUM_THREADS says otherwise.

    torchrun sets OMP_NUM_THREADS to 1 itself; this serves those who start ranks by other means.
    """
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if ranks > 1 and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // ranks))


def make_deterministic() -> None:
    """Makes a GPU repeat itself bit for bit, at some cost in speed (torch's notes on reproducibility).

    CPUs do so in any case. It changes the whole process. cuBLAS reads the variable when it is first used.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)


def device_named(name: str) -> torch.device:
    """cpu, cuda, cuda:1 and so on; auto: a GPU where there is one. Raises UserError where there is no such device."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"device {name!r} is not known; choose cpu or cuda") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device {name}: torch finds no GPU here; choose cpu, or install torch for CUDA")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device {name}: there are {torch.cuda.device_count()} GPUs, counted from 0")
    return device


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """To a GPU by way of pinned memory, so that the host goes on while copy and step are under way."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def compute_type(precision: Precision, device: torch.device) -> torch.dtype:
    """The type matrix products run in. auto: bf16 where the hardware has it, fp16 on older GPUs, else fp32.

    bf16 on a CPU without AMX or AVX512-BF16 is emulated: measured 0.04 against 0.12 TFLOP/s in fp32.
    """
    named = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if precision != "auto":
        return named[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "cpu" and _cpu_multiplies_bf16():
        return torch.bfloat16
    return torch.float32


def _cpu_multiplies_bf16() -> bool:
    """Whether the CPU has AMX tiles or AVX512-BF16; False where this torch cannot tell."""
    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)


def product_type(weight: Tensor) -> torch.dtype:
    """The type in which products with this weight run here and now: autocast's, or the weight's own."""
    device = weight.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype


def out_of_memory(error: RuntimeError) -> bool:
    """Whether torch ran out of memory: a class of its own on GPUs, plain words on CPU and from CUDA's libraries."""
    words = ("can't allocate memory", "STATUS_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(each in str(error) for each in words)


def in_parts_that_fit(whole: Whole, work: Callable[[Whole], None], halve: Callable[[Whole], list[Whole]]) -> None:
    """Calls work(whole); where memory runs out, with each half of it instead, and so on. work must be repeatable.

    halve: gives a single part where there is no half. Raises UserError where that is too much.
    """
    try:
        return work(whole)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        parts = halve(whole)
        if len(parts) == 1:
            raise UserError(f"out of memory with a single input ({error}); cut it, or lower the beam size") from None
    for part in parts:
        in_parts_that_fit(part, work, halve)


def product_of(weight: Tensor, precision: DecodingPrecision) -> Product:
    """The fastest product with this weight [O, I] on its device.

    Raises UserError where int8 is asked of hardware without such instructions.
    """
    if precision == "int8":
        if weight.device.type != "cpu" or not cpu_multiplies_int8():
            raise UserError("precision int8 needs a CPU with VNNI instructions; use fp32")
        return Int8Product(weight)
    if precision != "fp32":
        raise UserError(f"the precision of decoding is fp32 or int8, not {precision}")
    if weight.device.type == "cpu" and weight.dtype == torch.float32 and torch.backends.mkldnn.is_available():
        return PackedProduct(weight)
    return PlainProduct(weight)


def cpu_multiplies_int8() -> bool:
    """Whether int8 products are exact and fast (VNNI instructions); False where this torch cannot tell."""
    return torch.backends.mkldnn.is_available() and bool(getattr(torch.cpu, "_is_vnni_supported", lambda: False)())


class PlainProduct:
    """By torch's own product: on GPUs, and for other types than fp32."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight.t().contiguous()

    def __call__(self, inputs: Tensor, addend: Tensor) -> Tensor:
        """See `Product`."""
        return torch.addmm(addend, inputs, self.weight)


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
