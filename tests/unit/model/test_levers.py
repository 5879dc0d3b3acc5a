"""Parts of a model that are off unless chosen: each beside its equation, and in all the ways that a model is used."""

import itertools
from typing import Any

import pytest
import torch
from torch import nn

from seq2seq.data.batch import collate
from seq2seq.errors import UserError
from seq2seq.inference.decoding import score_pairs
from seq2seq.inference.fast_decoder import InferenceDecoder, prepare
from seq2seq.model.attention import attend
from seq2seq.model.decoder import Coupling, DecoderConfig, RecurrentDecoder
from seq2seq.model.encoder import BiLSTMEncoder, EncoderConfig
from seq2seq.model.language_model import LanguageModelConfig
from seq2seq.model.memory import mean_memory
from seq2seq.model.seq2seq import ModelConfig, Seq2Seq, build_model
from seq2seq.search.beam import SearchConfig, beam_search
from tests.conftest import needs_int8
from tests.unit.model.stepwise import stepwise

PAIRS = [([4, 5, 6], [7, 8]), ([5], [9, 4, 4, 6, 8]), ([], []), ([9, 9, 8, 7, 6, 5, 4], [5])]
LEVERS: dict[str, dict[str, Any]] = {
    "residual": {"residual": True, "layers": 3},
    "deep output": {"deep_output": True},
    "heads": {"heads": 3},
    "additive heads": {"heads": 2, "attention": "additive"},
    "lexical": {"model": {"lexical": True}},
    "copy": {"model": {"copy": True}},
    "sparse": {"attention_normalizer": "sparsemax", "heads": 2},
    "zoneout": {"model": {"zoneout": 0.2}, "encoder": {"layers": 2}},
    "copy, all": {
        "decoder": {"deep_output": True, "residual": True, "layers": 3, "attention": "additive", "heads": 2},
        "model": {"copy": True},
    },
    "all": {
        "decoder": {"deep_output": True, "residual": True, "layers": 3, "attention": "additive", "heads": 2},
        "encoder": {"layers": 2, "residual": True},
        "model": {"lexical": True},
    },
}
"""Options of the decoder, and of the model where they are dictionaries."""
COUPLINGS: list[Coupling] = ["none", "bottom_up", "input_feeding"]
WITHOUT_RESIDUAL = set(LEVERS) - {"residual", "copy, all", "all"}
WAYS = [*itertools.product(LEVERS, COUPLINGS), *itertools.product(sorted(WITHOUT_RESIDUAL), ["conditional"])]


def lever_model(lever: str, coupling: Coupling, dropout: float = 0.0) -> Seq2Seq:
    """A random model over 10 tokens with one lever."""
    torch.manual_seed(3)
    options = LEVERS[lever]
    nested = "model" in options or "encoder" in options
    of_decoder = options.get("decoder", {}) if nested else options
    decoder = DecoderConfig(**{"hidden_size": 12, "layers": 2, "coupling": coupling, **of_decoder})
    encoder = EncoderConfig(6, **options.get("encoder", {}))
    model = build_model(ModelConfig(8, dropout, "two_way", encoder, decoder, **options.get("model", {})), 10, 10)
    for parameter in model.parameters():
        parameter.data.mul_(2)  # a spread-out distribution: a flat one hides mistakes
    model.decoder.output.bias.data[0] = -1e4  # as in a trained model, which has never seen padding as a target
    return model.eval()


@pytest.mark.parametrize(("lever", "coupling"), WAYS)
def test_unrolled_equals_stepwise_and_so_do_gradients(lever: str, coupling: Coupling) -> None:
    model = lever_model(lever, coupling).double()
    batch = collate(PAIRS)
    expected = stepwise(model, batch)
    output = model(batch.source, batch.source_lengths, batch.target_input)
    got = model.decoder.log_probs(output)
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)
    loss = model.decoder.loss(output, batch.target_output)
    real = batch.target_output != 0
    plain = -(expected.gather(-1, batch.target_output[..., None])[..., 0] * real).sum()
    torch.testing.assert_close(loss.total, plain)
    parameters = list(model.parameters())
    gradients = [torch.autograd.grad(each, parameters) for each in (loss.total, plain)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-10)
    assert all(each.abs().sum() > 0 for each in gradients[0])


@pytest.mark.parametrize(("lever", "coupling"), WAYS)
def test_scores_do_not_depend_on_the_batch(lever: str, coupling: Coupling) -> None:
    model = lever_model(lever, coupling)
    together, _, _ = score_pairs(model, collate(PAIRS, length_step=8))
    for row, pair in enumerate(PAIRS):
        assert together[row].item() == pytest.approx(score_pairs(model, collate([pair]))[0].item(), abs=1e-4)


@pytest.mark.parametrize("precision", ["fp32", pytest.param("int8", marks=needs_int8)])
@pytest.mark.parametrize(("lever", "coupling"), WAYS)
@torch.inference_mode()
def test_prepared_steps_equal_plain_steps(lever: str, coupling: Coupling, precision: Any) -> None:
    model = lever_model(lever, coupling)
    model = model.double() if precision == "fp32" else model
    if precision == "int8":
        for parameter in model.parameters():
            parameter.data.div_(2)
    tolerance = 1e-11 if precision == "fp32" else 0.1
    prepared = prepare(model, precision)
    assert isinstance(prepared, InferenceDecoder)
    batch, beams = collate(PAIRS), torch.arange(4).repeat_interleave(3)
    plain_state = model.start(batch.source, batch.source_lengths)
    state = prepared.start_from(model.encode(batch.source, batch.source_lengths), batch.source)
    for position in range(4):
        tokens = torch.randint(1, 10, (4 if position == 0 else 12,))
        expected, plain_state = model.step(tokens, plain_state)
        got, state = prepared.step(tokens, state)
        torch.testing.assert_close(got[:, 1:], expected[:, 1:], rtol=tolerance, atol=tolerance)
        order = beams if position == 0 else (torch.arange(4)[:, None] * 3 + torch.randperm(3)).flatten()
        plain_state, state = plain_state.reorder(order), state.reorder(order)
    kept, sentences = torch.tensor([0, 1, 2, 9, 10, 11]), torch.tensor([0, 3])
    plain_state, state = plain_state.reorder(kept, sentences), state.reorder(kept, sentences)
    tokens = torch.randint(1, 10, (6,))
    got, expected = prepared.step(tokens, state)[0], model.step(tokens, plain_state)[0]
    torch.testing.assert_close(got[:, 1:], expected[:, 1:], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("lever", "coupling"), WAYS)
def test_a_wide_beam_equals_exhaustive_search(lever: str, coupling: Coupling) -> None:
    """Every output of up to two tokens, scored whole by forced decoding; the beam is wide enough to prune none."""
    model = lever_model(lever, coupling)
    source, limit, expected = [4, 5, 6], 3, {}
    for length in range(limit):
        outputs = list(itertools.product([token for token in range(1, 10) if token != 3], repeat=length))
        forced, _, _ = score_pairs(model, collate([(source, tokens) for tokens in outputs]))
        expected |= dict(zip(outputs, (forced / (length + 1)).tolist(), strict=True))
    batch = collate([(source, [])])
    prepared = prepare(model)
    with torch.inference_mode():
        state = prepared.start_from(model.encode(batch.source, batch.source_lengths), batch.source)
        found = beam_search(prepared.step, state, torch.tensor([limit]), SearchConfig(beam_size=200), 2, 3, n_best=5)[0]
    best = sorted(expected, key=lambda tokens: -expected[tokens])[:5]
    assert [tuple(hypothesis.tokens) for hypothesis in found] == best
    assert [hypothesis.score for hypothesis in found] == pytest.approx([expected[tokens] for tokens in best], abs=1e-4)


def test_residual_layers_add_what_they_read() -> None:
    """The third layer reads the sum of the first two, and attention the sum of all three (Wu et al. 2016, eq. 6)."""
    model = lever_model("residual", "none").double()
    decoder = model.decoder
    batch = collate(PAIRS[:1])
    memory = model.encode(batch.source, batch.source_lengths)
    start = decoder.start(memory)
    below, total = decoder.embedding(batch.target_input), torch.zeros(())
    for number, layer in enumerate(decoder.recurrent_layers()):
        states = layer.run(below, (start.hidden[:, number], start.cell[:, number]))
        total = total + states
        below = total
    context, _ = decoder.attention.unroll(total, start.attention)
    expected = torch.tanh(decoder.readout(torch.cat((total, context), -1)))
    torch.testing.assert_close(decoder.unroll(batch.target_input, memory).features, expected)


def test_deep_output_reads_the_last_token() -> None:
    """tanh(W [h; context; embedding]) of each step alone (Sennrich et al. 2017, section 3.1, with one W for all)."""
    model = lever_model("deep output", "bottom_up").double()
    batch, weight = collate(PAIRS[:1]), model.decoder.readout.weight
    state = model.start(batch.source, batch.source_lengths)
    features, weights, after = model.decoder.advance(torch.tensor([7]), state)
    context = weights @ state.attention.values[0]
    by_hand = weight @ torch.cat((after.hidden[0, -1], context[0], model.decoder.embedding.weight[7]))
    torch.testing.assert_close(features[0], torch.tanh(by_hand + model.decoder.readout.bias))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_conditional_cell_by_hand(cell: Any) -> None:
    """s' = cell1(y, s_before), c = ATT(s'), s = cell2(c, s') by torch's own cells (Sennrich et al. 2017, section 2)."""
    torch.manual_seed(3)
    decoder_config = DecoderConfig(12, 2, "additive", "conditional", cell, deep_output=True)
    model = build_model(ModelConfig(8, 0.0, "two_way", EncoderConfig(6), decoder_config), 10, 10).double().eval()
    decoder, batch = model.decoder, collate(PAIRS[1:2])
    memory = model.encode(batch.source, batch.source_lengths)
    start = decoder.start(memory)
    assert start.hidden.shape == (1, 1, 12)
    hidden, memory_cell = start.hidden[:, 0], start.cell[:, 0]
    cells = []
    for layer in decoder.recurrent_layers():
        cells.append({"lstm": nn.LSTMCell, "gru": nn.GRUCell}[cell](layer.input_size, 12).double())
        cells[-1].load_state_dict({name.removesuffix("_l0"): weight for name, weight in layer.named_parameters()})

    def transition(number: int, read: torch.Tensor) -> None:
        nonlocal hidden, memory_cell
        if cell == "gru":
            hidden = cells[number](read, hidden)
        else:
            hidden, memory_cell = cells[number](read, (hidden, memory_cell))

    found = decoder.unroll(batch.target_input, memory).features
    for position, token in enumerate(batch.target_input[0]):
        embedded = decoder.embedding(token)[None]
        transition(0, embedded)
        context = decoder.attention(hidden, start.attention)[0]
        transition(1, context)
        features = torch.tanh(decoder.readout(torch.cat((hidden, context, embedded), -1)))
        torch.testing.assert_close(found[:, position], features)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 3}, r"conditional has 2 model\.decoder\.layers, not 3"),
        ({"residual": True}, r"conditional goes without model\.decoder\.residual"),
        ({"cell": "qrnn"}, r"which model\.decoder\.cell qrnn does not read"),
        ({"attention": "none"}, r"set model\.decoder\.coupling to none or input_feeding"),
        ({"bridge": "first_input"}, r"set model\.decoder\.coupling to none"),
    ],
)
def test_what_the_conditional_cell_cannot_have_is_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DecoderConfig(coupling="conditional", **options)


def test_the_lexical_model_by_hand() -> None:
    """Nguyen & Chiang 2018, eq. 10 to 12, of one step."""
    model = lever_model("lexical", "none").double()
    decoder: Any = model.decoder
    source, target = [4, 5, 6], [7]
    batch = collate([(source, target)])
    output = model(batch.source, batch.source_lengths, batch.target_input)
    embedding, weights = model.front_end.embedding.weight, output.attention[0, 0]
    looked_at = torch.tanh(sum(weights[s] * embedding[token] for s, token in enumerate([*source, 3])))
    by_word = torch.tanh(decoder.lexical.weight @ looked_at) + looked_at
    usual = model.decoder.advance(torch.tensor([2]), RecurrentDecoder.start(decoder, output.memory))[0][0]
    logits = decoder.output.weight @ usual + decoder.output.bias + decoder.lexical_output.weight @ by_word
    torch.testing.assert_close(decoder.log_probs(output)[0, 0], logits.log_softmax(-1))


@pytest.mark.parametrize("lever", ["heads", "additive heads"])
def test_heads_are_attentions_of_their_own(lever: str) -> None:
    """Each head alone: its part of queries, keys and values through the attention with one head."""
    attention: Any = lever_model(lever, "none").decoder.attention
    memory = mean_memory(torch.randn(2, 5, 12), torch.tensor([5, 3]))
    queries = torch.randn(2, 4, 12)
    contexts, weights = attention.unroll(queries, attention.start(memory))
    size, found = 12 // attention.heads, []
    for head in range(attention.heads):
        part = slice(head * size, (head + 1) * size)
        asked, keys = attention.project_query(queries)[..., part], attention.project(memory.states)[..., part]
        if lever == "heads":
            scores = asked @ keys.transpose(1, 2) / size**0.5
        else:
            scores = torch.tanh(asked[:, :, None] + keys[:, None]) @ attention.energy[part]
        found.append(attend(scores, attention.project_values(memory.states)[..., part], memory.mask))
    torch.testing.assert_close(contexts, torch.cat([context for context, _ in found], -1))
    torch.testing.assert_close(weights, torch.stack([each for _, each in found]).mean(0))


def test_heads_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match=r"decoder\.heads \(5\) must divide decoder\.hidden_size \(512\)"):
        ModelConfig(decoder=DecoderConfig(heads=5))
    with pytest.raises(UserError, match=r"decoder\.heads 2 is for decoder\.attention general or additive, not dot"):
        ModelConfig(decoder=DecoderConfig(heads=2, attention="dot"))


def test_residual_layers_of_an_encoder() -> None:
    encoder = build_model(ModelConfig(8, 0.0, encoder=EncoderConfig(6, 3, residual=True)), 10, 10).encoder.eval()
    inputs, lengths = torch.randn(2, 5, 8), torch.tensor([5, 3])
    states = inputs
    layers: list[nn.Module] = list(encoder.layers)  # type: ignore[arg-type]
    for number, layer in enumerate(layers):
        above, hidden, _ = layer(states, lengths)
        states = above + states if number else above
    memory = encoder(inputs, lengths)
    torch.testing.assert_close((memory.states, memory.final_hidden), (states, hidden))
    with pytest.raises(UserError, match=r"model\.encoder\.residual .* needs model\.encoder\.subsampling 1"):
        EncoderConfig(subsampling=2, residual=True)
    with pytest.raises(UserError, match=r"model\.encoder\.residual"):
        EncoderConfig(forward_layers=1, residual=True)


def test_residual_layers_on_top_of_projected_ones() -> None:
    config = EncoderConfig(6, 2, merge="sum", forward_layers=1, residual=True, proj_size=3)
    encoder = BiLSTMEncoder(8, config, 0.0).eval()
    inputs, lengths = torch.randn(2, 5, 8), torch.tensor([5, 3])
    states = inputs
    layers: list[nn.Module] = list(encoder.layers)  # type: ignore[arg-type]
    for number, layer in enumerate(layers):
        above, _, _ = layer(states, lengths)
        states = above + states if number else above
    torch.testing.assert_close(encoder(inputs, lengths).states, states)
    with pytest.raises(UserError, match=r"model\.encoder\.residual"):
        EncoderConfig(6, forward_layers=1, residual=True, proj_size=3)


def test_weights_of_projected_states_are_not_dropped() -> None:
    with pytest.raises(UserError, match=r"model\.encoder\.proj_size goes without .*recurrent_dropout"):
        ModelConfig(encoder=EncoderConfig(6, proj_size=3), recurrent_dropout=0.1)
    with pytest.raises(UserError, match=r"model\.proj_size goes without .*recurrent_dropout"):
        LanguageModelConfig(hidden_size=6, proj_size=3, recurrent_dropout=0.1)
    with pytest.raises(UserError, match=r"model\.encoder\.proj_size goes without .*zoneout"):
        ModelConfig(encoder=EncoderConfig(6, proj_size=3), zoneout=0.1)
