"""The bidirectional LSTM encoder (Graves & Schmidhuber 2005; as used by Bahdanau et al. 2015)."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from seq2seq.config import check
from seq2seq.memory import Memory, length_mask

Merge = Literal["concat", "sum", "average", "multiply"]


@dataclass(frozen=True)
class EncoderConfig:
    """The stacked BiLSTM that reads the source."""

    hidden_size: int = 256
    """LSTM units per direction."""
    layers: int = 1
    """Number of stacked BiLSTM layers."""
    merge: Merge = "concat"
    """How the two directions are joined: concat (twice the width), sum, average or multiply (element by element)."""

    def __post_init__(self) -> None:
        check(self.hidden_size > 0, f"encoder.hidden_size must be positive, not {self.hidden_size}")
        check(self.layers > 0, f"encoder.layers must be positive, not {self.layers}")

    @property
    def output_size(self) -> int:
        """Width of the encoder's states: twice hidden_size for concat, else hidden_size."""
        return 2 * self.hidden_size if self.merge == "concat" else self.hidden_size


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


def last_step(sequence: Tensor, lengths: Tensor) -> Tensor:
    """[B, S, H] -> [B, H]: each row's last real step (its first where the length is 0)."""
    return sequence[torch.arange(sequence.shape[0], device=sequence.device), (lengths - 1).clamp(min=0)]


# A gate pre-activation that saturates a sigmoid to exactly 0 or 1 in every float type, fp16 included.
SATURATED = 1e4


def lstm_weights(lstm: nn.LSTM) -> list[Tensor]:
    """Input weights [4H, I], recurrent weights [4H, H] and the two biases [4H] of a one-layer LSTM."""
    return [getattr(lstm, name) for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")]


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
    column = torch.zeros_like(others[1])  # gates lie in the order input, forget, cell, output
    column[:hidden_size] = -SATURATED
    column[hidden_size : 2 * hidden_size] = SATURATED
    weights = [torch.cat((input_weights, column[:, None]), 1), *others]
    flagged = torch.cat((inputs, padding[..., None].to(inputs.dtype)), -1)
    output, _, cell = torch.lstm(flagged, (zeros, zeros), weights, True, 1, 0.0, lstm.training, False, True)
    return output, cell[0]


class BiLSTMLayer(nn.Module):
    """One bidirectional layer as two one-directional LSTMs, right under padding without packing.

    The forward LSTM meets padding only after the real steps; the backward one reads a copy reversed within each row's
    length. So neither carries padding into a real step. Packed sequences give the same numbers by a slow path on CPU.
    """

    def __init__(self, input_size: int, hidden_size: int, merge: Merge) -> None:
        super().__init__()
        self.merge: Merge = merge
        self.forward_lstm = nn.LSTM(input_size, hidden_size, batch_first=True)
        self.backward_lstm = nn.LSTM(input_size, hidden_size, batch_first=True)

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """inputs [B, S, I], lengths [B] -> states [B, S, H'], final hidden [B, H'], final cell [B, H'].

        H' is the merged width; the final h and c are those after each direction's last real step.
        """
        padding = ~length_mask(lengths, inputs.shape[1])
        index = reversal_index(lengths, inputs.shape[1])
        ahead, ahead_cell = freezing_lstm(self.forward_lstm, inputs, padding)
        back, back_cell = freezing_lstm(self.backward_lstm, reverse(inputs, index), padding)
        states = merge_directions(ahead, reverse(back, index), self.merge)
        hidden = merge_directions(last_step(ahead, lengths), last_step(back, lengths), self.merge)
        return states, hidden, merge_directions(ahead_cell, back_cell, self.merge)


class BiLSTMEncoder(nn.Module):
    """Stacked BiLSTM over embedded inputs, with sequence dropout before each layer and on the output."""

    def __init__(self, input_size: int, config: EncoderConfig, dropout: float) -> None:
        super().__init__()
        sizes = [input_size] + [config.output_size] * (config.layers - 1)
        self.layers = nn.ModuleList(BiLSTMLayer(size, config.hidden_size, config.merge) for size in sizes)
        self.dropout = SequenceDropout(dropout)
        self.output_size = config.output_size

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        """inputs [B, S, E], lengths [B] int64 (real steps per row) -> Memory with states [B, S, H]."""
        states = inputs
        for layer in self.layers:
            states, hidden, cell = layer(self.dropout(states), lengths)
        return Memory(self.dropout(states), length_mask(lengths, inputs.shape[1]), hidden, cell)
