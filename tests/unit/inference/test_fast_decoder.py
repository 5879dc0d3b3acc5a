"""The prepared decoder against its plain twin, `RecurrentDecoder.step`, and models that step in a way of their own."""

import itertools
from functools import partial
from typing import NamedTuple, get_args

import pytest
import torch
from torch import Tensor, nn

from seq2seq.data.batch import collate
from seq2seq.errors import UserError
from seq2seq.inference.decoding import score_pairs
from seq2seq.inference.fast_decoder import InferenceDecoder, prepare
from seq2seq.model.attention import Attention, AttentionKind, GeneralAttention, MemoryKeys
from seq2seq.model.decoder import Coupling, DecoderConfig, RecurrentDecoder
from seq2seq.model.decoder_state import DecoderState
from seq2seq.model.memory import Memory, mean_memory
from seq2seq.model.recurrent import Cell
from seq2seq.model.seq2seq import ModelConfig, Seq2Seq, build_model
from seq2seq.runtime.kernels import DecodingPrecision
from seq2seq.search.beam import SearchConfig, beam_search
from tests.conftest import needs_bf16, needs_bf16_layers, needs_int8

COUPLINGS: list[Coupling] = ["none", "bottom_up", "input_feeding"]
ATTENTIONS: list[AttentionKind] = ["dot", "general", "additive"]
CASES = [
    (*case, "lstm")
    for case in itertools.product(COUPLINGS, ATTENTIONS, (1, 2, 3))
    if case[0] != "bottom_up" or case[2] > 1
]
CASES += [(coupling, "general", 2, cell) for coupling in COUPLINGS for cell in get_args(Cell)[1:]]
CASES += [("conditional", attention, 2, "lstm") for attention in ATTENTIONS]
CASES += [("conditional", "general", 2, cell) for cell in get_args(Cell)[1:] if cell != "qrnn"]
CASES += [("none", "none", 2, "lstm"), ("input_feeding", "none", 1, "gru")]


KINDS = [
    pytest.param("fp32", torch.float64, 1e-12, id="fp64"),
    pytest.param("fp32", torch.float32, 1e-5, id="fp32"),
    pytest.param("fp32", torch.float16, 0.02, id="fp16"),
    pytest.param("fp32", torch.bfloat16, 0.1, id="bf16"),
    pytest.param("int8", torch.float32, 0.1, id="int8", marks=needs_int8),
    pytest.param("bf16", torch.float32, 0.1, id="products in bf16", marks=needs_bf16),
]
"""Precision, type of the weights, and how far log-probabilities may lie apart."""


@pytest.mark.parametrize(("precision", "dtype", "tolerance"), KINDS)
@pytest.mark.parametrize(("coupling", "attention", "layers", "cell"), CASES)
@torch.inference_mode()
def test_prepared_steps_equal_plain_steps(
    coupling: Coupling,
    attention: AttentionKind,
    layers: int,
    cell: Cell,
    precision: DecodingPrecision,
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    torch.manual_seed(0)
    config = DecoderConfig(16, layers, attention, coupling, cell)
    decoder = RecurrentDecoder(nn.Embedding(50, 12), 16, config, dropout=0.3, tied=True).to(dtype).eval()
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

    class Other(RecurrentDecoder):
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
@needs_bf16_layers
def test_prepared_steps_run_under_a_callers_autocast() -> None:
    torch.manual_seed(0)
    model = build_model(ModelConfig(8), 20, 20).eval()
    prepared, sources, lengths = prepare(model), torch.randint(4, 20, (3, 5)), torch.tensor([5, 4, 2])
    expected, _ = prepared.step(torch.tensor([2, 2, 2]), prepared.start_from(model.encode(sources, lengths)))
    with torch.autocast("cpu", torch.bfloat16):
        got, _ = prepared.step(torch.tensor([2, 2, 2]), prepared.start_from(model.encode(sources, lengths)))
    torch.testing.assert_close(got, expected, rtol=0.05, atol=0.05)


class Tired(NamedTuple):
    """How much each hypothesis has looked at each step."""

    keys: MemoryKeys
    looked: Tensor
    """[N, S]"""

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> "Tired":
        return Tired(self.keys.reorder(hypotheses, sentences), self.looked.index_select(0, hypotheses))


class TiringAttention(Attention):
    """Looks less at what it has looked at: an attention whose state depends on the hypothesis (as coverage does)."""

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.context_size = memory_size
        self.inner = GeneralAttention(query_size, memory_size)

    def start(self, memory: Memory) -> Tired:
        return Tired(self.inner.start(memory), memory.states.new_zeros(memory.mask.shape))

    def forward(self, query: Tensor, state: Tired) -> tuple[Tensor, Tensor, Tired]:
        keys, values, mask = (field.repeat_interleave(len(query) // len(state.keys.mask), 0) for field in state.keys)
        scores = self.inner.scores(query[:, None], keys)[:, 0] - 3 * state.looked
        weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)
        return (weights[:, None] @ values)[:, 0], weights, Tired(state.keys, state.looked + weights)


@pytest.mark.parametrize("coupling", COUPLINGS)
@torch.inference_mode()
def test_an_attention_with_a_state_is_searched_with_it(coupling: Coupling) -> None:
    """The prepared decoder would leave the state out; search must agree with forced decoding of every output."""
    torch.manual_seed(4)
    model = build_model(ModelConfig(8, 0.0, decoder=DecoderConfig(16, coupling=coupling)), 9, 9).eval()
    model.decoder.attention = TiringAttention(16, 512)
    for parameter in model.parameters():
        parameter.data.mul_(2)
    model.decoder.output.bias.data[0] = -1e4
    assert prepare(model) is model
    source, limit, expected = [4, 5, 6], 4, {}
    for length in range(limit):
        for tokens in itertools.product([token for token in range(1, 9) if token != 3], repeat=length):
            forced, _, _ = score_pairs(model, collate([(source, tokens)]))
            expected[tokens] = float(forced) / (length + 1)
    batch = collate([(source, ())])
    state = model.start(batch.source, batch.source_lengths)
    found = beam_search(model.step, state, torch.tensor([limit]), SearchConfig(beam_size=400), 2, 3, n_best=5)[0]
    best = sorted(expected, key=lambda tokens: -expected[tokens])[:5]
    assert [tuple(hypothesis.tokens) for hypothesis in found] == best
    assert [hypothesis.score for hypothesis in found] == pytest.approx([expected[tokens] for tokens in best], abs=1e-4)


class DoubledContexts(GeneralAttention):
    """Reads in a way of its own."""

    def unroll(self, queries: Tensor, state: MemoryKeys) -> tuple[Tensor, Tensor]:
        contexts, weights = super().unroll(queries, state)
        return 2 * contexts, weights


def test_an_attention_that_reads_in_its_own_way_is_searched_with_it() -> None:
    model = build_model(ModelConfig(8, 0.0, decoder=DecoderConfig(16)), 9, 9).eval()
    assert prepare(model) is not model
    model.decoder.attention = DoubledContexts(16, 512)
    assert prepare(model) is model
    several = build_model(ModelConfig(8, 0.0, decoder=DecoderConfig(16, heads=2)), 9, 9).eval()
    assert isinstance(prepare(several), InferenceDecoder)
