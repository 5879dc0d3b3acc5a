"""The decoder's step as search uses it: all that stays the same between steps is computed once.

`RecurrentDecoder.step` is the plain twin that tests compare this with. What is done once, without approximation:

- per model: the bottom layer's gates of every token (embedding times input weights), and with deep output each token's
  part of the attentional vector; each layer's input and recurrent weights side by side, so that a layer is one matrix
  product, laid out as the hardware likes them;
- per sentence: the values times every weight that reads the context. A context is a weighted mean of values, so its
  projection is the same mean of projected values, and a sentence has fewer values than its hypotheses have steps.

The second holds for attentions that score keys, without feedback; decoders with another one are searched plainly.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from seq2seq.errors import UserError, check
from seq2seq.model.attention import Attention, MemoryKeys, NoAttention, ScoredAttention
from seq2seq.model.copying import CopyDecoder
from seq2seq.model.decoder import RecurrentDecoder
from seq2seq.model.decoder_state import WithSource
from seq2seq.model.encoder import BidirectionalLayer
from seq2seq.model.lexical import LexicalDecoder
from seq2seq.model.memory import Memory
from seq2seq.model.recurrent import LSTMLayer, ProjectedLSTM
from seq2seq.model.seq2seq import Seq2Seq
from seq2seq.model.two_attentions import TwoAttentions, TwoStates
from seq2seq.runtime.device import at_least_fp32
from seq2seq.runtime.kernels import DecodingPrecision, Product, product_of, tanh_

CHUNK_ROWS, CHUNK_ROWS_ON_GPU = 320, 4_096
"""Hypotheses whose logits are computed at a time, which bounds the memory beside the result; as fast as all at once."""


STEPPING = "models that step as RecurrentDecoder does"


class InferenceState(NamedTuple):
    """As `DecoderState`, laid out for speed: N hypotheses, those of one sentence next to each other."""

    hidden: tuple[Tensor, ...]
    """Per layer [N, H]"""
    cell: tuple[Tensor, ...]
    """Per layer [N, H]"""
    feed: Tensor | None
    """[N, E] the last attentional vector; only for input_feeding."""
    attention: Any
    """What the hypotheses of a sentence share: `MemoryKeys`, or `TwoStates` of them, the values [B, S, P] projected for
    each of their readers; `NoState` where the decoder does not attend."""

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> InferenceState:
        """Keeps these rows: hypotheses indexes N; sentences indexes B, None where every sentence stays."""
        hidden, cell = (
            tuple(each.index_select(0, hypotheses) for each in layers) for layers in (self.hidden, self.cell)
        )
        feed = None if self.feed is None else self.feed.index_select(0, hypotheses)
        return InferenceState(hidden, cell, feed, self.attention.reorder(hypotheses, sentences))


class SearchModel(Protocol):
    """What search needs of a model."""

    def start_from(self, memory: Memory, source: Tensor) -> Any:
        """The state before the first token, one hypothesis per sentence, of an encoded source [B, S, ...]."""

    def step(self, token: Tensor, state: Any) -> tuple[Tensor, Any]:
        """A StepFn (see search/step.py)."""


def prepare(model: Seq2Seq, precision: DecodingPrecision = "fp32") -> SearchModel:
    """The fast form of a model's decoder, or the model itself where it, its decoder or its attention steps in a way of
    its own.

    Made anew whenever the weights have changed. Raises UserError where the model or the hardware lacks that precision.
    """
    own_step = type(model).step is not Seq2Seq.step or type(model).start_from is not Seq2Seq.start_from
    own_step = own_step or type(model.decoder) not in (RecurrentDecoder, LexicalDecoder, CopyDecoder)
    if not own_step and _is_stateless(model.decoder.attention):
        check(
            precision != "int8" or not _begins_beyond_one(model),
            "precision int8 is for states within [-1, 1], and this decoder (model.decoder.bridge layer_by_layer) "
            "begins with others: sums of two directions (model.encoder.merge sum), or projected ones "
            "(model.encoder.proj_size); use fp32",
        )
        return InferenceDecoder(model.decoder, precision)
    if precision != "fp32":
        raise UserError(f"precision {precision} is for {STEPPING}; use fp32")
    return model


def _begins_beyond_one(model: Seq2Seq) -> bool:
    """Whether the decoder's first states are those of encoder layers that add up two directions, or project."""
    decoder = model.decoder
    if decoder.first_input is not None or decoder.bridge_hidden is not None:
        return False
    sums = (
        isinstance(layer, BidirectionalLayer) and layer.merge == "sum" and None not in (layer.ahead, layer.back)
        for layer in model.encoder.modules()
    )
    return any(sums) or any(isinstance(layer, ProjectedLSTM) for layer in model.encoder.modules())


def _is_stateless(attention: Attention) -> bool:
    """Whether contexts depend on the query and on keys and values alone, so that values may be projected beforehand."""
    if type(attention) is NoAttention:
        return True
    if type(attention) is TwoAttentions:
        return _is_stateless(attention.first) and _is_stateless(attention.second)
    kind = type(attention)
    inherited = (kind.forward is ScoredAttention.forward, kind.start is ScoredAttention.start)
    if not isinstance(attention, ScoredAttention) or not all(inherited):
        return False
    return issubclass(_definer(kind, "read"), _definer(kind, "unroll"))  # else `read` is another attention's


def _definer(kind: type, method: str) -> type:
    """The class that a method comes from."""
    return next(each for each in kind.__mro__ if method in vars(each))


class _Prepared(NamedTuple):
    """Models as search uses them, and what they were made from."""

    models: list[SearchModel]
    precision: DecodingPrecision
    weights: list[tuple[int, int]]
    """Address and version of every weight."""


class PreparedModels:
    """`prepare`, of which the last result is kept until weights, models or the precision change. Several threads may
    use it at once."""

    def __init__(self) -> None:
        self._last: _Prepared | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Copies prepare the models themselves: packed weights cannot be copied."""
        return {"_last": None}

    def of(self, models: Sequence[Seq2Seq], precision: DecodingPrecision = "fp32") -> list[SearchModel]:
        """The models as search uses them. Raises UserError as `prepare` does."""
        weights = [
            (weight.data_ptr(), 0 if weight.is_inference() else weight._version)
            for model in models
            for weight in model.parameters()
        ]
        last = self._last  # read once, and written once: another thread may do so meanwhile
        if last is None or last[1:] != (precision, weights):
            self._last = last = _Prepared([prepare(model, precision) for model in models], precision, weights)
        return last.models


class PreparedLayer(NamedTuple):
    """A recurrent layer: its gates are product([inputs; h], addend), of a cell that does not read h product(inputs,
    addend); what follows them is advance."""

    product: Product | None
    """None where a layer reads neither: at the bottom without input feeding, of such a cell. Its gates are the
    addend."""
    bias: Tensor
    """[G]"""
    advance: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
    """gates [N, G], which it may overwrite, h [N, H], c [N, H] -> the next h and c."""
    reads_hidden: bool
    """Whether h is a part of the product's input."""

    def gates(self, inputs: Tensor | None, hidden: Tensor, addend: Tensor) -> Tensor:
        """inputs [N, I], None where there are none, h [N, H], addend [N, G] or [G] -> [N, G]."""
        if self.product is None:
            return addend
        if not self.reads_hidden:
            assert inputs is not None
            return self.product(inputs, addend)
        return self.product(hidden if inputs is None else torch.cat((inputs, hidden), 1), addend)


class InferenceDecoder:
    """`start` and `step` of a RecurrentDecoder, prepared.

    With precision int8, hidden states and attentional vectors, which lie within [-1, 1], and the weights they meet are
    quantised; cells, attention and the softmax stay in fp32.
    """

    @torch.inference_mode()
    def __init__(self, decoder: RecurrentDecoder, precision: DecodingPrecision = "fp32") -> None:
        if decoder.output.weight.dtype in (torch.float16, torch.bfloat16):
            decoder = copy.deepcopy(decoder).float()  # the states between steps are kept in fp32, so its weights are
        self.decoder = decoder
        self.attentions = scored_parts(decoder.attention)
        self.feeding = decoder.coupling == "input_feeding"
        self.conditional = decoder.coupling == "conditional"
        self.first_queries = self.conditional or decoder.coupling == "bottom_up"
        self.layers: list[PreparedLayer] = []
        readers = []
        width, size = decoder.embedding.embedding_dim, decoder.recurrent_layers()[0].hidden_size
        for number, layer in enumerate(decoder.recurrent_layers()):
            scale, advance = (scale_gates, lstm_gates) if isinstance(layer, LSTMLayer) else (_as_it_is, layer.advance)
            by_input, by_hidden, bias = map(scale, layer.joint_weights())
            if number == 0:
                self.token_gates = torch.addmm(bias, decoder.embedding.weight, by_input[:, :width].t())
            below = width if number == 0 else 0 if self.conditional else size
            if number > 0 and self.first_queries:
                readers.append(by_input[:, below:])
            own = by_input[:, width:] if number == 0 else by_input[:, :below] * self.largest(number)
            read = torch.cat((own, by_hidden), 1) if layer.reads_hidden else own
            product = product_of(read, precision) if read.shape[1] else None
            self.layers.append(PreparedLayer(product, bias, advance, layer.reads_hidden))
        by_hidden, by_context = decoder.readout.weight[:, :size], decoder.readout.weight[:, size:]
        self.token_readout: Tensor | None = None
        if decoder.deep_output:
            by_token, by_context = by_context[:, -width:], by_context[:, :-width]
            self.token_readout = torch.addmm(decoder.readout.bias, decoder.embedding.weight, by_token.t())
        self.readout = product_of(by_hidden * self.largest(len(self.layers)), precision)
        readers.append(by_context)
        self.readers = torch.cat(readers).t().contiguous()
        self.reader_sizes = [len(reader) for reader in readers]
        weight = decoder.output.weight
        self.lexical = decoder if isinstance(decoder, LexicalDecoder) else None
        if self.lexical is not None:  # what its weights meet lies within [-2, 2]
            weight = torch.cat((weight, 2 * self.lexical.lexical_output.weight), 1)
        self.output_weight: Tensor = weight
        self.output_bias: Tensor = decoder.output.bias
        self.precision: DecodingPrecision = precision
        self.output = product_of(weight, precision)
        self.gives_logits = False
        self.copying = decoder if isinstance(decoder, CopyDecoder) else None

    def for_tokens(self, tokens: Tensor) -> InferenceDecoder:
        """The same, whose step gives the logits [N, U] of these tokens [U] alone. Raises UserError where the model has
        no such form."""
        softmax = self.decoder.output_normalizer == "softmax"
        check(softmax and self.copying is None, "a shortlist is for models that do not copy, and end in a softmax")
        fewer = copy.copy(self)
        fewer.output_bias = self.output_bias[tokens]
        fewer.output = product_of(self.output_weight[tokens], self.precision)
        fewer.gives_logits = True
        return fewer

    def start_from(self, memory: Memory, source: Tensor | None = None) -> InferenceState:
        """The state before the first token, one hypothesis per sentence."""
        plain = self.decoder.start(_in_fp32(memory), source)
        attention, source_read = plain.attention, None
        if isinstance(attention, WithSource):
            attention, source_read = attention
        # Under a caller's autocast products are of a half precision again.
        hidden, cell = (tuple(at_least_fp32(field).unbind(1)) for field in (plain.hidden, plain.cell))
        feed = at_least_fp32(plain.feed) if self.feeding else None
        if not self.attentions:
            return InferenceState(hidden, cell, feed, attention)
        prepared = self._projected(attention)
        if source_read is None:
            return InferenceState(hidden, cell, feed, prepared)
        source_read = at_least_fp32(source_read) if source_read.is_floating_point() else source_read
        return InferenceState(hidden, cell, feed, WithSource(prepared, source_read))

    def _projected(self, state: MemoryKeys | TwoStates) -> MemoryKeys | TwoStates:
        """The state of an attention, or of two, with its values projected for each of their readers."""
        states = state if isinstance(state, TwoStates) else (state,)
        readers = self.readers.split([each.context_size for each in self.attentions])
        prepared = [
            MemoryKeys(at_least_fp32(keys), at_least_fp32(attention.projected(values, reader)), mask)
            for attention, (keys, values, mask), reader in zip(self.attentions, states, readers, strict=True)
        ]
        return TwoStates(*prepared) if isinstance(state, TwoStates) else prepared[0]

    def step(self, token: Tensor, state: InferenceState) -> tuple[Tensor, InferenceState]:
        """A StepFn: token [N] int64 -> log-probabilities of the next token [N, V], and the state after it."""
        addend = self.token_gates.index_select(0, token)
        inputs, below = state.feed, state.hidden[0]  # the latter for its type: no layer reads it
        hidden, cell = list(state.hidden), list(state.cell)
        contexts: list[Tensor] = []
        weights: Tensor | None = None
        for number, layer in enumerate(self.layers):
            if number > 0:
                addend = layer.bias + contexts[number - 1] if self.first_queries else layer.bias
            own = min(number, len(hidden) - 1)
            gates = layer.gates(inputs, hidden[own], addend)
            hidden[own], cell[own] = layer.advance(gates, hidden[own], cell[own])
            below = hidden[own] + below if self.decoder.residual and number > 0 else hidden[own]
            largest = self.largest(number + 1)
            read = below if largest == 1 else below / largest
            inputs = None if self.conditional else read
            if self.first_queries and number == 0:
                contexts, weights = self._contexts(below, state)
        bias = self.decoder.readout.bias
        features = self.readout(read, bias if self.token_readout is None else self.token_readout[token])
        if self.attentions:
            if weights is None:
                contexts, weights = self._contexts(below, state)
            features.add_(contexts[-1])
        features = tanh_(features)
        feed = features if self.feeding else None
        after = state._replace(hidden=tuple(hidden), cell=tuple(cell), feed=feed)
        if weights is not None and self.lexical is not None:
            by_word = self.lexical.translated(weights, state.attention.source).flatten(0, 1)
            features = torch.cat((features, by_word / 2), 1)
        if weights is not None and self.copying is not None:
            return self._with_copies(features, weights, state.attention.source), after
        return self._log_probs(features), after

    def largest(self, layers: int) -> int:
        """How large a number the states of so many layers, as the next one reads them, can have: a sum where there are
        residual connections. They are divided by it and the weights that they meet multiplied, for int8's sake."""
        return layers if self.decoder.residual else 1

    def _log_probs(self, features: Tensor) -> Tensor:
        """features [N, E] -> log-probabilities [N, V], fp32 at least, some rows at a time; logits where those are
        asked for."""
        bias = self.output_bias
        if self.gives_logits:
            return at_least_fp32(self.output(features, bias))
        found = at_least_fp32(features.new_empty(0)).new_empty(len(features), len(bias))
        size = CHUNK_ROWS_ON_GPU if features.is_cuda else CHUNK_ROWS
        for start in range(0, len(features), size):
            rows = slice(start, start + size)
            logits = at_least_fp32(self.output(features[rows], bias))
            if self.decoder.output_normalizer == "softmax":
                torch.log_softmax(logits, -1, out=found[rows])
            else:
                found[rows] = self.decoder.normalised(logits)
        return found

    def _with_copies(self, features: Tensor, weights: Tensor, ids: Tensor) -> Tensor:
        """`_log_probs` of a decoder that copies. weights [B, N / B, S], ids [B, S]."""
        assert self.copying is not None
        ids, weights = ids.repeat_interleave(weights.shape[1], 0), weights.flatten(0, 1)
        size = CHUNK_ROWS_ON_GPU if features.is_cuda else CHUNK_ROWS
        rows = zip(*(each.split(size) for each in (features, weights, ids)), strict=True)
        bias = self.decoder.output.bias
        return torch.cat([self.copying.mixed(self.output(each[0], bias), *each) for each in rows])

    def _contexts(self, query: Tensor, state: InferenceState) -> tuple[list[Tensor], Tensor]:
        """query [N, H] -> for each reader of the context its projection [N, P'], and attention [B, N / B, S]; of two
        attentions the first's."""
        held = state.attention.attention if isinstance(state.attention, WithSource) else state.attention
        states = held if isinstance(held, TwoStates) else (held,)
        queries = query.view(len(states[0].keys), -1, query.shape[-1])
        read = [attention.read(queries, *each) for attention, each in zip(self.attentions, states, strict=True)]
        projected, weights = read[0]
        for further, _ in read[1:]:
            projected = projected + further
        return list(projected.flatten(0, 1).split(self.reader_sizes, 1)), weights


def scored_parts(attention: Attention) -> list[ScoredAttention]:
    """The attentions that a decoder's consists of: one, two, or none."""
    parts = [attention.first, attention.second] if isinstance(attention, TwoAttentions) else [attention]
    return [each for each in parts if isinstance(each, ScoredAttention)]


def _in_fp32(memory: Memory) -> Memory:
    """The memory, and that beside it, in fp32 at least."""
    beside = None if memory.beside is None else _in_fp32(memory.beside)
    states, hidden, cell = map(at_least_fp32, (memory.states, memory.final_hidden, memory.final_cell))
    return Memory(states, memory.mask, hidden, cell, beside)


def _as_it_is(weight: Tensor) -> Tensor:
    """Of cells other than the LSTM nothing is scaled."""
    return weight


def scale_gates(weight: Tensor) -> Tensor:
    """[4H, ...] rows in torch's order input, forget, cell, output -> input, forget, output, cell (doubled).

    tanh(x) = 2 sigmoid(2x) - 1: with the doubling in the weights one sigmoid serves all gates.
    """
    ingoing, forget, cell, outgoing = weight.chunk(4)
    return torch.cat((ingoing, forget, outgoing, 2 * cell))


def lstm_gates(gates: Tensor, _hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """gates [N, 4H] as `scale_gates` orders them, overwritten; cell [N, H] -> the next h and c [N, H]."""
    ingoing, forget, outgoing, candidate = gates.sigmoid_().chunk(4, 1)
    new_cell = torch.addcmul(forget * cell, ingoing, candidate.mul_(2).sub_(1))
    return outgoing * tanh_(new_cell.clone()), new_cell
