"""One-directional recurrent layers: LSTM, GRU, plain RNN, LSTMs with peepholes or layer normalisation, and highway
networks, for encoders and decoders alike.

A cell is one matrix product of its input and its last hidden state, the gates, and a function of them, elementwise in
most. Every layer here answers to the same five calls:

- `layer(inputs [B, S, I], lengths [B])` -> states [B, S, H] (undefined on padding), h [B, H] and c [B, H] of the last
  real step: how encoders read padded sequences;
- `run(inputs [B, T, I], start)` -> states [B, T, H], from a given (h, c): how decoders are trained;
- `step(inputs [N, I], h [N, H], c [N, H])` -> h, c: one step of search;
- `joint_weights()` and `advance(gates, h, c)`: product and the rest apart, for loops that prepare the product
  (training with input feeding, prepared search, int8).

A cell without a c of its own (GRU, RNN, highway) gives its h twice; `has_cell` says which it is, `reads_hidden` whether
the gates read h at all. A new cell is a subclass of `LoopedLayer`, or a layer like `QRNNLayer`, and a line in
`build_recurrent`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from seq2seq.model.loop_autograd import lstm_elementwise
from seq2seq.model.memory import length_mask
from seq2seq.runtime.device import product_type

Cell = Literal["lstm", "gru", "rnn", "peephole", "layer_norm_lstm", "rhn", "qrnn"]
Output = tuple[Tensor, Tensor, Tensor]
State = tuple[Tensor, Tensor]
"""h and c."""

SATURATED = 1e4
"""A gate pre-activation that saturates a sigmoid to exactly 0 or 1 in every float type, fp16 included."""


class JointWeights(NamedTuple):
    """A cell's gates are inputs @ by_input^T + h @ by_hidden^T + bias, [N, G]; G is 4H in most."""

    by_input: Tensor
    """[G, I]"""
    by_hidden: Tensor
    """[G, H]"""
    bias: Tensor
    """[G]"""


class RecurrentLayer(Protocol):
    """What encoders, decoders and search need of a layer; the docstring of this file describes each call."""

    has_cell: ClassVar[bool]
    reads_hidden: ClassVar[bool]
    """Whether gates read h; if not, `joint_weights` gives zeros for it."""
    hidden_size: int
    weight_dropout: float
    """Probability in training of dropping a recurrent weight (see `dropped`)."""
    training: bool

    def __call__(self, inputs: Tensor, lengths: Tensor) -> Output:
        """inputs [B, S, I], lengths [B] -> states [B, S, H], last real h [B, H], c [B, H]."""

    def run(self, inputs: Tensor, start: State) -> Tensor:
        """inputs [B, T, I], start h and c [B, H] -> states [B, T, H]."""

    def step(self, inputs: Tensor, hidden: Tensor, cell: Tensor) -> State:
        """inputs [N, I], hidden [N, H], cell [N, H] -> the next h and c."""

    def joint_weights(self) -> JointWeights:
        """The weights that make the gates."""

    def advance(self, gates: Tensor, hidden: Tensor, cell: Tensor) -> State:
        """gates [N, G], hidden [N, H], cell [N, H] -> the next h and c."""


def dropped(by_hidden: Tensor, layer: Any) -> Tensor:
    """Recurrent weights [G, H] of a `RecurrentLayer`; in training some of them are 0, the same ones at all steps of all
    rows, and the others are scaled up (the weight-dropped LSTM of Merity et al. 2018, section 2)."""
    return nn.functional.dropout(by_hidden, layer.weight_dropout, layer.training) if layer.weight_dropout else by_hidden


def training_weights(layer: LSTMLayer | WithoutCell) -> list[Tensor]:
    """`lstm_weights`, of which recurrent ones are dropped."""
    by_input, by_hidden, *biases = lstm_weights(layer)
    return [by_input, dropped(by_hidden, layer), *biases]


def last_step(sequence: Tensor, lengths: Tensor) -> Tensor:
    """[B, S, H] -> [B, H]: each row's last real step (its first where the length is 0)."""
    return sequence[torch.arange(sequence.shape[0], device=sequence.device), (lengths - 1).clamp(min=0)]


def lstm_weights(layer: nn.RNNBase) -> list[Tensor]:
    """Input weights [G, I], recurrent weights [G, H] and the two biases [G] of a one-layer torch module; G is 4H in an
    LSTM, 3H in a GRU, H in an RNN."""
    return [getattr(layer, name) for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")]


def from_cudnn(states: Tensor, weight: Tensor) -> Tensor:
    """A layer's output in the type of products with its weight.

    Autocast runs cuDNN's layers in fp16 even where bf16 is set (torch's AutocastRNN.cpp), and then refuses to join
    tensors of fp16 (`prioritize` in its autocast_mode.h).
    """
    return states.to(product_type(weight)) if states.dtype == torch.float16 else states


def to_cudnn(inputs: Tensor) -> Tensor:
    """A layer's input as cuDNN takes it under autocast, which is fp16 in any case: torch chooses the layer's code
    beforehand, by the input's type, and many builds' cuDNN takes no bf16 (`supportsBFloat16RNNWithCuDNN`)."""
    autocast = inputs.is_cuda and torch.is_autocast_enabled("cuda")
    return inputs.half() if autocast and inputs.dtype == torch.bfloat16 else inputs


def _initial(state: Tensor, inputs: Tensor) -> Tensor:
    """h or c [B, H] as torch's layers take it: [1, B, H] of the inputs' type."""
    return state.unsqueeze(0).to(inputs.dtype).contiguous()


class LSTMLayer(nn.LSTM):
    """One LSTM layer (Hochreiter & Schmidhuber 1997) whose cell state stands still on padding."""

    has_cell: ClassVar[bool] = True
    reads_hidden: ClassVar[bool] = True
    weight_dropout = 0.0

    def forward(self, inputs: Tensor, lengths: Tensor) -> Output:  # type: ignore[override]
        """inputs [B, S, I], lengths [B] -> states [B, S, H], last real h [B, H], c [B, H]."""
        output, cell = freezing_lstm(self, inputs, ~length_mask(lengths, inputs.shape[1]))
        return output, last_step(output, lengths), cell

    def run(self, inputs: Tensor, start: State) -> Tensor:
        """inputs [B, T, I], start h and c [B, H] -> states [B, T, H]."""
        hidden, cell = (_initial(each, inputs) for each in start)
        if self.training and self.weight_dropout:
            weights = training_weights(self)
            states, *_ = torch.lstm(to_cudnn(inputs), (hidden, cell), weights, True, 1, 0.0, True, False, True)
        else:
            states, _ = super().forward(to_cudnn(inputs), (hidden, cell))
        return from_cudnn(states, lstm_weights(self)[0])

    def step(self, inputs: Tensor, hidden: Tensor, cell: Tensor) -> State:
        """inputs [N, I], hidden [N, H], cell [N, H] -> the next h and c."""
        return torch.lstm_cell(inputs, (hidden, cell), *lstm_weights(self))

    def joint_weights(self) -> JointWeights:
        """Rows in torch's order: input, forget, cell and output gate."""
        by_input, by_hidden, input_bias, recurrent_bias = lstm_weights(self)
        return JointWeights(by_input, by_hidden, input_bias + recurrent_bias)

    def advance(self, gates: Tensor, _hidden: Tensor, cell: Tensor) -> State:
        """gates [N, 4H], cell [N, H] -> the next h and c."""
        return lstm_elementwise(gates, cell)


def freezing_lstm(lstm: LSTMLayer, inputs: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
    """Runs a one-layer LSTM whose cell state stands still on padding steps, so that the last c is that of the last real
    step.

    inputs [B, S, I], padding [B, S] bool (True = padding) -> hidden states [B, S, H] (undefined on padding), last
    c [B, H].

    A flag "this step is padding" joins the input with fixed weights that close the input gate and open the forget
    gate. One LSTM call then does what packing does, by the fast kernel.
    """
    hidden_size = lstm.hidden_size
    zeros = inputs.new_zeros(1, inputs.shape[0], hidden_size)
    input_weights, *others = training_weights(lstm)
    width = 8 - inputs.shape[-1] % 8 if inputs.is_cuda else 1  # there products like widths that are multiples of 8
    columns = input_weights.new_zeros(4 * hidden_size, width)  # gates lie in the order input, forget, cell, output
    columns[:hidden_size, 0] = -SATURATED
    columns[hidden_size : 2 * hidden_size, 0] = SATURATED
    weights = [torch.cat((input_weights, columns), 1), *others]
    flags = nn.functional.pad(padding[..., None].to(inputs.dtype), (0, width - 1))
    flagged = torch.cat((inputs, flags), -1)
    output, _, cell = torch.lstm(to_cudnn(flagged), (zeros, zeros), weights, True, 1, 0.0, lstm.training, False, True)
    return from_cudnn(output, input_weights), from_cudnn(cell[0], input_weights)


class ProjectedLSTM(nn.LSTM):
    """One LSTM layer whose h is projected to P numbers before it is handed on and fed back (Sak et al. 2014, section
    2.2, without peepholes): the width of h, and with it the number of weights, is chosen apart from the H cells."""

    has_cell: ClassVar[bool] = True
    reads_hidden: ClassVar[bool] = True

    def forward(self, inputs: Tensor, lengths: Tensor) -> Output:  # type: ignore[override]
        """inputs [B, S, I], lengths [B] -> states [B, S, P], last real h [B, P], the same again: c is wider, and what
        starts from an encoder takes two of the same width."""
        states = from_cudnn(super().forward(to_cudnn(inputs))[0], lstm_weights(self)[0])
        hidden = last_step(states, lengths)
        return states, hidden, hidden

    def run(self, inputs: Tensor, start: State) -> Tensor:
        """inputs [B, T, I], start h [B, P] and c [B, H] -> states [B, T, P]."""
        hidden, cell = start
        states, _ = super().forward(to_cudnn(inputs), (_initial(hidden, inputs), _initial(cell, inputs)))
        return from_cudnn(states, lstm_weights(self)[0])

    def step(self, inputs: Tensor, hidden: Tensor, cell: Tensor) -> State:
        """inputs [N, I], hidden [N, P], cell [N, H] -> the next h and c."""
        by_input, by_hidden, bias = self.joint_weights()
        gates = nn.functional.linear(inputs, by_input, bias) + hidden @ by_hidden.t()
        return self.advance(gates, hidden, cell)

    def joint_weights(self) -> JointWeights:
        """Rows in torch's order: input, forget, cell and output gate; by_hidden is [4H, P]."""
        by_input, by_hidden, input_bias, recurrent_bias = lstm_weights(self)
        return JointWeights(by_input, by_hidden, input_bias + recurrent_bias)

    def advance(self, gates: Tensor, _hidden: Tensor, cell: Tensor) -> State:
        """gates [N, 4H], cell [N, H] -> the next h [N, P] and c."""
        wide, cell = lstm_elementwise(gates, cell)
        return wide @ self.get_parameter("weight_hr_l0").t(), cell


class WithoutCell(nn.RNNBase):
    """What layers without a memory cell have in common, one of torch's following as a further base class: h serves as
    their c."""

    has_cell: ClassVar[bool] = False
    reads_hidden: ClassVar[bool] = True
    weight_dropout = 0.0
    kernel: ClassVar[Callable[..., tuple[Tensor, ...]]]
    """torch's function of all steps."""

    def forward(self, inputs: Tensor, lengths: Tensor) -> Output:
        """inputs [B, S, I], lengths [B] -> states [B, S, H], last real h [B, H], the same again."""
        states = self._states(inputs, inputs.new_zeros(1, inputs.shape[0], self.hidden_size))
        hidden = last_step(states, lengths)
        return states, hidden, hidden

    def run(self, inputs: Tensor, start: State) -> Tensor:
        """inputs [B, T, I], start h [B, H] (twice) -> states [B, T, H]."""
        return self._states(inputs, _initial(start[0], inputs))

    def _states(self, inputs: Tensor, start: Tensor) -> Tensor:
        """inputs [B, S, I], start [1, B, H] -> states [B, S, H]."""
        if self.training and self.weight_dropout:
            weights = training_weights(self)
            states, *_ = self.kernel(to_cudnn(inputs), start, weights, True, 1, 0.0, True, False, True)
        else:
            states, _ = super().forward(to_cudnn(inputs), start)
        return from_cudnn(states, lstm_weights(self)[0])


class GRULayer(WithoutCell, nn.GRU):  # type: ignore[misc]
    """One GRU layer (Cho et al. 2014), with the reset gate behind the product as cuDNN has it."""

    kernel = staticmethod(torch.gru)

    def step(self, inputs: Tensor, hidden: Tensor, _cell: Tensor) -> State:
        """inputs [N, I], hidden [N, H] -> the next h, twice."""
        hidden = torch.gru_cell(inputs, hidden, *lstm_weights(self))
        return hidden, hidden

    def joint_weights(self) -> JointWeights:
        """Rows: reset gate, update gate, the candidate's part by the input, its part by h. Each of the last two reads
        one side only, so the other side's weights are 0: a third more to multiply, and one product for every cell."""
        by_input, by_hidden, input_bias, recurrent_bias = lstm_weights(self)
        size = self.hidden_size
        gates = slice(2 * size)
        nothing = by_input.new_zeros(size, by_input.shape[1]), by_hidden.new_zeros(size, size)
        bias = (input_bias[gates] + recurrent_bias[gates], input_bias[2 * size :], recurrent_bias[2 * size :])
        return JointWeights(
            torch.cat((by_input, nothing[0])),
            torch.cat((by_hidden[gates], nothing[1], by_hidden[2 * size :])),
            torch.cat(bias),
        )

    def advance(self, gates: Tensor, hidden: Tensor, _cell: Tensor) -> State:
        """gates [N, 4H], hidden [N, H] -> the next h, twice."""
        reset, update, by_input, by_hidden = gates.chunk(4, -1)
        candidate = torch.tanh(by_input + reset.sigmoid() * by_hidden)
        hidden = torch.lerp(candidate, hidden.to(candidate.dtype), update.sigmoid())
        return hidden, hidden


class RNNLayer(WithoutCell, nn.RNN):  # type: ignore[misc]
    """One layer of the plain recurrent network (Elman 1990), h = tanh(W x + U h + b)."""

    kernel = staticmethod(torch.rnn_tanh)

    def step(self, inputs: Tensor, hidden: Tensor, _cell: Tensor) -> State:
        """inputs [N, I], hidden [N, H] -> the next h, twice."""
        hidden = torch.rnn_tanh_cell(inputs, hidden, *lstm_weights(self))
        return hidden, hidden

    def joint_weights(self) -> JointWeights:
        """One "gate": what tanh is taken of."""
        by_input, by_hidden, input_bias, recurrent_bias = lstm_weights(self)
        return JointWeights(by_input, by_hidden, input_bias + recurrent_bias)

    def advance(self, gates: Tensor, _hidden: Tensor, _cell: Tensor) -> State:
        """gates [N, H] -> the next h, twice."""
        hidden = torch.tanh(gates)
        return hidden, hidden
