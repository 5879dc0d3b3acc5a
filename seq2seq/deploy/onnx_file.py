"""ONNX files: written by torch's exporter, quantised by onnxruntime. Needs the extra `export`."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seq2seq.errors import UserError, check

LARGEST_FILE = 2**31 - 2**24
"""Bytes of weights in one ONNX file: protobuf's limit, with room for the graph."""
QUANTISED = ("MatMul", "Gemm", "LSTM", "Gather")
"""Operators whose weights become int8, as far as onnxruntime has a quantised form."""


class Graph(NamedTuple):
    """A module, and how its tensors are called outside."""

    module: nn.Module
    inputs: dict[str, Tensor]
    """Examples, in order: no dimension of a changing size may be 0 or 1."""
    changing: dict[str, tuple[int, ...]]
    """The dimensions of each input that change from call to call."""
    outputs: Sequence[str]


def check_installed() -> None:
    """Raises UserError where the extra is missing."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f"export needs {error.name}: pip install 'seq2seq[export]'") from None


def write_graph(graph: Graph, path: Path) -> None:
    """Writes an ONNX file, weights included. Raises UserError where it would be too large."""
    size = sum(each.numel() * each.element_size() for each in graph.module.state_dict().values())
    check(size < LARGEST_FILE, f"{path.name}: the weights take {size / 2**30:.1f} GiB; one ONNX file holds 2 GiB")
    module = graph.module.eval()
    names = list(graph.inputs)
    dynamic = tuple(dict.fromkeys(graph.changing[name], torch.export.Dim.DYNAMIC) for name in names)
    with torch.inference_mode(False), torch.no_grad(), _quietly():
        program = torch.onnx.export(
            module,
            tuple(graph.inputs.values()),
            input_names=names,
            output_names=list(graph.outputs),
            dynamic_shapes=_as_called(module, dynamic),
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        program.save(str(path), external_data=False)


def _as_called(module: nn.Module, dynamic: tuple[Any, ...]) -> tuple[Any, ...]:
    """Shapes in the form of the arguments of `forward`: those of *state are a tuple of their own."""
    code: Any = module.forward.__code__
    named = code.co_argcount - 1
    return (*dynamic[:named], dynamic[named:]) if code.co_flags & 0x04 else dynamic


def quantise(path: Path) -> None:
    """Makes the weights of a file int8, in place.

    uint8 weights: signed ones saturate in sums of products on processors without VNNI.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quietly():
        quantize_dynamic(
            str(path),
            str(path),
            op_types_to_quantize=list(QUANTISED),
            per_channel=True,
            weight_type=QuantType.QUInt8,
            extra_options={"MatMulConstBOnly": True},
        )


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporter's remarks, which are for its own developers."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
