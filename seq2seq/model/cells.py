"""The choice of a recurrent layer, and cells whose steps are a loop of our own: peepholes, layer normalisation."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from seq2seq.config import Whole, check_numbers
from seq2seq.errors import check
from seq2seq.model.memory import length_mask
from seq2seq.model.quasi_recurrent import QRNNLayer
from seq2seq.model.recurrent import (
    Cell,
    GRULayer,
    JointWeights,
    LSTMLayer,
    Output,
    ProjectedLSTM,
    RNNLayer,
    State,
    dropped,
)


def build_recurrent(
    cell: Cell, input_size: int, hidden_size: int, weight_dropout: float = 0.0, proj_size: int = 0
) -> nn.Module:
    """The layer of that cell, a `RecurrentLayer`. proj_size: see `ProjectedLSTM`; 0: no projection."""
    layer: LSTMLayer | GRULayer | RNNLayer | LoopedLayer | QRNNLayer
    check_weights_stay(cell, proj_size, weight_dropout, "")
    if proj_size:
        return ProjectedLSTM(input_size, hidden_size, proj_size=proj_size, batch_first=True)
    match cell:
        case "lstm":
            layer = LSTMLayer(input_size, hidden_size, batch_first=True)
        case "gru":
            layer = GRULayer(input_size, hidden_size, batch_first=True)
        case "rnn":
            layer = RNNLayer(input_size, hidden_size, batch_first=True)
        case "peephole":
            layer = PeepholeLSTM(input_size, hidden_size)
        case "layer_norm_lstm":
            layer = LayerNormLSTM(input_size, hidden_size)
        case "qrnn":
            layer = QRNNLayer(input_size, hidden_size)
    layer.weight_dropout = weight_dropout
    return layer


def check_projection(config: Any, section: str) -> None:
    """Raises UserError, naming the option, where a configuration with cell, hidden_size and proj_size asks for a
    projection that is none, or of another cell than an LSTM. section: as `check_numbers` has it."""
    check_numbers(config, section, proj_size=Whole(0, max(0, config.hidden_size - 1)))
    check(
        config.proj_size == 0 or config.cell == "lstm",
        f"{section}.proj_size is for {section}.cell lstm, not {config.cell}",
    )


def check_weights_stay(cell: Cell, proj_size: int, weight_dropout: float, section: str) -> None:
    """Raises UserError where recurrent weights are to be dropped of projected states, or of a cell that has none.
    section: what stands before proj_size in options, such as "model."."""
    check(
        not (cell == "qrnn" and weight_dropout),
        f"{section}cell qrnn has no recurrent weights that recurrent_dropout could drop; set it to 0",
    )
    check(
        not (proj_size and weight_dropout),
        f"{section}proj_size goes without dropout of recurrent weights (recurrent_dropout); set one of them to 0",
    )


class LoopedLayer(nn.Module):
    """A layer that torch has no kernel for: a loop over time around `advance`, which a subclass defines.

    Weights have a row per gate and unit, in the order of the gates that `advance` reads: weight_ih [G, I], weight_hh
    [G, H], bias [G].
    """

    has_cell: ClassVar[bool] = True
    reads_hidden: ClassVar[bool] = True
    weight_dropout = 0.0
    gates: ClassVar[int] = 4
    """G is so many times H."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        bound, rows = 1 / math.sqrt(hidden_size), self.gates * hidden_size
        self.hidden_size = hidden_size
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size).uniform_(-bound, bound))
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden_size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(rows))

    def advance(self, gates: Tensor, hidden: Tensor, cell: Tensor) -> State:
        """gates [N, G], hidden [N, H], cell [N, H] -> the next h and c."""
        raise NotImplementedError

    def joint_weights(self) -> JointWeights:
        """The layer's weights as they are."""
        return JointWeights(self.weight_ih, self.weight_hh, self.bias)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Output:
        """inputs [B, S, I], lengths [B] -> states [B, S, H], last real h [B, H], c [B, H]."""
        nothing = inputs.new_zeros(inputs.shape[0], self.hidden_size)
        return self._loop(inputs, (nothing, nothing), length_mask(lengths, inputs.shape[1])[..., None])

    def run(self, inputs: Tensor, start: State) -> Tensor:
        """inputs [B, T, I], start h and c [B, H] -> states [B, T, H]."""
        real = torch.ones(1, inputs.shape[1], 1, dtype=torch.bool, device=inputs.device)
        hidden, cell = (each.to(inputs.dtype) for each in start)
        return self._loop(inputs, (hidden, cell), real)[0]

    def step(self, inputs: Tensor, hidden: Tensor, cell: Tensor) -> State:
        """inputs [N, I], hidden [N, H], cell [N, H] -> the next h and c."""
        projected = nn.functional.linear(inputs, self.weight_ih, self.bias)
        return self.advance(projected + hidden @ self.weight_hh.t(), hidden, cell)

    def _loop(self, inputs: Tensor, start: State, real: Tensor) -> Output:
        """real [B or 1, S, 1] bool: h and c stand still on the other steps."""
        projected = nn.functional.linear(inputs, self.weight_ih, self.bias)
        by_hidden = dropped(self.weight_hh, self).t()
        hidden, cell = start
        states = []
        for step in range(inputs.shape[1]):
            new_hidden, new_cell = self.advance(projected[:, step] + hidden @ by_hidden, hidden, cell)
            hidden = torch.where(real[:, step], new_hidden, hidden)
            cell = torch.where(real[:, step], new_cell, cell)
            states.append(hidden)
        return torch.stack(states, 1), hidden, cell


class PeepholeLSTM(LoopedLayer):
    """LSTM whose gates see the cell (Gers & Schmidhuber 2000; Graves et al. 2013, eq. 3-7): the LSTM of the speech and
    handwriting literature.

    i = s(W x + U h + p_i * c_before), f = s(... + p_f * c_before), c = f * c_before + i * tanh(...),
    o = s(... + p_o * c). Gates lie in the order input, forget, cell, output, as in torch.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.peepholes = nn.Parameter(torch.zeros(3, hidden_size))
        """[3, H] p_i, p_f, p_o"""

    def advance(self, gates: Tensor, hidden: Tensor, cell: Tensor) -> State:
        """gates [N, 4H], cell [N, H] -> the next h and c."""
        ingoing, forget, candidate, outgoing = gates.chunk(4, -1)
        peep_in, peep_forget, peep_out = self.peepholes
        new_cell = torch.sigmoid(forget + peep_forget * cell) * cell
        new_cell = new_cell + torch.sigmoid(ingoing + peep_in * cell) * torch.tanh(candidate)
        return torch.sigmoid(outgoing + peep_out * new_cell) * torch.tanh(new_cell), new_cell


class LayerNormLSTM(LoopedLayer):
    """LSTM with layer normalisation (Ba et al. 2016, section 3.1): of each gate before its nonlinearity, once for the
    sum of its two products, and of the cell before the output's tanh.

    i, f, g, o = LN(W x + U h + b) x gain + shift, each gate by itself; c = s(f) * c_before + s(i) * tanh(g);
    h = s(o) * tanh(LN(c) x gain + shift).
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.gain = nn.Parameter(torch.ones(5 * hidden_size))
        """[5H] of the four gates, and of the cell"""
        shift = torch.zeros(5, hidden_size)
        shift[1] = 1.0  # the forget gate's; what `bias` adds to all units of a gate, the norm takes away
        self.shift = nn.Parameter(shift.flatten())

    def advance(self, gates: Tensor, _hidden: Tensor, cell: Tensor) -> State:
        """gates [N, 4H], cell [N, H] -> the next h and c."""
        size = (self.hidden_size,)
        gain, shift = self.gain.unflatten(0, (5, -1)), self.shift.unflatten(0, (5, -1))
        normed = nn.functional.layer_norm(gates.unflatten(-1, (4, -1)), size) * gain[:4] + shift[:4]
        ingoing, forget, candidate, outgoing = normed.unbind(-2)
        new_cell = torch.sigmoid(forget) * cell + torch.sigmoid(ingoing) * torch.tanh(candidate)
        shown = nn.functional.layer_norm(new_cell, size) * gain[4] + shift[4]
        return torch.sigmoid(outgoing) * torch.tanh(shown), new_cell
