"""The decoder's step as search uses it: all that stays the same between steps is computed once.

`LSTMDecoder.step` is the plain twin that tests compare this with. What is done once, without approximation:

- per model: the bottom layer's gates of every token (embedding times input weights), each layer's input and recurrent
  weights side by side, so that a layer is one matrix product, laid out as the hardware likes them;
- per sentence: the values times every weight that reads the context. A context is a weighted mean of values, so its
  projection is the same mean of projected values, and a sentence has fewer values than its hypotheses have steps.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from seq2seq.errors import UserError
from seq2seq.model.attention import attend
from seq2seq.model.decoder import LSTMDecoder
from seq2seq.model.memory import Memory
from seq2seq.model.recurrent import lstm_weights
from seq2seq.model.seq2seq import Seq2Seq
from seq2seq.runtime.device import at_least_fp32
from seq2seq.runtime.kernels import DecodingPrecision, product_of, tanh_

CHUNK_ROWS = 320
"""Hypotheses whose logits are computed at a time, which bounds the memory beside the result; as fast as all at once."""


class InferenceState(NamedTuple):
    """As `DecoderState`, laid out for speed: N hypotheses, those of one sentence next to each other."""

    hidden: tuple[Tensor, ...]
    """Per layer [N, H]"""
    cell: tuple[Tensor, ...]
    """Per layer [N, H]"""
    feed: Tensor | None
    """[N, E] the last attentional vector; only for input_feeding."""
    keys: Tensor
    """[B, S, H]"""
    values: Tensor
    """[B, S, P] the memory's states, projected for each of their readers."""
    mask: Tensor
    """[B, S] bool, True = real."""

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> InferenceState:
        """Keeps these rows: hypotheses indexes N; sentences indexes B, None where every sentence stays."""
        hidden, cell = (
            tuple(each.index_select(0, hypotheses) for each in layers) for layers in (self.hidden, self.cell)
        )
        feed = None if self.feed is None else self.feed.index_select(0, hypotheses)
        memory: tuple[Tensor, ...] = (self.keys, self.values, self.mask)
        if sentences is not None:
            memory = tuple(field.index_select(0, sentences) for field in memory)
        return InferenceState(hidden, cell, feed, *memory)


class SearchModel(Protocol):
    """What search needs of a model."""

    def start_from(self, memory: Memory) -> Any:
        """The state before the first token, one hypothesis per sentence."""

    def step(self, token: Tensor, state: Any) -> tuple[Tensor, Any]:
        """A StepFn (see search.py)."""


def prepare(model: Seq2Seq, precision: DecodingPrecision = "fp32") -> SearchModel:
    """The fast form of a model's decoder, or the model itself where it or its decoder steps in a way of its own.

    Made anew whenever the weights have changed. Raises UserError where the model or the hardware lacks that precision.
    """
    own_step = type(model).step is not Seq2Seq.step or type(model).start_from is not Seq2Seq.start_from
    if not own_step and type(model.decoder) is LSTMDecoder:
        return InferenceDecoder(model.decoder, precision)
    if precision != "fp32":
        raise UserError(f"precision {precision} is for models that step as LSTMDecoder does; use fp32")
    return model


class InferenceDecoder:
    """`start` and `step` of an LSTMDecoder, prepared.

    With precision int8, hidden states and attentional vectors, which lie within [-1, 1], and the weights they meet are
    quantised; cells, attention and the softmax stay in fp32.
    """

    @torch.inference_mode()
    def __init__(self, decoder: LSTMDecoder, precision: DecodingPrecision = "fp32") -> None:
        if decoder.output.weight.dtype in (torch.float16, torch.bfloat16):
            decoder = copy.deepcopy(decoder).float()  # the states between steps are kept in fp32, so its weights are
        self.decoder = decoder
        layers = [lstm_weights(lstm) for lstm in decoder.lstms()]
        size = decoder.lstms()[0].hidden_size
        self.feeding = decoder.coupling == "input_feeding"
        self.bottom_up = decoder.coupling == "bottom_up"
        biases = [scale_gates(input_bias + recurrent_bias) for _, _, input_bias, recurrent_bias in layers]
        products, readers = [], []
        width = decoder.embedding.embedding_dim
        for layer, (by_input, by_hidden, *_) in enumerate(layers):
            own = by_input[:, width:] if layer == 0 else by_input[:, :size]
            products.append(product_of(scale_gates(torch.cat((own, by_hidden), 1)), precision))
            if layer > 0 and self.bottom_up:
                readers.append(scale_gates(by_input[:, size:]))
        self.token_gates = torch.addmm(biases[0], decoder.embedding.weight, scale_gates(layers[0][0][:, :width]).t())
        self.products, self.biases = products, biases
        by_hidden, by_context = decoder.readout.weight[:, :size], decoder.readout.weight[:, size:]
        self.readout = product_of(by_hidden, precision)
        readers.append(by_context)
        self.readers = torch.cat(readers).t().contiguous()
        self.reader_sizes = [len(reader) for reader in readers]
        self.output = product_of(decoder.output.weight, precision)

    def start_from(self, memory: Memory) -> InferenceState:
        """The state before the first token, one hypothesis per sentence."""
        states, mask, *final = memory
        plain = self.decoder.start(Memory(at_least_fp32(states), mask, *map(at_least_fp32, final)))
        # Under a caller's autocast products are of a half precision again.
        hidden, cell = (tuple(at_least_fp32(field).unbind(1)) for field in (plain.hidden, plain.cell))
        feed = at_least_fp32(plain.feed) if self.feeding else None
        keys, values = at_least_fp32(plain.keys), at_least_fp32(plain.values @ self.readers)
        return InferenceState(hidden, cell, feed, keys, values, plain.mask)

    def step(self, token: Tensor, state: InferenceState) -> tuple[Tensor, InferenceState]:
        """A StepFn: token [N] int64 -> log-probabilities of the next token [N, V], and the state after it."""
        decoder = self.decoder
        addend = self.token_gates.index_select(0, token)
        inputs = state.feed
        hidden, cell = [], []
        contexts: list[Tensor] = []
        for layer, product in enumerate(self.products):
            if layer > 0:
                addend = self.biases[layer] + contexts[layer - 1] if self.bottom_up else self.biases[layer]
            before = state.hidden[layer]
            joined = before if inputs is None else torch.cat((inputs, before), 1)
            new_hidden, new_cell = lstm_gates(product(joined, addend), state.cell[layer])
            hidden.append(new_hidden)
            cell.append(new_cell)
            inputs = new_hidden
            if self.bottom_up and layer == 0:
                contexts = self._contexts(new_hidden, state)
        if not self.bottom_up:
            contexts = self._contexts(hidden[-1], state)
        features = self.readout(hidden[-1], decoder.readout.bias).add_(contexts[-1])
        features = tanh_(features)
        feed = features if self.feeding else None
        return self._log_probs(features), state._replace(hidden=tuple(hidden), cell=tuple(cell), feed=feed)

    def _log_probs(self, features: Tensor) -> Tensor:
        """features [N, E] -> log-probabilities [N, V], fp32 at least, some rows at a time."""
        bias = self.decoder.output.bias
        found = at_least_fp32(features.new_empty(0)).new_empty(len(features), len(bias))
        for start in range(0, len(features), CHUNK_ROWS):
            rows = slice(start, start + CHUNK_ROWS)
            torch.log_softmax(at_least_fp32(self.output(features[rows], bias)), -1, out=found[rows])
        return found

    def _contexts(self, query: Tensor, state: InferenceState) -> list[Tensor]:
        """query [N, H] -> for each reader of the context its projection [N, P']."""
        queries = query.view(len(state.keys), -1, query.shape[-1])
        projected, _ = attend(self.decoder.attention.scores(queries, state.keys), state.values, state.mask)
        return list(projected.flatten(0, 1).split(self.reader_sizes, 1))


def scale_gates(weight: Tensor) -> Tensor:
    """[4H, ...] rows in torch's order input, forget, cell, output -> input, forget, output, cell (doubled).

    tanh(x) = 2 sigmoid(2x) - 1: with the doubling in the weights one sigmoid serves all gates.
    """
    ingoing, forget, cell, outgoing = weight.chunk(4)
    return torch.cat((ingoing, forget, outgoing, 2 * cell))


def lstm_gates(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """gates [N, 4H] as `scale_gates` orders them, overwritten; cell [N, H] -> hidden, cell [N, H]."""
    ingoing, forget, outgoing, candidate = gates.sigmoid_().chunk(4, 1)
    new_cell = torch.addcmul(forget * cell, ingoing, candidate.mul_(2).sub_(1))
    return outgoing * tanh_(new_cell.clone()), new_cell
