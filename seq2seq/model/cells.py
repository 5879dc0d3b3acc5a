"""The choice of a recurrent layer, and cells whose steps are a loop of our own: peepholes, layer normalisation,
deep transitions."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from seq2seq.config import Whole, check_numbers
from seq2seq.errors import check
from seq2seq.model.looped import Looped
from seq2seq.model.quasi_recurrent import QRNNLayer
from seq2seq.model.recurrent import Cell, GRULayer, JointWeights, LSTMLayer, ProjectedLSTM, RNNLayer, State
from seq2seq.model.zoneout import ZoneoutLayer
from seq2seq.runtime.device import at_least_fp32


def build_recurrent(
    cell: Cell,
    input_size: int,
    hidden_size: int,
    weight_dropout: float = 0.0,
    proj_size: int = 0,
    zoneout: float = 0.0,
) -> nn.Module:
    """The layer of that cell, a `RecurrentLayer`. proj_size: see `ProjectedLSTM`; 0: no projection. zoneout: see
    `ZoneoutLayer`; 0: none."""
    check_weights_stay(cell, proj_size, weight_dropout, zoneout, "")
    layer = _without_zoneout(cell, input_size, hidden_size, weight_dropout, proj_size)
    return ZoneoutLayer(layer, zoneout) if zoneout else layer


def _without_zoneout(cell: Cell, input_size: int, hidden_size: int, weight_dropout: float, proj_size: int) -> nn.Module:
    layer: LSTMLayer | GRULayer | RNNLayer | LoopedLayer | QRNNLayer
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
        case "rhn":
            layer = RecurrentHighway(input_size, hidden_size)
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


def check_weights_stay(cell: Cell, proj_size: int, weight_dropout: float, zoneout: float, section: str) -> None:
    """Raises UserError where recurrent weights are to be dropped, or values kept, of projected states, or weights of a
    cell that has none, or has more of them than would be dropped. section: what stands before proj_size in options,
    such as "model."."""
    check(
        not (cell == "qrnn" and weight_dropout),
        f"{section}cell qrnn has no recurrent weights that recurrent_dropout could drop; set it to 0",
    )
    check(
        not (cell == "rhn" and weight_dropout),
        f"{section}cell rhn goes without recurrent_dropout, which reaches one of its transitions; set it to 0",
    )
    check(
        not (proj_size and (weight_dropout or zoneout)),
        f"{section}proj_size goes without recurrent_dropout and zoneout; set it, or them, to 0",
    )


class LoopedLayer(Looped):
    """A cell that torch has no kernel for: a subclass defines `advance`.

    Weights have a row per gate and unit, in the order of the gates that `advance` reads: weight_ih [G, I], weight_hh
    [G, H], bias [G].
    """

    has_cell = True
    reads_hidden = True
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

    def joint_weights(self) -> JointWeights:
        """The layer's weights as they are."""
        return JointWeights(self.weight_ih, self.weight_hh, self.bias)


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
        peep_in, peep_forget, peep_out = self.peepholes.unbind()
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


class RecurrentHighway(LoopedLayer):
    """Recurrent highway network with coupled gates (Zilly et al. 2017, eq. 6-9): several transitions from a step's
    state to the next, of which the first reads the input (transition depth; Pascanu et al. 2014).

    Each transition computes h = t * tanh(a) + (1 - t) * h_before with t = s(b - 2); the first has a and b from W x +
    U h_before + bias, each other one from its own U h_before + bias. A unit's gate begins rather closed, as the paper
    has it, so that its value stays. h lies within [-1, 1] where it starts there. It is kept in the weights' type, under
    autocast fp32: in bf16 a value that moves little would not move at all.
    """

    has_cell = False
    gates = 2
    depth: ClassVar[int] = 4
    """Transitions from a step to the next."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.deeper = nn.ModuleList(nn.Linear(hidden_size, 2 * hidden_size) for _ in range(self.depth - 1))

    def advance(self, gates: Tensor, hidden: Tensor, _cell: Tensor) -> State:
        """gates [N, 2H], hidden [N, H] -> the next h, twice."""
        kind = self.weight_hh.dtype
        hidden = self._moved(gates, hidden)
        for transition in self.deeper:
            hidden = self._moved(transition(hidden.to(kind)), hidden)
        hidden = hidden.to(kind)
        return hidden, hidden

    @staticmethod
    def _moved(gates: Tensor, hidden: Tensor) -> Tensor:
        candidate, transform = at_least_fp32(gates).chunk(2, -1)
        return torch.lerp(hidden.to(candidate.dtype), candidate.tanh(), (transform - 2).sigmoid())
