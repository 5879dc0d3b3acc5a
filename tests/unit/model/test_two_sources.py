"""A second encoder for features, to which the decoder attends beside the first."""

from typing import Any

import pytest
import torch
from torch import Tensor

from seq2seq.data.batch import collate
from seq2seq.errors import UserError
from seq2seq.inference.decoding import score_pairs
from seq2seq.inference.fast_decoder import InferenceDecoder, prepare
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.memory import Memory
from seq2seq.model.seq2seq import ModelConfig, Seq2Seq, build_model

V = 10
PAIRS: list[Any] = [
    ([[4, 11, 12], [5, 11, 12]], [7, 8]),
    ([[5, 10, 0]], [9, 4, 4]),
    ([], [6]),
    ([[9, 0, 0], [8, 0, 0], [7, 0, 0]], [5]),
]
"""Rows of a token and up to two features, whose ids follow the tokens'."""
COUPLINGS: list[Any] = ["none", "bottom_up", "conditional", "input_feeding"]


def feature_model(coupling: Any, copy: bool = False) -> Seq2Seq:
    torch.manual_seed(3)
    decoder = DecoderConfig(12, 2, coupling=coupling)
    model = build_model(ModelConfig(8, 0.0, "two_way", EncoderConfig(6), decoder, "separate", copy=copy), 13, V)
    for parameter in model.parameters():
        parameter.data.mul_(2)
    return model.eval()


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("coupling", COUPLINGS)
def test_unrolled_equals_stepwise_and_so_do_gradients(coupling: str, copy: bool) -> None:
    model = feature_model(coupling, copy).double()
    batch = collate(PAIRS)
    state, found = model.start(batch.source, batch.source_lengths), []
    for position in range(batch.target_input.shape[1]):
        log_probs, state = model.step(batch.target_input[:, position], state)
        found.append(log_probs)
    output = model(batch.source, batch.source_lengths, batch.target_input)
    expected = torch.stack(found, 1)
    torch.testing.assert_close(model.decoder.log_probs(output), expected, rtol=1e-10, atol=1e-10)
    real = batch.target_output != 0
    plain = -(expected.gather(-1, batch.target_output[..., None])[..., 0] * real).sum()
    loss = model.decoder.loss(output, batch.target_output)
    parameters = list(model.parameters())
    gradients = [torch.autograd.grad(each, parameters) for each in (loss.total, plain)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-10)
    assert all(each.abs().sum() > 0 for each in gradients[0])


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("coupling", COUPLINGS)
@torch.inference_mode()
def test_prepared_steps_equal_plain_steps(coupling: str, copy: bool) -> None:
    model = feature_model(coupling, copy).double()
    prepared = prepare(model)
    assert isinstance(prepared, InferenceDecoder)
    batch = collate(PAIRS)
    plain = model.start(batch.source, batch.source_lengths)
    state = prepared.start_from(model.encode(batch.source, batch.source_lengths), batch.source)
    rows, sentences = torch.tensor([0, 0, 2, 2, 3, 3]), torch.tensor([0, 2, 3])
    for position in range(4):
        tokens = torch.randint(1, V, (4 if position == 0 else 6,))
        expected, plain = model.step(tokens, plain)
        got, state = prepared.step(tokens, state)
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)
        if position == 0:
            plain, state = plain.reorder(rows, sentences), state.reorder(rows, sentences)


def test_features_are_read_by_themselves_and_end_with_a_mark() -> None:
    model: Any = feature_model("none").double()
    memories: list[Memory] = [model.encode(*collate([pair])[:2]) for pair in PAIRS]
    for (source, _), memory in zip(PAIRS, memories, strict=True):
        features = [each for each in (source[0][1:] if source else []) if each]
        ids = torch.tensor([[*features, 3]])
        alone = model.feature_encoder(model.feature_front_end(ids), torch.tensor([ids.shape[1]]))
        assert memory.beside is not None and int(memory.beside.mask.sum()) == ids.shape[1]
        torch.testing.assert_close(memory.beside.states[:, : ids.shape[1]], alone.states)
        tokens = torch.tensor([[*(row[0] for row in source), 3]])
        text = model.encoder(model.front_end(tokens), torch.tensor([tokens.shape[1]]))
        torch.testing.assert_close(memory.states, text.states)


def test_contexts_stand_side_by_side() -> None:
    attention: Any = feature_model("none").decoder.attention

    def memory(steps: int, beside: Memory | None = None) -> Memory:
        states: Tensor = torch.randn(2, steps, 12)
        return Memory(states, torch.ones(2, steps, dtype=torch.bool), states[:, 0], states[:, 0], beside)

    second = memory(3)
    first = memory(5, second)
    queries = torch.randn(2, 4, 12)
    contexts, weights = attention.unroll(queries, attention.start(first))
    for part, (each, given) in enumerate(((attention.first, first), (attention.second, second))):
        alone, own = each.unroll(queries, each.start(given))
        torch.testing.assert_close(contexts[..., 12 * part : 12 * part + 12], alone)
        assert part or torch.equal(weights, own)


def test_scores_do_not_depend_on_the_batch() -> None:
    model = feature_model("bottom_up")
    together, _, _ = score_pairs(model, collate(PAIRS, length_step=8))
    for row, pair in enumerate(PAIRS):
        assert together[row].item() == pytest.approx(score_pairs(model, collate([pair]))[0].item(), abs=1e-4)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match=r"model\.features separate needs a model\.decoder\.attention other than none"):
        ModelConfig(features="separate", decoder=DecoderConfig(coupling="none", attention="none"))
    encoder, decoder = EncoderConfig(6, merge="sum"), DecoderConfig(6, attention="dot")
    with pytest.raises(UserError, match=r"decoder\.attention dot needs decoder\.hidden_size"):
        ModelConfig(features="separate", encoder=encoder, decoder=decoder)
