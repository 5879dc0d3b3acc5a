"""Stepwise decoding, unrolled training and forced scores agree, for each coupling, attention and cell."""

import itertools
import math
from typing import get_args

import pytest
import torch
from torch import Tensor

from seq2seq.data.batch import collate
from seq2seq.errors import UserError
from seq2seq.inference.decoding import score_pairs
from seq2seq.model.attention import AdditiveAttention, GeneralAttention, attend, build_attention
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.recurrent import Cell
from seq2seq.model.seq2seq import GeneratorConfig, ModelConfig, Seq2Seq, build_model
from seq2seq.search.beam import SearchConfig, beam_search
from tests.conftest import needs_bf16_layers

COUPLINGS = [("none", 1), ("none", 2), ("bottom_up", 2), ("bottom_up", 3), ("input_feeding", 1), ("input_feeding", 2)]
COUPLINGS += [("conditional", 2)]
PAIRS = [([4, 5, 6], [7, 8]), ([5], [9, 4, 4, 6, 8]), ([], []), ([9, 9, 8, 7, 6, 5, 4], [5])]


CELLS = get_args(Cell)
IN_CELLS = [
    (*way, cell) for way, cell in itertools.product(COUPLINGS, CELLS) if (way[0], cell) != ("conditional", "qrnn")
]
WITHOUT_ATTENTION = [("none", 2), ("input_feeding", 2)]


def tiny_model(
    coupling: str,
    layers: int,
    attention: str = "general",
    tie: str = "three_way",
    dropout: float = 0.0,
    cell: Cell = "lstm",
) -> Seq2Seq:
    """A random model over 10 tokens."""
    torch.manual_seed(3)
    decoder = DecoderConfig(hidden_size=10, layers=layers, coupling=coupling, attention=attention, cell=cell)  # type: ignore[arg-type]
    config = ModelConfig(8, dropout, tie, EncoderConfig(hidden_size=5, layers=2), decoder)  # type: ignore[arg-type]
    model = build_model(config, 10, 10)
    for parameter in model.parameters():
        parameter.data.mul_(3)  # a spread-out distribution: a flat one hides mistakes
    return model.eval()


def unrolled_log_probs(model: Seq2Seq, batch: object) -> Tensor:
    output = model(batch.source, batch.source_lengths, batch.target_input)  # type: ignore[attr-defined]
    return model.decoder.output(output.features).log_softmax(-1)


@pytest.mark.parametrize(("coupling", "layers"), COUPLINGS)
@pytest.mark.parametrize("attention", ["dot", "general", "additive"])
def test_unrolled_equals_stepwise(coupling: str, layers: int, attention: str) -> None:
    assert_unrolled_equals_stepwise(tiny_model(coupling, layers, attention))


@pytest.mark.parametrize(("coupling", "layers", "cell"), IN_CELLS)
def test_unrolled_equals_stepwise_in_each_cell(coupling: str, layers: int, cell: Cell) -> None:
    assert_unrolled_equals_stepwise(tiny_model(coupling, layers, cell=cell))


@pytest.mark.parametrize(("coupling", "layers"), WITHOUT_ATTENTION)
def test_unrolled_equals_stepwise_without_attention(coupling: str, layers: int) -> None:
    model = tiny_model(coupling, layers, "none")
    assert_unrolled_equals_stepwise(model)
    assert score_pairs(model, collate(PAIRS))[2].shape[-1] == 0


def assert_unrolled_equals_stepwise(model: Seq2Seq) -> None:
    model = model.double()  # states made in another order differ little in fp32, but these weights spread them
    batch = collate(PAIRS)
    expected = unrolled_log_probs(model, batch)
    state = model.start(batch.source, batch.source_lengths)
    for position in range(batch.target_input.shape[1]):
        log_probs, state = model.step(batch.target_input[:, position], state)
        torch.testing.assert_close(log_probs, expected[:, position], atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize(("coupling", "layers"), COUPLINGS)
def test_scores_do_not_depend_on_the_batch(coupling: str, layers: int) -> None:
    model = tiny_model(coupling, layers)
    together, _, _ = score_pairs(model, collate(PAIRS, length_step=8))
    for row, pair in enumerate(PAIRS):
        alone, count, _ = score_pairs(model, collate([pair]))
        assert together[row].item() == pytest.approx(alone.item(), abs=1e-4)
        assert count.item() == len(pair[1]) + 1


@pytest.mark.parametrize(("coupling", "layers"), COUPLINGS)
def test_forced_scores_equal_the_searchs_own(coupling: str, layers: int) -> None:
    model = tiny_model(coupling, layers)
    batch = collate(PAIRS)
    limits = torch.tensor([6, 3, 9, 5])
    state = model.start(batch.source, batch.source_lengths)
    found = beam_search(model.step, state, limits, SearchConfig(beam_size=4), bos=2, eos=3, n_best=4)
    checked = 0
    for (source, _), hypotheses in zip(PAIRS, found, strict=True):
        for hypothesis in hypotheses:
            forced, _, _ = score_pairs(model, collate([(source, hypothesis.tokens)]))
            if 0 not in hypothesis.tokens:  # PAD inside a target is not a token that training knows
                assert forced.item() == pytest.approx(hypothesis.log_probability, abs=1e-4)
                checked += 1
    assert checked >= 8


@pytest.mark.parametrize("attention", ["dot", "general", "additive", "none"])
@pytest.mark.parametrize("layers", [1, 2])
def test_input_feedings_gradients_are_those_of_its_steps(layers: int, attention: str) -> None:
    assert_gradients_are_those_of_steps(tiny_model("input_feeding", layers, attention))


@pytest.mark.parametrize(("coupling", "layers", "cell"), IN_CELLS)
def test_gradients_are_those_of_the_steps_in_each_cell(coupling: str, layers: int, cell: Cell) -> None:
    assert_gradients_are_those_of_steps(tiny_model(coupling, layers, cell=cell))


def assert_gradients_are_those_of_steps(model: Seq2Seq) -> None:
    """The unrolled loop gathers weight gradients in its own way; autograd through `step` is the plain one."""
    model = model.double()
    batch = collate(PAIRS)
    state = model.start(batch.source, batch.source_lengths)
    stepwise = []
    for position in range(batch.target_input.shape[1]):
        log_probs, state = model.step(batch.target_input[:, position], state)
        stepwise.append(log_probs)
    expected, got = torch.stack(stepwise, 1), unrolled_log_probs(model, batch)
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)
    parameters = list(model.parameters())
    weights = torch.randn(expected.shape).double()
    gradients = [torch.autograd.grad((each * weights).sum(), parameters) for each in (got, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-10)


@needs_bf16_layers
@pytest.mark.parametrize(("coupling", "layers"), COUPLINGS)
def test_bf16_gradients_are_close_to_those_in_fp32(coupling: str, layers: int) -> None:
    model = tiny_model(coupling, layers, dropout=0.2).train()
    for parameter in model.parameters():
        parameter.data.div_(3)
    batch = collate(PAIRS)
    found = []
    for enabled in (False, True):
        torch.manual_seed(5)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            features = model(batch.source, batch.source_lengths, batch.target_input).features
        parameters = [*model.encoder.parameters(), *model.decoder.attention.parameters()]
        parameters += model.decoder.layers.parameters()
        found.append(torch.autograd.grad(features.float().pow(2).sum(), parameters))
    for exact, rounded in zip(*found, strict=True):
        assert rounded.dtype == torch.float32
        assert (exact - rounded).norm() < 0.1 * exact.norm()


def test_input_feeding_trains_through_the_unrolled_loop_with_one_mask_per_sequence() -> None:
    model = tiny_model("input_feeding", 2, dropout=0.5).train()
    batch = collate([([4, 5, 6], [7, 7, 7, 7])])
    features = model(batch.source, batch.source_lengths, batch.target_input).features
    dropped = features == 0
    assert dropped.any()
    assert (dropped == dropped[:, :1]).all()


def test_every_parameter_gets_a_gradient() -> None:
    for coupling, layers, cell in IN_CELLS:
        model = tiny_model(coupling, layers, "additive", tie="none", cell=cell).train()
        for name, parameter in model.named_parameters():
            if "peepholes" in name:
                parameter.data.normal_()
        unrolled_log_probs(model, collate(PAIRS)).pow(2).sum().backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_tied_models_share_and_untied_do_not() -> None:
    for tie, shared in (("none", 3), ("two_way", 2), ("three_way", 1)):
        model = tiny_model("none", 1, tie=tie)
        matrices = (model.front_end.embedding.weight, model.decoder.embedding.weight, model.decoder.output.weight)
        assert len({id(matrix) for matrix in matrices}) == shared


def test_attention_scores_by_hand() -> None:
    """One query, two source steps: Luong et al. 2015 eq. 8 and Bahdanau et al. 2015 A.1.2, worked out in plain
    Python."""
    query, states = [0.5, -1.0], [[1.0, 2.0], [-0.5, 0.25]]
    general, additive = GeneralAttention(2, 2), AdditiveAttention(2, 2)
    queries, memory = torch.tensor([[query]]), torch.tensor([states])
    w = general.project.weight.tolist()
    by_hand = [sum(query[i] * sum(w[i][j] * state[j] for j in range(2)) for i in range(2)) for state in states]
    assert general.scores(queries, general.keys(memory))[0, 0].tolist() == pytest.approx(by_hand)
    u, (q, bias), v = additive.project.weight.tolist(), additive.project_query.parameters(), additive.energy.tolist()
    q_rows, offset = q.tolist(), bias.tolist()
    by_hand = [
        sum(
            v[i] * math.tanh(sum(q_rows[i][j] * query[j] + u[i][j] * state[j] for j in range(2)) + offset[i])
            for i in range(2)
        )
        for state in states
    ]
    assert additive.scores(queries, additive.keys(memory))[0, 0].tolist() == pytest.approx(by_hand)


@pytest.mark.parametrize("config", [ModelConfig, GeneratorConfig])
def test_dot_attention_of_unequal_sizes_is_refused_before_anything_is_read(config: type) -> None:
    decoder = DecoderConfig(hidden_size=10, attention="dot")
    config(encoder=EncoderConfig(hidden_size=5), decoder=decoder)
    told = r"decoder\.attention dot needs decoder\.hidden_size \(10\) .* width \(5\)"
    with pytest.raises(UserError, match=told):
        config(encoder=EncoderConfig(hidden_size=5, forward_layers=1), decoder=decoder)
    with pytest.raises(UserError, match=told):
        build_attention("dot", 10, 5)


def test_attention_ignores_padding_and_sums_to_one() -> None:
    scores, values = torch.tensor([[[0.3, 0.9, 99.0]]]), torch.tensor([[[1.0], [2.0], [50.0]]])
    context, weights = attend(scores, values, torch.tensor([[True, True, False]]))
    first = math.exp(0.3) / (math.exp(0.3) + math.exp(0.9))
    assert weights[0, 0].tolist() == pytest.approx([first, 1 - first, 0.0])
    assert context.item() == pytest.approx(first + 2 * (1 - first))


def test_one_layer_alone_is_told_which_couplings_it_allows() -> None:
    with pytest.raises(UserError, match=r"needs at least 2 .*layers, not 1.*coupling to input_feeding or none"):
        DecoderConfig(layers=1)
    for coupling in ("input_feeding", "none"):
        assert DecoderConfig(layers=1, coupling=coupling).layers == 1  # type: ignore[arg-type]


def test_bottom_up_needs_a_context() -> None:
    with pytest.raises(UserError, match=r"attention none .* set model\.decoder\.coupling to none or input_feeding"):
        DecoderConfig(attention="none")


@pytest.mark.parametrize(
    ("cell", "ways"),
    [
        *itertools.product(CELLS, [("none", "none"), ("bottom_up", "dot"), ("input_feeding", "additive")]),
        *((cell, ("conditional", "general")) for cell in CELLS if cell != "qrnn"),
    ],
)
def test_a_wide_beam_equals_exhaustive_search(cell: Cell, ways: tuple[str, str]) -> None:
    """Every output of up to two tokens, scored whole by forced decoding; the beam is wide enough to prune none."""
    coupling, attention = ways
    model = tiny_model(coupling, 2, attention, cell=cell)
    model.decoder.output.bias.data[0] = -1e4  # as in a trained model, which has never seen padding as a target
    source, limit = [4, 5, 6], 3
    expected = {}
    for length in range(limit):
        for tokens in itertools.product([token for token in range(1, 10) if token != 3], repeat=length):
            forced, _, _ = score_pairs(model, collate([(source, tokens)]))
            expected[tokens] = float(forced) / (length + 1)
    batch = collate([(source, [])])
    state = model.start(batch.source, batch.source_lengths)
    found = beam_search(model.step, state, torch.tensor([limit]), SearchConfig(beam_size=200), 2, 3, n_best=5)[0]
    best = sorted(expected, key=lambda tokens: -expected[tokens])[:5]
    assert [tuple(hypothesis.tokens) for hypothesis in found] == best
    assert [hypothesis.score for hypothesis in found] == pytest.approx([expected[tokens] for tokens in best], abs=1e-4)
