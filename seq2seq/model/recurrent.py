"""One-directional recurrent layers over padded sequences: LSTM, GRU, plain RNN, and the LSTM with peepholes.

All share one signature, (inputs [B, S, I], lengths [B]) -> states [B, S, H] (of no meaning on padding), the last real
step's h [B, H] and c [B, H]. A cell without a c gives its h twice. `step` does one step: (inputs [B, I], h [B, H],
c [B, H]) -> h, c.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from seq2seq.model.memory import length_mask
from seq2seq.runtime.device import product_type

Cell = Literal["lstm", "gru", "rnn", "peephole"]
Output = tuple[Tensor, Tensor, Tensor]
State = tuple[Tensor, Tensor]

SATURATED = 1e4
"""A gate pre-activation that saturates a sigmoid to exactly 0 or 1 in every float type, fp16 included."""


def build_recurrent(cell: Cell, input_size: int, hidden_size: int) -> nn.Module:
    """The layer of that cell."""
    match cell:
        case "lstm":
            return LSTMLayer(input_size, hidden_size, batch_first=True)
        case "gru":
            return GRULayer(input_size, hidden_size, batch_first=True)
        case "rnn":
            return RNNLayer(input_size, hidden_size, batch_first=True)
        case "peephole":
            return PeepholeLSTM(input_size, hidden_size)


def last_step(sequence: Tensor, lengths: Tensor) -> Tensor:
    """[B, S, H] -> [B, H]: each row's last real step (its first where the length is 0)."""
    return sequence[torch.arange(sequence.shape[0], device=sequence.device), (lengths - 1).clamp(min=0)]


def lstm_weights(layer: nn.RNNBase) -> list[Tensor]:
    """Input weights [4H, I], recurrent weights [4H, H] and the two biases [4H] of a one-layer LSTM (GRU: 3H)."""
    return [getattr(layer, name) for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")]


def from_cudnn(states: Tensor, weight: Tensor) -> Tensor:
    """A layer's output in the type of products with its weight.

    Autocast runs cuDNN's layers in fp16 even where it is told bf16 (torch's AutocastRNN.cpp), and then refuses to join
    tensors of fp16 (`prioritize` in its autocast_mode.h).
    """
    return states.to(product_type(weight)) if states.dtype == torch.float16 else states


def to_cudnn(inputs: Tensor) -> Tensor:
    """A layer's input as cuDNN takes it under autocast, which is fp16 in any case: torch chooses the layer's code
    beforehand, by the input's type, and many builds' cuDNN takes no bf16 (`supportsBFloat16RNNWithCuDNN`)."""
    autocast = inputs.is_cuda and torch.is_autocast_enabled("cuda")
    return inputs.half() if autocast and inputs.dtype == torch.bfloat16 else inputs


def run_lstm(lstm: nn.LSTM, inputs: Tensor, start: State) -> Tensor:
    """All steps of a one-layer nn.LSTM from a given h and c [1, B, H]: [B, S, I] -> [B, S, H]."""
    output, _ = lstm(to_cudnn(inputs), start)
    return from_cudnn(output, lstm_weights(lstm)[0])


class LSTMLayer(nn.LSTM):
    """One LSTM layer (Hochreiter & Schmidhuber 1997) whose cell state stands still on padding."""

    def forward(self, inputs: Tensor, lengths: Tensor) -> Output:  # type: ignore[override]
        """See the module's text."""
        output, cell = freezing_lstm(self, inputs, ~length_mask(lengths, inputs.shape[1]))
        return output, last_step(output, lengths), cell

    def step(self, inputs: Tensor, hidden: Tensor, cell: Tensor) -> State:
        """See the module's text."""
        return torch.lstm_cell(inputs, (hidden, cell), *lstm_weights(self))


def freezing_lstm(lstm: nn.LSTM, inputs: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
    """Runs a one-layer LSTM whose cell state stands still on padding steps, so that the last c is that of the last real
    step.

    inputs [B, S, I], padding [B, S] bool (True = padding) -> hidden states [B, S, H] (of no meaning on padding), last
    c [B, H].

    A flag "this step is padding" joins the input with fixed weights that close the input gate and open the forget
    gate. One LSTM call then does what packing does, by the fast kernel.
    """
    hidden_size = lstm.hidden_size
    zeros = inputs.new_zeros(1, inputs.shape[0], hidden_size)
    input_weights, *others = lstm_weights(lstm)
    width = 8 - inputs.shape[-1] % 8 if inputs.is_cuda else 1  # there products like widths that are multiples of 8
    columns = input_weights.new_zeros(4 * hidden_size, width)  # gates lie in the order input, forget, cell, output
    columns[:hidden_size, 0] = -SATURATED
    columns[hidden_size : 2 * hidden_size, 0] = SATURATED
    weights = [torch.cat((input_weights, columns), 1), *others]
    flags = nn.functional.pad(padding[..., None].to(inputs.dtype), (0, width - 1))
    flagged = torch.cat((inputs, flags), -1)
    output, _, cell = torch.lstm(to_cudnn(flagged), (zeros, zeros), weights, True, 1, 0.0, lstm.training, False, True)
    return from_cudnn(output, input_weights), from_cudnn(cell[0], input_weights)


def _without_cell(layer: nn.RNNBase, states: Tensor, lengths: Tensor) -> Output:
    states = from_cudnn(states, lstm_weights(layer)[0])
    hidden = last_step(states, lengths)
    return states, hidden, hidden


class GRULayer(nn.GRU):
    """One GRU layer (Cho et al. 2014)."""

    def forward(self, inputs: Tensor, lengths: Tensor) -> Output:  # type: ignore[override]
        """See the module's text."""
        return _without_cell(self, super().forward(to_cudnn(inputs))[0], lengths)

    def step(self, inputs: Tensor, hidden: Tensor, _cell: Tensor) -> State:
        """See the module's text."""
        hidden = torch.gru_cell(inputs, hidden, *lstm_weights(self))
        return hidden, hidden


class RNNLayer(nn.RNN):
    """One layer of the plain recurrent network (Elman 1990), h = tanh(W x + U h + b)."""

    def forward(self, inputs: Tensor, lengths: Tensor) -> Output:  # type: ignore[override]
        """See the module's text."""
        return _without_cell(self, super().forward(to_cudnn(inputs))[0], lengths)

    def step(self, inputs: Tensor, hidden: Tensor, _cell: Tensor) -> State:
        """See the module's text."""
        hidden = torch.rnn_tanh_cell(inputs, hidden, *lstm_weights(self))
        return hidden, hidden


class PeepholeLSTM(nn.Module):
    """LSTM whose gates see the cell (Gers & Schmidhuber 2000; Graves et al. 2013, eq. 3-7): the LSTM of the speech and
    handwriting literature.

    i = s(W x + U h + p_i * c_before), f = s(... + p_f * c_before), c = f * c_before + i * tanh(...),
    o = s(... + p_o * c). Gates lie in the order input, forget, cell, output, as in torch.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(hidden_size)
        self.hidden_size = hidden_size
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size).uniform_(-bound, bound))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, hidden_size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(4 * hidden_size))
        self.peepholes = nn.Parameter(torch.zeros(3, hidden_size))
        """[3, H] p_i, p_f, p_o"""

    def forward(self, inputs: Tensor, lengths: Tensor) -> Output:
        """See the module's text."""
        projected = nn.functional.linear(inputs, self.weight_ih, self.bias)
        real = length_mask(lengths, inputs.shape[1])[..., None]
        hidden = cell = inputs.new_zeros(inputs.shape[0], self.hidden_size)
        states = []
        for step in range(inputs.shape[1]):
            new_hidden, new_cell = self._advance(projected[:, step], hidden, cell)
            hidden = torch.where(real[:, step], new_hidden, hidden)
            cell = torch.where(real[:, step], new_cell, cell)
            states.append(hidden)
        return torch.stack(states, 1), hidden, cell

    def step(self, inputs: Tensor, hidden: Tensor, cell: Tensor) -> State:
        """See the module's text."""
        return self._advance(nn.functional.linear(inputs, self.weight_ih, self.bias), hidden, cell)

    def _advance(self, projected: Tensor, hidden: Tensor, cell: Tensor) -> State:
        """projected input [B, 4H], h [B, H], c [B, H] -> h, c."""
        ingoing, forget, candidate, outgoing = (projected + hidden @ self.weight_hh.t()).chunk(4, -1)
        peep_in, peep_forget, peep_out = self.peepholes
        new_cell = torch.sigmoid(forget + peep_forget * cell) * cell
        new_cell = new_cell + torch.sigmoid(ingoing + peep_in * cell) * torch.tanh(candidate)
        return torch.sigmoid(outgoing + peep_out * new_cell) * torch.tanh(new_cell), new_cell


class SequenceDropout(nn.Module):
    """Dropout with one mask per sequence, shared by its time steps (variational dropout, Gal & Ghahramani 2016).

    It regularises recurrent nets better than a mask per step and draws T times fewer random numbers.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, T, H] -> [B, T, H]."""
        if not self.training or self.probability == 0.0:
            return inputs
        return inputs * self.mask(inputs)

    def mask(self, like: Tensor) -> Tensor:
        """A fresh scaled mask [B, 1, H] for sequences of like's batch size and width; ones when not training."""
        ones = torch.ones(like.shape[0], 1, like.shape[-1], dtype=like.dtype, device=like.device)
        return nn.functional.dropout(ones, self.probability, self.training)
