"""Device, precision, memory and threads of a process: what depends on the hardware, apart from the models."""

from __future__ import annotations

import ctypes
import functools
import os
import re
import sys
import warnings
from collections.abc import Callable
from typing import Literal, TypeVar

import torch
from torch import Tensor

from seq2seq.errors import UserError


def at_least_fp32(tensor: Tensor) -> Tensor:
    """Half precisions as fp32, others as they are."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


Whole = TypeVar("Whole")
Precision = Literal["auto", "fp32", "bf16", "fp16"]

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # names and values of glibc's malloc.h


def prepare_process() -> None:
    """Settings of the whole process, to be made before its first product: memory, threads, what fp32 means.

    Only programs call it (the command line, recipes), never `import seq2seq`.
    """
    _keep_freed_memory()
    _limit_threads()
    torch.backends.cudnn.allow_tf32 = False  # it would round fp32 to 10 bits in cuDNN's layers
    warnings.filterwarnings("ignore", "RNN module weights are not part of single contiguous chunk")  # nor can they be
    warnings.filterwarnings("ignore", "LSTM with projections is not supported with oneDNN")  # torch has its own


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
    """cpu, cuda, cuda:1 and so on; auto: a GPU where there is one. Raises UserError where there is no such device, or
    it is of a kind that nothing here was written for."""
    if isinstance(name, str) and name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", str(name)) is None:
        raise UserError(f"device {name!r} is not known; choose cpu or cuda (cuda:1 is the second GPU)")
    device = torch.device(name)
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
    """Whether the CPU has AMX tiles or AVX512-BF16; False where this torch has no such test."""
    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)


@functools.cache
def cpu_has_bf16_layers() -> bool:
    """Whether torch trains an LSTM in bf16 on this CPU: oneDNN, which it goes by, does so from AVX512 on."""
    row, bias = torch.zeros(1, 1, 1), torch.zeros(4)
    weight = torch.zeros(4, 1, requires_grad=True)
    try:
        with torch.enable_grad(), torch.autocast("cpu", torch.bfloat16):
            states, _, _ = torch.lstm(row, (row, row), [weight, weight, bias, bias], True, 1, 0.0, True, False, True)
        torch.autograd.grad(states.sum(), weight)
    except RuntimeError:
        return False
    return True


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
