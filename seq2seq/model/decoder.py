"""The attentional LSTM decoder: `start`, `step` (search) and `unroll` (teacher forcing) give the same numbers."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from seq2seq.config import LAYERS, SIZES, check_numbers
from seq2seq.errors import check
from seq2seq.model.attention import AttentionKind, attend, attention_weights, build_attention
from seq2seq.model.loop_autograd import LoopProduct, loop_over_rows, lstm_elementwise
from seq2seq.model.memory import Memory
from seq2seq.model.recurrent import SequenceDropout, lstm_weights, run_lstm
from seq2seq.runtime.device import at_least_fp32, product_type

Coupling = Literal["input_feeding", "bottom_up", "none"]


@dataclass(frozen=True)
class DecoderConfig:
    """The LSTM that writes the target, and how attention is coupled to it."""

    hidden_size: int = 512
    """LSTM units per layer."""
    layers: int = 2
    """Number of stacked LSTM layers; bottom_up needs at least 2."""
    attention: AttentionKind = "general"
    """Attention score: dot, general (Luong et al. 2015) or additive (Bahdanau et al. 2015)."""
    coupling: Coupling = "bottom_up"
    """input_feeding: the attentional vector joins the next step's input (Luong et al. 2015, section 3.3). bottom_up:
    the bottom layer queries, its context joins the input of the upper layers (GNMT, Wu et al. 2016); training
    needs no loop over time. none: the top layer queries, nothing is fed back."""

    def __post_init__(self) -> None:
        check_numbers(self, "model.decoder", hidden_size=SIZES, layers=LAYERS)
        check(
            self.coupling != "bottom_up" or self.layers >= 2,
            f"model.decoder.coupling bottom_up needs at least 2 model.decoder.layers, not {self.layers}: one queries, "
            "the others read; with one layer, set model.decoder.coupling to input_feeding or none",
        )


class DecoderState(NamedTuple):
    """All that a step needs. Hypotheses of one sentence stand next to each other: N = B x hypotheses per sentence.

    The memory's part has a row per sentence, not per hypothesis: beams share it, and reordering them never copies it.
    """

    hidden: Tensor
    """[N, L, H]"""
    cell: Tensor
    """[N, L, H]"""
    feed: Tensor
    """[N, E] the last attentional vector (used by input_feeding)."""
    keys: Tensor
    """[B, S, H] projected memory."""
    values: Tensor
    """[B, S, H'] the memory's states."""
    mask: Tensor
    """[B, S] bool, True = real."""

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> "DecoderState":
        """Keeps these rows: hypotheses indexes N; sentences indexes B, None where every sentence stays."""
        recurrent = (field.index_select(0, hypotheses) for field in (self.hidden, self.cell, self.feed))
        memory: tuple[Tensor, ...] = (self.keys, self.values, self.mask)
        if sentences is not None:
            memory = tuple(field.index_select(0, sentences) for field in memory)
        return DecoderState(*recurrent, *memory)


class Dropouts(NamedTuple):
    """The masks of one unrolled sequence, drawn once (see SequenceDropout): [B, 1, width], or 1.0 where nothing is
    dropped."""

    embedding: Tensor
    layers: Tensor
    """[B, 1, H] on the hidden states that attention and the upper layers read."""
    readout: Tensor


class LSTMDecoder(nn.Module):
    """Embedding, stacked LSTM, attention, readout and output layer.

    The attentional vector is h~ = tanh(W [h; context]) (Luong et al. 2015, eq. 5), as wide as the embedding, so that
    the output layer can share the embedding's weights (Press & Wolf 2017).
    """

    def __init__(
        self, embedding: nn.Embedding, memory_size: int, config: DecoderConfig, dropout: float, tied: bool
    ) -> None:
        super().__init__()
        width, size = embedding.embedding_dim, config.hidden_size
        self.coupling: Coupling = config.coupling
        self.embedding = embedding
        first = width + (width if config.coupling == "input_feeding" else 0)
        later = size + (memory_size if config.coupling == "bottom_up" else 0)
        self.layers = nn.ModuleList(
            nn.LSTM(first if layer == 0 else later, size, batch_first=True) for layer in range(config.layers)
        )
        self.attention = build_attention(config.attention, size, memory_size)
        self.bridge_hidden = nn.Linear(memory_size, config.layers * size)
        self.bridge_cell = nn.Linear(memory_size, config.layers * size)
        self.readout = nn.Linear(size + memory_size, width)
        self.output = nn.Linear(width, embedding.num_embeddings)
        if tied:
            self.output.weight = embedding.weight
        self.dropout = SequenceDropout(dropout)

    def lstms(self) -> list[nn.LSTM]:
        """The layers, bottom first."""
        return [layer for layer in self.layers if isinstance(layer, nn.LSTM)]

    def start(self, memory: Memory) -> DecoderState:
        """State before the first token, one hypothesis per sentence; h and c come from the encoder's through the
        bridge."""
        shape = (memory.states.shape[0], len(self.layers), -1)
        hidden = torch.tanh(self.bridge_hidden(memory.final_hidden)).view(shape)
        cell = self.bridge_cell(memory.final_cell).view(shape)
        feed = hidden.new_zeros(hidden.shape[0], self.readout.out_features)
        return DecoderState(hidden, cell, feed, self.attention.keys(memory.states), memory.states, memory.mask)

    def step(self, token: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """A StepFn, without dropout: token [N] int64 -> log-probabilities of the next token [N, V], fp32 at least, and
        the state after it."""
        embedded = self.embedding(token)
        inputs = torch.cat((embedded, state.feed), -1) if self.coupling == "input_feeding" else embedded
        hiddens, cells = [], []
        context = None
        for layer, lstm in enumerate(self.lstms()):
            previous = state.hidden[:, layer], state.cell[:, layer]
            inputs, cell = torch.lstm_cell(inputs, previous, *lstm_weights(lstm))
            hiddens.append(inputs)
            cells.append(cell)
            if self.coupling == "bottom_up":
                if context is None:
                    context, _ = self._attend_step(inputs, state)
                inputs = torch.cat((inputs, context), -1)
        if context is None:
            context, _ = self._attend_step(hiddens[-1], state)
        features = self._read_out(hiddens[-1], context)
        log_probs = at_least_fp32(self.output(features)).log_softmax(-1)
        return log_probs, state._replace(hidden=torch.stack(hiddens, 1), cell=torch.stack(cells, 1), feed=features)

    def unroll(self, tokens: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Teacher forcing: tokens [B, T] -> the output layer's input [B, T, E], attention weights [B, T, S]."""
        state = self.start(memory)
        dropouts = self._dropouts(tokens.shape[0])
        embedded = self.embedding(tokens) * dropouts.embedding
        if self.coupling == "input_feeding":
            return self._unroll_feeding(embedded, state, dropouts)
        hidden = self._run_layer(0, embedded, state) * dropouts.layers
        if self.coupling == "bottom_up":
            context, weights = self._attend(hidden, state)
            for layer in range(1, len(self.layers)):
                hidden = self._run_layer(layer, torch.cat((hidden, context), -1), state) * dropouts.layers
        else:
            for layer in range(1, len(self.layers)):
                hidden = self._run_layer(layer, hidden, state) * dropouts.layers
            context, weights = self._attend(hidden, state)
        return self._read_out(hidden, context) * dropouts.readout, weights

    def _unroll_feeding(self, embedded: Tensor, state: DecoderState, dropouts: Dropouts) -> tuple[Tensor, Tensor]:
        """The loop over time that input feeding needs: each step's input holds the readout of the one before."""
        layers_mask, readout_mask = (mask[:, 0] if mask.dim() else mask for mask in dropouts[1:])
        layers, readout = self._loop_products(embedded)
        scores = self.attention.loop_scores(state.keys, embedded.shape[1])
        contexts = loop_over_rows(state.values, embedded.shape[1])
        hidden, cell = (list(field.unbind(1)) for field in (state.hidden, state.cell))
        feed = state.feed
        steps = []
        for _ in range(embedded.shape[1]):
            below = feed
            for layer, product in enumerate(layers):
                gates = product(torch.cat((below, hidden[layer]), -1))
                hidden[layer], cell[layer] = lstm_elementwise(gates, cell[layer])
                below = hidden[layer] * layers_mask
            weights = attention_weights(scores(below[:, None]), state.mask, state.values.dtype)
            feed = torch.tanh(readout(torch.cat((below, contexts(weights)[:, 0]), -1))) * readout_mask
            steps.append((feed, weights))
        return torch.stack([features for features, _ in steps], 1), torch.cat([weights for _, weights in steps], 1)

    def _loop_products(self, embedded: Tensor) -> tuple[list[LoopProduct], LoopProduct]:
        """embedded [B, T, E] -> each layer's weights for [what is below it, its own hidden state], and the readout's.

        The bottom layer's product with the embeddings is known before the loop.
        """
        rows, steps, width = embedded.shape
        layers = []
        for layer, lstm in enumerate(self.lstms()):
            by_input, by_hidden, input_bias, recurrent_bias = lstm_weights(lstm)
            addends = (input_bias + recurrent_bias).expand(steps, rows, -1)
            if layer == 0:
                addends = addends + embedded.transpose(0, 1) @ by_input[:, :width].t()
                by_input = by_input[:, width:]
            layers.append(LoopProduct(torch.cat((by_input, by_hidden), 1).t(), addends))
        return layers, LoopProduct(self.readout.weight.t(), self.readout.bias.expand(steps, rows, -1))

    def _attend_step(self, query: Tensor, state: DecoderState) -> tuple[Tensor, Tensor]:
        """query [N, H] -> context [N, H'], weights [B, N / B, S]: a sentence's hypotheses share its keys."""
        context, weights = self._attend(query.view(state.keys.shape[0], -1, query.shape[-1]), state)
        return context.flatten(0, 1), weights

    def _attend(self, queries: Tensor, state: DecoderState) -> tuple[Tensor, Tensor]:
        """queries [B, Q, H] -> context [B, Q, H'], weights [B, Q, S]."""
        return attend(self.attention.scores(queries, state.keys), state.values, state.mask)

    def _run_layer(self, layer: int, inputs: Tensor, state: DecoderState) -> Tensor:
        """All time steps of one layer: [B, T, I] -> [B, T, H]."""
        hidden, cell = (
            field[:, layer].unsqueeze(0).to(inputs.dtype).contiguous() for field in (state.hidden, state.cell)
        )
        return run_lstm(self.lstms()[layer], inputs, (hidden, cell))

    def _read_out(self, hidden: Tensor, context: Tensor) -> Tensor:
        """h~ of Luong et al. 2015, eq. 5: [..., H], [..., H'] -> [..., E]."""
        return torch.tanh(self.readout(torch.cat((hidden, context), -1)))

    def _dropouts(self, rows: int) -> Dropouts:
        """Fresh masks for a batch of sequences; scalar ones when not training, which cost nothing to multiply by."""
        weight = self.readout.weight
        if not self.training or self.dropout.probability == 0.0:
            return Dropouts(*[weight.new_ones(())] * 3)
        width, size = self.embedding.embedding_dim, self.lstms()[0].hidden_size
        states = product_type(weight)  # a mask in fp32 would turn states of bf16 into fp32
        shapes = ((width, weight.dtype), (size, states), (width, states))
        return Dropouts(*(self.dropout.mask(weight.new_empty(rows, 1, units, dtype=dtype)) for units, dtype in shapes))
