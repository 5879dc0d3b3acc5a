"""Graphs in onnxruntime beside the modules they were made of: every cell, direction, coupling and attention, at sizes
from 1 up on every axis."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils import _pytree as pytree

from seq2seq.data.symbols import EOS_ID
from seq2seq.deploy.graphs import SequenceNode, SequenceScan, exportable
from seq2seq.deploy.onnx_file import write_graph
from seq2seq.deploy.plans import _search_graphs
from seq2seq.deploy.traced import Graph
from seq2seq.errors import UserError
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import BiLSTMEncoder, EncoderConfig
from seq2seq.model.heads import RolloutHead
from seq2seq.model.memory import Memory
from seq2seq.model.recurrent import Cell
from seq2seq.model.seq2seq import ModelConfig, Seq2Seq, build_model
from seq2seq.search.ensemble import EnsembleState, ensemble

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

V = 23
MODELS = (
    (
        EncoderConfig(5, 2, subsampling=2, forward_layers=1),
        DecoderConfig(6, 2, residual=True, attention_normalizer="sparsemax", output_normalizer="entmax15"),
    ),
    (
        EncoderConfig(4, cell="gru", merge="sum"),
        DecoderConfig(5, 1, "additive", "input_feeding", "gru", deep_output=True),
    ),
    (EncoderConfig(6, cell="rnn", direction="backward"), DecoderConfig(6, 1, "dot", "none", "rnn", "first_input")),
    (EncoderConfig(4, cell="peephole", merge="multiply"), DecoderConfig(5, 1, "none", "input_feeding", "peephole")),
    (EncoderConfig(4), DecoderConfig(5, 2, cell="qrnn")),
    (EncoderConfig(4), DecoderConfig(5, 1, "general", "input_feeding", "rhn")),
    (EncoderConfig(4), DecoderConfig(5, 2, "general", "conditional", "gru", deep_output=True)),
)
"""Exported as one ensemble: that is one pass of the exporter for all of them."""


@pytest.fixture(scope="module")
def models() -> list[Seq2Seq]:
    torch.manual_seed(1)
    built = [
        build_model(
            ModelConfig(8, 0.3, "two_way", *sizes, lexical=sizes is MODELS[2], copy=sizes is MODELS[1]), V, V
        ).eval()
        for sizes in MODELS
    ]
    for model in built:  # peepholes begin at 0, which would hide a wrong order of them
        for name, weight in model.named_parameters():
            if "peepholes" in name or "bias" in name:
                torch.nn.init.normal_(weight)
    return built


@pytest.fixture(scope="module")
def sessions(models: list[Seq2Seq], tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, dict[str, Any]]:
    graphs, state = _search_graphs(models, torch.full((2, 8), EOS_ID), 8, SequenceNode)
    loaded = []
    for name, graph in graphs.items():
        path: Path = tmp_path_factory.mktemp("graphs") / f"{name}.onnx"
        write_graph(graph, path)
        loaded.append(onnxruntime.InferenceSession(str(path)))
    return loaded[0], loaded[1], state


SIZES = ((1, 1, 1, 1), (1, 7, 5, 5), (6, 1, 1, 4), (3, 9, 2, V), (2, 8, 3, 4))
"""Sentences, steps, hypotheses, candidates."""


def test_graphs_give_the_models_numbers(models: list[Seq2Seq], sessions: Any) -> None:
    for sizes in SIZES:
        compare(models, sessions, *sizes)


def compare(models: list[Seq2Seq], sessions: Any, rows: int, steps: int, slots: int, candidates: int) -> None:
    encoder, step, state = sessions
    torch.manual_seed(rows)
    source, lengths = torch.randint(4, V, (rows, steps)), torch.randint(1, steps + 1, (rows,))
    lengths[0] = steps
    names = [each.name for each in encoder.get_outputs()]
    assert names == list(state)
    found = dict(zip(names, encoder.run(None, {"source": source.numpy(), "lengths": lengths.numpy()}), strict=True))
    with torch.inference_mode():
        begun = EnsembleState(tuple(model.start(source, lengths) for model in models))
        for name, expected in zip(names, pytree.tree_leaves(list(begun.members)), strict=True):
            real = np.ones(1)
            if name.endswith(("keys", "values")):  # padding has no meaning
                real = found[name.rpartition(".")[0] + ".mask"][..., None]
            np.testing.assert_allclose(found[name] * real, expected.numpy() * real, atol=1e-5)
        repeated = begun.reorder(torch.arange(rows).repeat_interleave(slots), None)
        tokens = torch.randint(4, V, (rows, slots))
        log_probs, after = ensemble([model.step for model in models])(tokens.flatten(), repeated)
    given = {name: each if state[name]["shared"] else each.repeat(slots, 0) for name, each in found.items()}
    given |= {"tokens": tokens.numpy(), "candidates": np.empty(candidates, np.int64)}
    wanted = [each.name for each in step.get_inputs()]
    outputs = step.run(None, {name: given[name] for name in wanted})
    best = log_probs.topk(candidates)
    shape = (rows, slots, candidates)
    np.testing.assert_allclose(outputs[0], best.values.view(shape).numpy(), atol=1e-5)
    chosen = log_probs.view(rows, slots, V).gather(-1, torch.from_numpy(outputs[1]))
    np.testing.assert_allclose(chosen.numpy(), outputs[0], atol=1e-5)
    np.testing.assert_allclose(outputs[2], log_probs[:, EOS_ID].view(rows, slots).numpy(), atol=1e-5)
    np.testing.assert_allclose(outputs[3].sum(-1), 1, atol=1e-5)
    leaves = dict(zip(names, pytree.tree_leaves(list(after.members)), strict=True))
    for output, each in zip(step.get_outputs()[4:], outputs[4:], strict=True):
        np.testing.assert_allclose(each, leaves[output.name.removesuffix(".next")].numpy(), atol=1e-5)


def test_an_encoder_with_projected_states_is_not_exported() -> None:
    model = build_model(ModelConfig(8, 0.3, encoder=EncoderConfig(5, proj_size=2)), V, V)
    with pytest.raises(UserError, match=r"an export cannot read with model\.encoder\.proj_size"):
        exportable(model, SequenceNode)


class Rollouts(torch.nn.Module):
    """A head that reads the encoder's last state alone."""

    def __init__(self, head: torch.nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, hidden: torch.Tensor, cell: torch.Tensor) -> torch.Tensor:
        """Last state, h and c [B, H] -> [B, T, O]."""
        states = hidden[:, None]
        return self.head(Memory(states, torch.ones_like(states[..., 0], dtype=torch.bool), hidden, cell))


def test_conditioned_rollouts_give_the_models_numbers(tmp_path: Path) -> None:
    torch.manual_seed(1)
    module = Rollouts(RolloutHead(3, 2, 2, 4, conditioned=True)).eval()
    examples = {"hidden": torch.randn(2, 3), "cell": torch.randn(2, 3)}
    graph = Graph(exportable(module, SequenceNode), examples, dict.fromkeys(examples, (0,)), ["values"])
    write_graph(graph, tmp_path / "rollouts.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "rollouts.onnx"))
    for rows in (1, 5):
        given = {name: torch.randn(rows, 3) for name in examples}
        (found,) = session.run(None, {name: each.numpy() for name, each in given.items()})
        with torch.inference_mode():
            np.testing.assert_allclose(found, module(**given).numpy(), atol=1e-5)


@pytest.mark.parametrize("cell", ["peephole", "rhn", "qrnn"])
def test_a_scan_over_time_equals_the_encoder(cell: Cell) -> None:
    """As torch.export keeps it, for other lengths than it was made with; of cells that ONNX has no kernel for, too."""
    torch.manual_seed(0)
    encoder = BiLSTMEncoder(6, EncoderConfig(5, cell=cell), 0.0).eval()
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter)
    inputs, lengths = torch.randn(3, 7, 6), torch.tensor([7, 2, 4])
    rows, steps = (torch.export.Dim(name) for name in ("rows", "steps"))
    shapes = ({0: rows, 1: steps}, {0: rows})
    program = torch.export.export(exportable(encoder, SequenceScan), (inputs, lengths), dynamic_shapes=shapes).module()
    for width in (7, 4):
        expected, found = (each(inputs[:, :width], lengths.clamp(max=width)) for each in (encoder, program))
        real = expected.mask[..., None]
        torch.testing.assert_close(found.states * real, expected.states * real)
        torch.testing.assert_close((found.final_hidden, found.final_cell), (expected.final_hidden, expected.final_cell))
