"""The prepared decoder against its plain twin, `LSTMDecoder.step`, and against a model that steps in its own way."""

import itertools
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from seq2seq.errors import UserError
from seq2seq.inference.fast_decoder import InferenceDecoder, prepare
from seq2seq.model.attention import AttentionKind
from seq2seq.model.decoder import Coupling, DecoderConfig, DecoderState, LSTMDecoder
from seq2seq.model.memory import mean_memory
from seq2seq.model.seq2seq import ModelConfig, Seq2Seq, build_model
from seq2seq.runtime.kernels import DecodingPrecision
from tests.conftest import needs_int8

COUPLINGS: list[Coupling] = ["none", "bottom_up", "input_feeding"]
ATTENTIONS: list[AttentionKind] = ["dot", "general", "additive"]
CASES = [case for case in itertools.product(COUPLINGS, ATTENTIONS, (1, 2, 3)) if case[0] != "bottom_up" or case[2] > 1]


KINDS = [
    pytest.param("fp32", torch.float64, 1e-12, id="fp64"),
    pytest.param("fp32", torch.float32, 1e-5, id="fp32"),
    pytest.param("fp32", torch.float16, 0.02, id="fp16"),
    pytest.param("fp32", torch.bfloat16, 0.1, id="bf16"),
    pytest.param("int8", torch.float32, 0.1, id="int8", marks=needs_int8),
]
"""Precision, type of the weights, and how far log-probabilities may lie apart."""


@pytest.mark.parametrize(("precision", "dtype", "tolerance"), KINDS)
@pytest.mark.parametrize(("coupling", "attention", "layers"), CASES)
@torch.inference_mode()
def test_prepared_steps_equal_plain_steps(
    coupling: Coupling,
    attention: AttentionKind,
    layers: int,
    precision: DecodingPrecision,
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    torch.manual_seed(0)
    config = DecoderConfig(16, layers, attention, coupling)
    decoder = LSTMDecoder(nn.Embedding(50, 12), 16, config, dropout=0.3, tied=True).to(dtype).eval()
    memory = mean_memory(torch.randn(4, 7, 16, dtype=dtype), torch.tensor([7, 5, 3, 1]))
    prepared = InferenceDecoder(decoder, precision)
    close = partial(torch.testing.assert_close, rtol=tolerance, atol=tolerance)
    plain_state, state = decoder.start(memory), prepared.start_from(memory)
    beams = torch.arange(4).repeat_interleave(3)
    for position in range(4):
        tokens = torch.randint(0, 50, (4 if position == 0 else 12,))
        expected, plain_state = decoder.step(tokens, plain_state)
        got, state = prepared.step(tokens, state)
        close(got, expected)
        order = beams if position == 0 else (torch.arange(4)[:, None] * 3 + torch.randperm(3)).flatten()
        plain_state, state = plain_state.reorder(order), state.reorder(order)
    kept, sentences = torch.tensor([0, 1, 2, 9, 10, 11]), torch.tensor([0, 3])
    plain_state, state = plain_state.reorder(kept, sentences), state.reorder(kept, sentences)
    tokens = torch.randint(0, 50, (6,))
    close(prepared.step(tokens, state)[0], decoder.step(tokens, plain_state)[0])


def test_a_model_that_steps_in_its_own_way_is_left_alone() -> None:
    class Loud(Seq2Seq):
        def step(self, token: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
            log_probs, state = super().step(token, state)
            return log_probs * 2, state

    class Other(LSTMDecoder):
        pass

    model = build_model(ModelConfig(8), 20, 20)
    assert isinstance(prepare(model), InferenceDecoder)
    loud = Loud(model.front_end, model.encoder, model.decoder)
    assert prepare(loud) is loud
    with pytest.raises(UserError, match="int8"):
        prepare(loud, "int8")
    model.decoder = Other(nn.Embedding(20, 8), 512, DecoderConfig(16), 0.0, tied=True)
    assert prepare(model) is model


@torch.inference_mode()
def test_prepared_steps_run_under_a_callers_autocast() -> None:
    torch.manual_seed(0)
    model = build_model(ModelConfig(8), 20, 20).eval()
    prepared, sources, lengths = prepare(model), torch.randint(4, 20, (3, 5)), torch.tensor([5, 4, 2])
    expected, _ = prepared.step(torch.tensor([2, 2, 2]), prepared.start_from(model.encode(sources, lengths)))
    with torch.autocast("cpu", torch.bfloat16):
        got, _ = prepared.step(torch.tensor([2, 2, 2]), prepared.start_from(model.encode(sources, lengths)))
    torch.testing.assert_close(got, expected, rtol=0.05, atol=0.05)
