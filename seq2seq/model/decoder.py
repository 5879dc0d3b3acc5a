"""The recurrent decoder: `start`, `step` (search) and `unroll` (teacher forcing) give the same numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from seq2seq.config import LAYERS, SIZES, Whole, check_fields, check_numbers
from seq2seq.data.symbols import EOS_ID, PAD_ID
from seq2seq.errors import check
from seq2seq.model.attention import AttentionKind, build_attention
from seq2seq.model.cells import build_recurrent
from seq2seq.model.decoder_state import DecoderState, Dropouts, Output
from seq2seq.model.dropout import DropoutRates, SequenceDropout, TokenDropout
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.loop_autograd import LoopProduct
from seq2seq.model.losses import LossSum, consistent_cross_entropy, cross_entropy, loss_in_chunks
from seq2seq.model.memory import Memory
from seq2seq.model.normalizers import Normalizer, check_normalizers, log_probabilities, sparse_loss
from seq2seq.model.recurrent import Cell, RecurrentLayer, dropped
from seq2seq.model.two_attentions import TwoAttentions
from seq2seq.runtime.device import at_least_fp32, product_type

Coupling = Literal["input_feeding", "bottom_up", "conditional", "none"]
Bridge = Literal["projected", "layer_by_layer", "first_input"]

ROW_STEP = 32
"""What batches of usual size have a multiple of: 8 rows times 4 steps."""


@dataclass(frozen=True)
class DecoderConfig:
    """The recurrent layers that write the target, and how attention is coupled to them."""

    hidden_size: int = 512
    """Units per layer."""
    layers: int = 2
    """Number of stacked layers; bottom_up needs at least 2, conditional has 2."""
    attention: AttentionKind = "general"
    """Attention score: dot, general (Luong et al. 2015) or additive (Bahdanau et al. 2015); none: the decoder knows the
    source by its first state alone (Sutskever et al. 2014)."""
    coupling: Coupling = "bottom_up"
    """input_feeding: the attentional vector joins the next step's input (Luong et al. 2015, section 3.3). bottom_up:
    the bottom layer queries, its context joins the input of the upper layers (GNMT, Wu et al. 2016); training
    needs no loop over time. conditional: the first layer goes on from the second one's last state and queries, the
    second one goes on from there and reads the context, so that both make one deep step (the conditional cell of
    Sennrich et al. 2017, section 2). none: the top layer queries, nothing is fed back."""
    cell: Cell = "lstm"
    """Recurrent cell: lstm, gru, rnn (plain tanh), peephole (an LSTM whose gates see the cell), layer_norm_lstm (Ba et
    al. 2016; a loop over time, no kernel of torch's), rhn (recurrent highway network, Zilly et al. 2017: four
    transitions a step; a loop, too), or qrnn (Bradbury et al. 2017: gates read the input alone, for speed)."""
    bridge: Bridge = "projected"
    """What the decoder starts from. projected: the encoder's last states through a learned projection. layer_by_layer:
    each layer takes over the last states of the encoder's layer of the same height (Sutskever et al. 2014), which needs
    as many layers of the same width; of coupling conditional, whose layers have one state, one. first_input: from
    zeros, and the encoder's last hidden state, projected, is read once, before the first token (Vinyals et al. 2015);
    with coupling none."""
    heads: int = 1
    """Attentions side by side, each over a part of the projected memory (Vaswani et al. 2017; Chen et al. 2018); more
    than 1 with general or additive."""
    residual: bool = False
    """Whether each layer after the first adds what it reads of the layer below to its states (Wu et al. 2016)."""
    deep_output: bool = False
    """Whether the attentional vector is made of the last token's embedding, too (Pascanu et al. 2014; Bahdanau et al.
    2015; Sennrich et al. 2017)."""
    attention_normalizer: Normalizer = "softmax"
    """How attention's scores become weights: softmax, or sparsemax or entmax15, which leave steps out (Peters et al.
    2019; package entmax)."""
    output_normalizer: Normalizer = "softmax"
    """How the output layer's scores become probabilities, and with that the loss: softmax with cross-entropy, or
    sparsemax or entmax15 with their own, of which most tokens have probability 0 (Peters et al. 2019)."""

    def __post_init__(self) -> None:
        check_fields(self, "model.decoder")
        check_numbers(self, "model.decoder", hidden_size=SIZES, layers=LAYERS, heads=Whole(1, 1_000))
        check(
            self.coupling != "bottom_up" or self.layers >= 2,
            f"model.decoder.coupling bottom_up needs at least 2 model.decoder.layers, not {self.layers}: one queries, "
            "the others read; with one layer, set model.decoder.coupling to input_feeding or none",
        )
        check(
            self.coupling not in ("bottom_up", "conditional") or self.attention != "none",
            "model.decoder.attention none gives upper layers no context; set model.decoder.coupling to none or "
            "input_feeding",
        )
        check(
            self.coupling != "conditional" or self.layers == 2,
            f"model.decoder.coupling conditional has 2 model.decoder.layers, not {self.layers}: what queries, and what "
            "reads the context",
        )
        check(
            self.coupling != "conditional" or not self.residual,
            "model.decoder.coupling conditional goes without model.decoder.residual: its second layer reads the "
            "context alone",
        )
        check(
            self.coupling != "conditional" or self.cell != "qrnn",
            "model.decoder.coupling conditional goes on from a state within a step, which model.decoder.cell qrnn does "
            "not read",
        )
        check(
            self.bridge != "first_input" or self.coupling == "none",
            "model.decoder.bridge first_input reads before anything is attended to; set model.decoder.coupling to none",
        )

    @property
    def states(self) -> int:
        """How many layers keep a state from step to step."""
        return 1 if self.coupling == "conditional" else self.layers

    def attention_sizes(self, memory_size: int) -> tuple[AttentionKind, int, int, int]:
        """What `build_attention` takes besides a normaliser."""
        return self.attention, self.hidden_size, memory_size, self.heads


def check_bridge(encoder: EncoderConfig, decoder: DecoderConfig) -> None:
    """Raises UserError where the decoder is to take over an encoder's layers, and they are others than its own."""
    if decoder.bridge == "layer_by_layer":
        widths = [layer.output_size for layer in encoder.stack()]
        together = " (the one state of coupling conditional)" if decoder.coupling == "conditional" else ""
        check(
            widths == [decoder.hidden_size] * decoder.states,
            f"model.decoder.bridge layer_by_layer needs encoder layers like the decoder's {decoder.states} of "
            f"{decoder.hidden_size}{together}; the encoder's states are {', '.join(map(str, widths[:9]))} wide",
        )
        check(
            decoder.cell != "qrnn" or (encoder.cell in ("qrnn", "gru", "rnn", "rhn") and encoder.merge != "sum"),
            "model.decoder.cell qrnn takes over states within [-1, 1] alone (model.decoder.bridge layer_by_layer): it "
            "needs a model.encoder.cell of qrnn, gru, rnn or rhn, and a model.encoder.merge other than sum",
        )


class RecurrentDecoder(nn.Module):
    """Embedding, stacked recurrent layers, attention, readout and output layer.

    The attentional vector is h~ = tanh(W [h; context]) (Luong et al. 2015, eq. 5), or with deep output tanh(W [h;
    context; embedding of the last token]), as wide as the embedding, so that the output layer can share the embedding's
    weights (Press & Wolf 2017).

    A decoder that writes in another way overrides `start`, `step` and `unroll`, and `log_probs` and `loss` where its
    distribution is not the output layer's softmax.
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        memory_size: int,
        config: DecoderConfig,
        dropout: float | DropoutRates,
        tied: bool,
        beside_size: int = 0,
    ) -> None:
        """beside_size: width of a second memory's states; 0: there is none."""
        super().__init__()
        width, size = embedding.embedding_dim, config.hidden_size
        self.coupling: Coupling = config.coupling
        self.embedding = embedding
        first = width + (width if config.coupling == "input_feeding" else 0)
        below = 0 if config.coupling == "conditional" else size
        later = below + (memory_size + beside_size if config.coupling in ("bottom_up", "conditional") else 0)
        rates = DropoutRates.of(dropout)
        self.layers = nn.ModuleList(
            build_recurrent(config.cell, first if layer == 0 else later, size, rates.weights, zoneout=rates.zoneout)
            for layer in range(config.layers)
        )
        self.states = config.states
        self.residual = config.residual
        self.attention = build_attention(*config.attention_sizes(memory_size), config.attention_normalizer)
        if beside_size:
            beside = build_attention(*config.attention_sizes(beside_size), config.attention_normalizer)
            self.attention = TwoAttentions(self.attention, beside)
        check_normalizers(config.output_normalizer)
        self.output_normalizer: Normalizer = config.output_normalizer
        self.bridge_hidden = self.bridge_cell = None
        self.first_input = nn.Linear(memory_size, width) if config.bridge == "first_input" else None
        if config.bridge == "projected":
            self.bridge_hidden = nn.Linear(memory_size, config.states * size)
            layer = self.recurrent_layers()[0]
            apart = layer.has_cell and layer.reads_hidden
            self.bridge_cell = nn.Linear(memory_size, config.states * size) if apart else None
        self.deep_output = config.deep_output
        read = size + self.attention.context_size + (width if config.deep_output else 0)
        self.readout = nn.Linear(read, width)
        self.output = nn.Linear(width, embedding.num_embeddings)
        if tied:
            self.output.weight = embedding.weight
        self.embedding_dropout = SequenceDropout(rates.embedding)
        self.state_dropout = SequenceDropout(rates.states)
        self.output_dropout = SequenceDropout(rates.output)
        self.token_dropout = TokenDropout(rates.target_tokens, rates.dropped_tokens)

    def recurrent_layers(self) -> list[RecurrentLayer]:
        """The layers, bottom first."""
        return list(self.layers)  # type: ignore[arg-type]  # a ModuleList gives plain modules

    def start(self, memory: Memory, _source: Tensor | None = None) -> DecoderState:
        """State before the first token, one hypothesis per sentence; h and c come from the encoder's through the
        bridge. source [B, S, ...]: what the memory was made from, for decoders that copy."""
        shape = (memory.states.shape[0], self.states, -1)
        if self.first_input is not None:
            hidden, cell = self._after(self.first_input(memory.final_hidden))
        elif self.bridge_hidden is None:
            hidden, cell = memory.final_hidden.view(shape), memory.final_cell.view(shape)
        else:
            hidden = torch.tanh(self.bridge_hidden(memory.final_hidden)).view(shape)
            cell = hidden if self.bridge_cell is None else self.bridge_cell(memory.final_cell).view(shape)
        feed = hidden.new_zeros(hidden.shape[0], self.readout.out_features)
        return DecoderState(hidden, cell, feed, self.attention.start(memory))

    def _after(self, summary: Tensor) -> tuple[Tensor, Tensor]:
        """h and c [B, L, H] after one step from zeros that reads the input's summary [B, E] in place of a token."""
        hiddens, cells = [], []
        below = summary
        for number, layer in enumerate(self.recurrent_layers()):
            zeros = summary.new_zeros(summary.shape[0], layer.hidden_size)
            hidden, cell = layer.step(below, zeros, zeros)
            hiddens.append(hidden)
            cells.append(cell)
            below = self._stacked(number, hidden, below)
        return torch.stack(hiddens, 1), torch.stack(cells, 1)

    def step(self, token: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """A StepFn, without dropout: token [N] int64 -> log-probabilities of the next token [N, V], fp32 at least, and
        the state after it."""
        features, _, state = self.advance(token, state)
        return self.normalised(self.logits(features)), state

    def advance(self, token: Tensor, state: DecoderState) -> tuple[Tensor, Tensor, DecoderState]:
        """A step up to the output layer: token [N] int64 -> what it reads [N, E], attention [N, S], the next state."""
        embedded = self.embedding(token)
        inputs = torch.cat((embedded, state.feed), -1) if self.coupling == "input_feeding" else embedded
        hidden, cell = (list(field.unbind(1)) for field in (state.hidden, state.cell))
        looked, below = None, inputs
        for number, layer in enumerate(self.recurrent_layers()):
            own = min(number, self.states - 1)
            hidden[own], cell[own] = layer.step(inputs, hidden[own], cell[own])
            below = self._stacked(number, hidden[own], below)
            inputs = below
            if self.coupling in ("bottom_up", "conditional"):
                looked = looked or self.attention(below, state.attention)
                inputs = looked[0] if self.coupling == "conditional" else torch.cat((below, looked[0]), -1)
        context, weights, attention = looked or self.attention(below, state.attention)
        features = self._read_out(below, context, embedded)
        return features, weights, DecoderState(torch.stack(hidden, 1), torch.stack(cell, 1), features, attention)

    def unroll(self, tokens: Tensor, memory: Memory, source: Tensor | None = None) -> Output:
        """Teacher forcing: tokens [B, T], bos first -> what `loss` and `log_probs` take. source: as `start` has it."""
        return Output(*self.unroll_from(self.start(memory, source), tokens), memory, source)

    def unroll_from(self, state: DecoderState, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """tokens [B, T] -> what the output layer reads [B, T, E], attention [B, T, S]."""
        dropouts = self._dropouts(tokens.shape[0])
        embedded = self.token_dropout(tokens, self.embedding) * dropouts.embedding
        if self.coupling == "input_feeding":
            return self._unroll_feeding(embedded, state, dropouts)
        if self.coupling == "conditional":
            return self._unroll_conditional(embedded, state, dropouts)
        hidden = self._run_layer(0, embedded, state) * dropouts.layers
        if self.coupling == "bottom_up":
            context, weights = self.attention.unroll(hidden, state.attention)
            for layer in range(1, len(self.layers)):
                states = self._run_layer(layer, torch.cat((hidden, context), -1), state)
                hidden = self._stacked(layer, states * dropouts.layers, hidden)
        else:
            for layer in range(1, len(self.layers)):
                hidden = self._stacked(layer, self._run_layer(layer, hidden, state) * dropouts.layers, hidden)
            context, weights = self.attention.unroll(hidden, state.attention)
        return self._read_out(hidden, context, embedded) * dropouts.readout, weights

    def log_probs(self, output: Output) -> Tensor:
        """Log-probabilities of every token at every step, [B, T, V], fp32 at least."""
        return self.normalised(self.logits(output.features))

    def normalised(self, logits: Tensor) -> Tensor:
        """logits [..., V] -> log-probabilities [..., V], fp32 at least; those of a sparse map may be -inf."""
        return log_probabilities(at_least_fp32(logits), self.output_normalizer, EOS_ID)

    def logits(self, features: Tensor) -> Tensor:
        """The output layer: [..., E] -> [..., V]."""
        return self.output(features)

    def output_weights(self) -> tuple[Tensor, Tensor]:
        """Its weights [V, E] and biases [V]."""
        return self.output.weight, self.output.bias

    def loss(self, output: Output, targets: Tensor, label_smoothing: float = 0.0) -> LossSum:
        """Cross-entropy of targets [B, T] int64, eos last and PAD_ID after it, summed over the real tokens."""
        real = targets != PAD_ID
        rows, flat = output.features.flatten(0, 1), targets.flatten()
        if not rows.is_cuda:  # where the host would have to wait for the number of real rows
            chosen = real_rows_first(real)
            rows, flat = rows[chosen], flat[chosen]
        weight, bias = self.output_weights()
        if self.output_normalizer != "softmax":

            def chunk_loss(features: Tensor, labels: Tensor) -> Tensor:
                logits = at_least_fp32(functional.linear(features, weight, bias))
                losses = sparse_loss(logits, labels, self.output_normalizer, label_smoothing)
                return (losses * (labels != PAD_ID)).sum()

            return LossSum(loss_in_chunks(chunk_loss, [rows, flat], [weight, bias]), real.sum())
        return LossSum(cross_entropy(rows, weight, bias, flat, label_smoothing, ignored=PAD_ID), real.sum())

    def consistent_loss(self, output: Output, targets: Tensor, share: float, label_smoothing: float = 0.0) -> LossSum:
        """Half of `loss` of two draws of dropout, the one's rows before the other's in `output` [2 B, ...], and `share`
        times KL(P || Q) + KL(Q || P) of their distributions; targets [B, T] are both's."""
        real = targets != PAD_ID
        rows, flat = output.features.unflatten(0, (2, -1)).flatten(1, 2), targets.flatten()
        if not rows.is_cuda:
            chosen = real_rows_first(real)
            rows, flat = rows[:, chosen], flat[chosen]
        loss = consistent_cross_entropy(rows, *self.output_weights(), flat, share, label_smoothing, ignored=PAD_ID)
        return LossSum(loss, real.sum())

    def _unroll_feeding(self, embedded: Tensor, state: DecoderState, dropouts: Dropouts) -> tuple[Tensor, Tensor]:
        """The loop over time that input feeding needs, as each step's input holds the readout of the one before:
        embedded [B, T, E] -> features [B, T, E], weights [B, T, S]."""
        layers_mask, readout_mask = (mask[:, 0] if mask.dim() else mask for mask in dropouts[1:])
        products, readout = self._loop_products(embedded), self._readout_product(embedded)
        attend_next = self.attention.loop(state.attention, embedded.shape[1])
        layers = self.recurrent_layers()
        hidden, cell = (list(field.unbind(1)) for field in (state.hidden, state.cell))
        feed = state.feed
        features, weights = [], []
        for _ in range(embedded.shape[1]):
            below = feed
            for number, product in enumerate(products):
                reads_hidden = layers[number].reads_hidden
                gates = product(torch.cat((below, hidden[number]), -1) if reads_hidden else below)
                hidden[number], cell[number] = layers[number].advance(gates, hidden[number], cell[number])
                below = self._stacked(number, hidden[number] * layers_mask, below)
            context, looked = attend_next(below)
            feed = torch.tanh(readout(torch.cat((below, context), -1))) * readout_mask
            features.append(feed)
            weights.append(looked)
        return torch.stack(features, 1), torch.stack(weights, 1)

    def _unroll_conditional(self, embedded: Tensor, state: DecoderState, dropouts: Dropouts) -> tuple[Tensor, Tensor]:
        """The conditional cell's loop over time: as `_unroll_feeding` has it."""
        layers_mask = dropouts.layers[:, 0] if dropouts.layers.dim() else dropouts.layers
        query, reading = self.recurrent_layers()
        query_gates, reading_gates = self._loop_products(embedded)
        attend_next = self.attention.loop(state.attention, embedded.shape[1])
        hidden, cell = state.hidden[:, 0], state.cell[:, 0]
        hiddens, contexts, weights = [], [], []
        for _ in range(embedded.shape[1]):
            hidden, cell = query.advance(query_gates(hidden), hidden, cell)
            context, looked = attend_next(hidden * layers_mask)
            hidden, cell = reading.advance(reading_gates(torch.cat((context, hidden), -1)), hidden, cell)
            hiddens.append(hidden)
            contexts.append(context)
            weights.append(looked)
        states, context = torch.stack(hiddens, 1) * dropouts.layers, torch.stack(contexts, 1)
        return self._read_out(states, context, embedded) * dropouts.readout, torch.stack(weights, 1)

    def _loop_products(self, embedded: Tensor) -> list[LoopProduct]:
        """embedded [B, T, E] -> each layer's weights for [what it reads besides, its own hidden state], of a cell that
        does not read h for the former alone. The bottom layer's products with the embeddings are known before the loop.
        """
        rows, steps, width = embedded.shape
        products = []
        for number, layer in enumerate(self.recurrent_layers()):
            by_input, by_hidden, bias = layer.joint_weights()
            by_hidden = dropped(by_hidden, layer)
            addends = bias.expand(steps, rows, -1)
            if number == 0:
                addends = addends + embedded.transpose(0, 1) @ by_input[:, :width].t()
                by_input = by_input[:, width:]
            read = torch.cat((by_input, by_hidden), 1) if layer.reads_hidden else by_input
            products.append(LoopProduct(read.t(), addends))
        return products

    def _readout_product(self, embedded: Tensor) -> LoopProduct:
        """The readout's, for [h, context]: with deep output the products with the embeddings [B, T, E] are known."""
        rows, steps, width = embedded.shape
        by_state, addends = self.readout.weight, self.readout.bias.expand(steps, rows, -1)
        if self.deep_output:
            addends = addends + embedded.transpose(0, 1) @ by_state[:, -width:].t()
            by_state = by_state[:, :-width]
        return LoopProduct(by_state.t(), addends)

    def _stacked(self, number: int, states: Tensor, below: Tensor) -> Tensor:
        """What the layer above reads, of a layer's states [..., H] and what it read itself of the layer below."""
        return states + below if self.residual and number > 0 else states

    def _run_layer(self, number: int, inputs: Tensor, state: DecoderState) -> Tensor:
        """All time steps of one layer: [B, T, I] -> [B, T, H]."""
        return self.recurrent_layers()[number].run(inputs, (state.hidden[:, number], state.cell[:, number]))

    def _read_out(self, hidden: Tensor, context: Tensor, embedded: Tensor) -> Tensor:
        """h~ of Luong et al. 2015, eq. 5: [..., H], [..., H'], the last token's embedding [..., E] -> [..., E]."""
        parts = (hidden, context, embedded) if self.deep_output else (hidden, context)
        return torch.tanh(self.readout(torch.cat(parts, -1)))

    def _dropouts(self, rows: int) -> Dropouts:
        """Fresh masks for a batch of sequences; scalar ones when not training, which cost nothing to multiply by."""
        weight = self.readout.weight
        width, size = self.embedding.embedding_dim, self.recurrent_layers()[0].hidden_size
        states = product_type(weight)  # a mask in fp32 would turn states of bf16 into fp32

        def drawn(dropout: SequenceDropout, units: int, dtype: torch.dtype) -> Tensor:
            if not self.training or dropout.probability == 0.0:
                return weight.new_ones(())
            return dropout.mask(weight.new_empty(rows, 1, units, dtype=dtype))

        return Dropouts(
            drawn(self.embedding_dropout, width, weight.dtype),
            drawn(self.state_dropout, size, states),
            drawn(self.output_dropout, width, states),
        )


def real_rows_first(real: Tensor) -> Tensor:
    """real [B, T] bool -> places in B * T: the real ones, then padding up to a multiple of 32, where there is as much.

    So that few sizes of products occur, for each of which oneDNN prepares kernels.
    """
    count = -(-int(real.sum()) // ROW_STEP) * ROW_STEP
    return (~real).flatten().int().argsort(stable=True)[:count]
