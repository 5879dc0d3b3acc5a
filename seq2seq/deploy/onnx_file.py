"""ONNX files: written by torch's exporter, quantised by onnxruntime. Needs the extra `export`."""

from __future__ import annotations

from pathlib import Path

import torch

from seq2seq.deploy.traced import Graph, quietly
from seq2seq.errors import UserError, check

LARGEST_FILE = 2**31 - 2**24
"""Bytes of weights in one ONNX file: protobuf's limit, with room for the graph."""
QUANTISED = ("MatMul", "Gemm", "LSTM", "Gather")
"""Operators whose weights become int8, as far as onnxruntime has a quantised form."""


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
    with torch.inference_mode(False), torch.no_grad(), quietly():
        program = torch.onnx.export(
            graph.module.eval(),
            tuple(graph.inputs.values()),
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_shapes=graph.dynamic_shapes(),
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        program.save(str(path), external_data=False)


def quantise(path: Path, vocabulary_size: int) -> None:
    """Makes the weights of a file int8, in place.

    Processors without VNNI add two products of an unsigned and a signed byte in 16 bits, which 8 bits would overflow:
    the weights are signed bytes within 7 bits. Those of the output layer, whose errors change words most, are unsigned
    bytes, which is safe, but slower.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    output_layers = _output_layers(path, vocabulary_size)
    common = {"per_channel": True, "extra_options": {"MatMulConstBOnly": True}}
    with quietly():
        quantize_dynamic(
            str(path),
            str(path),
            op_types_to_quantize=list(QUANTISED),
            weight_type=QuantType.QInt8,
            reduce_range=True,
            nodes_to_exclude=output_layers,
            **common,
        )
        if output_layers:
            quantize_dynamic(
                str(path), str(path), op_types_to_quantize=["MatMul"], weight_type=QuantType.QUInt8, **common
            )


def _output_layers(path: Path, vocabulary_size: int) -> list[str]:
    """Names of the nodes whose outputs are as many as the vocabulary has tokens; the second is what a Gemm is called
    once onnxruntime has made a MatMul of it."""
    import onnx

    graph = onnx.load(str(path)).graph
    wide = {each.name for each in graph.initializer if vocabulary_size in each.dims and len(each.dims) == 2}
    found = [node.name for node in graph.node if node.op_type in ("MatMul", "Gemm") and wide & set(node.input)]
    return [name for node in found for name in (node, f"{node}_MatMul")]
