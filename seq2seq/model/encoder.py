"""The bidirectional LSTM encoder (Graves & Schmidhuber 2005; as used by Bahdanau et al. 2015)."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from seq2seq.config import LAYERS, SIZES, Whole, check_fields, check_numbers
from seq2seq.errors import check
from seq2seq.model.cells import build_recurrent, check_projection
from seq2seq.model.dropout import DropoutRates, SequenceDropout
from seq2seq.model.memory import Memory, length_mask
from seq2seq.model.recurrent import Cell

Merge = Literal["concat", "sum", "average", "multiply"]
Direction = Literal["both", "forward", "backward"]


@dataclass(frozen=True)
class EncoderConfig:
    """The stacked BiLSTM that reads the source."""

    hidden_size: int = 256
    """LSTM units per direction."""
    layers: int = 1
    """Number of stacked BiLSTM layers."""
    merge: Merge = "concat"
    """How the two directions are joined: concat (twice the width), sum, average or multiply (element by element)."""
    cell: Cell = "lstm"
    """Recurrent cell: lstm, gru, rnn (plain tanh), peephole (an LSTM whose gates see the cell), layer_norm_lstm (Ba et
    al. 2016; a loop over time, no kernel of torch's), rhn (recurrent highway network, Zilly et al. 2017: four
    transitions a step; a loop, too), or qrnn (Bradbury et al. 2017: gates read the input alone, for speed)."""
    direction: Direction = "both"
    """Order in which the input is read: both, or only forward or backward."""
    subsampling: int = 1
    """Neighbouring steps joined before each layer after the first: 2 halves the length per layer (Chan et al. 2016)."""
    forward_layers: int = 0
    """Further layers on top that read forward only (Cui et al. 2018)."""
    residual: bool = False
    """Whether each layer after the first adds its input to its states (Wu et al. 2016), which needs layers of one width
    and no subsampling."""
    proj_size: int = 0
    """Width that an LSTM's states are projected to before they are handed on and fed back (Sak et al. 2014), less than
    hidden_size; 0: none."""

    def __post_init__(self) -> None:
        check_fields(self, "model.encoder")
        check_numbers(
            self,
            "model.encoder",
            hidden_size=SIZES,
            layers=LAYERS,
            subsampling=Whole(1, 1_000),
            forward_layers=Whole(0, 100),
        )
        one_width = self.forward_layers == 0 or self.output_size == (self.proj_size or self.hidden_size)
        check(
            not self.residual or (self.subsampling == 1 and one_width),
            "model.encoder.residual adds a layer's input to its states: it needs model.encoder.subsampling 1, and "
            "model.encoder.forward_layers as wide as the layers below (0, or a model.encoder.merge other than concat)",
        )
        check_projection(self, "model.encoder")

    @property
    def output_size(self) -> int:
        """Width of a layer's states: twice hidden_size, or proj_size, where two directions are concatenated."""
        size = self.proj_size or self.hidden_size
        return 2 * size if self.merge == "concat" and self.direction == "both" else size

    @property
    def top(self) -> "EncoderConfig":
        """The highest layer's settings. Whoever checks a configuration asks for them, not for the stack: the number of
        layers may be a wrong one."""
        return replace(self, direction="forward") if self.forward_layers else self

    def stack(self) -> "list[EncoderConfig]":
        """Each layer's settings, the lowest first."""
        return [self] * self.layers + [self.top] * self.forward_layers


def merge_directions(forward: Tensor, backward: Tensor, merge: Merge) -> Tensor:
    """Joins [..., H] of each direction into [..., 2H] (concat) or [..., H]."""
    match merge:
        case "concat":
            return torch.cat((forward, backward), -1)
        case "sum":
            return forward + backward
        case "average":
            return (forward + backward) / 2
        case "multiply":
            return forward * backward


def reversal_index(lengths: Tensor, steps: int) -> Tensor:
    """[B] lengths -> [B, steps] int64: index that reverses each row's real part and leaves its padding in place."""
    positions = torch.arange(steps, device=lengths.device)[None, :]
    return torch.where(positions < lengths[:, None], lengths[:, None] - 1 - positions, positions)


def reverse(sequence: Tensor, index: Tensor) -> Tensor:
    """Reorders [B, S, H] in time by `reversal_index`; its own inverse."""
    return sequence.gather(1, index[..., None].expand_as(sequence))


class BidirectionalLayer(nn.Module):
    """One layer as one or two one-directional layers, right under padding without packing.

    The forward one meets padding only after the real steps; the backward one reads a copy reversed within each row's
    length. So neither carries padding into a real step. Packed sequences give the same numbers by a slow path on CPU.
    """

    def __init__(self, input_size: int, config: EncoderConfig, rates: DropoutRates) -> None:
        super().__init__()
        self.merge: Merge = config.merge

        def layer() -> nn.Module:
            sizes = input_size, config.hidden_size
            return build_recurrent(config.cell, *sizes, rates.weights, config.proj_size, rates.zoneout)

        self.ahead = layer() if config.direction != "backward" else None
        self.back = layer() if config.direction != "forward" else None

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """inputs [B, S, I], lengths [B] -> states [B, S, H'], final hidden [B, H'], final cell [B, H'].

        H' is the merged width; the final h and c are those after each direction's last real step.
        """
        if self.back is None:
            assert self.ahead is not None
            return self.ahead(inputs, lengths)
        index = reversal_index(lengths, inputs.shape[1])
        back, back_hidden, back_cell = self.back(reverse(inputs, index), lengths)
        back = reverse(back, index)
        if self.ahead is None:
            return back, back_hidden, back_cell
        ahead, ahead_hidden, ahead_cell = self.ahead(inputs, lengths)
        return (
            merge_directions(ahead, back, self.merge),
            merge_directions(ahead_hidden, back_hidden, self.merge),
            merge_directions(ahead_cell, back_cell, self.merge),
        )


def join_steps(states: Tensor, lengths: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Lays `factor` neighbouring steps side by side (the pyramid of Chan et al. 2016): [B, S, H], [B] ->
    [B, ceil(S / factor), factor * H], [B]. Padding inside a joined step is zero."""
    states = states * length_mask(lengths, states.shape[1])[..., None].to(states.dtype)
    missing = -states.shape[1] % factor
    states = nn.functional.pad(states, (0, 0, 0, missing))
    return states.reshape(states.shape[0], -1, factor * states.shape[2]), -(-lengths // factor)


class BiLSTMEncoder(nn.Module):
    """Stacked bidirectional layers over embedded inputs, with sequence dropout before each layer (before the lowest:
    that of embeddings) and on the output.

    all_layers: whether the memory holds the final h and c of every layer, not of the highest alone.
    """

    def __init__(
        self, input_size: int, config: EncoderConfig, dropout: float | DropoutRates, all_layers: bool = False
    ) -> None:
        super().__init__()
        stack = config.stack()
        sizes = [input_size] + [below.output_size * config.subsampling for below in stack[:-1]]
        rates = DropoutRates.of(dropout)
        self.layers = nn.ModuleList(
            BidirectionalLayer(size, layer, rates) for size, layer in zip(sizes, stack, strict=True)
        )
        self.subsampling, self.residual = config.subsampling, config.residual
        self.all_layers = all_layers
        self.input_dropout = SequenceDropout(rates.embedding)
        self.dropout = SequenceDropout(rates.states)
        self.output_size = stack[-1].output_size

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        """inputs [B, S, E], lengths [B] int64 (real steps per row) -> Memory with states [B, S', H]; S' = S unless
        subsampled."""
        states, finals = inputs, []
        for number, layer in enumerate(self.layers):
            if number > 0 and self.subsampling > 1:
                states, lengths = join_steps(states, lengths, self.subsampling)
            drop = self.dropout if number > 0 else self.input_dropout
            below = drop(states)
            states, *final = layer(below, lengths)
            if self.residual and number > 0:
                states = states + below
            finals.append(final)
        kept = finals if self.all_layers else finals[-1:]
        hidden, cell = (torch.cat(each, -1) for each in zip(*kept, strict=True))
        return Memory(self.dropout(states), length_mask(lengths, states.shape[1]), hidden, cell)
