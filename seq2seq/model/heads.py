"""Encoders that answer directly, without a decoder: a value per step (labelling, regression, CTC) or one for the whole
sequence (classification)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from seq2seq.model.memory import Memory
from seq2seq.model.recurrent import LSTMLayer, RecurrentLayer

Pooling = Literal["mean", "max", "last"]


class StepHead(nn.Module):
    """A linear layer on each state."""

    def __init__(self, memory_size: int, outputs: int) -> None:
        super().__init__()
        self.output = nn.Linear(memory_size, outputs)

    def forward(self, memory: Memory) -> Tensor:
        """Memory with states [B, S, H] -> [B, S, O]."""
        return self.output(memory.states)


class PooledHead(nn.Module):
    """A linear layer on the states' mean or maximum over the real steps, or on the last hidden state (last)."""

    def __init__(self, memory_size: int, outputs: int, pooling: Pooling) -> None:
        super().__init__()
        self.pooling: Pooling = pooling
        self.output = nn.Linear(memory_size, outputs)

    def forward(self, memory: Memory) -> Tensor:
        """Memory with states [B, S, H] -> [B, O]."""
        return self.output(self.pool(memory))

    def pool(self, memory: Memory) -> Tensor:
        """Memory with states [B, S, H] -> [B, H]."""
        real = memory.mask[..., None]
        match self.pooling:
            case "mean":
                return (memory.states * real).sum(1) / real.sum(1).clamp(min=1)
            case "max":
                return memory.states.masked_fill(~real, -torch.inf).amax(1)
            case "last":
                return memory.final_hidden


class JointHead(nn.Module):
    """A label per step and a class of the whole sequence (Hakkani-Tür et al. 2016; Liu & Lane 2016): a linear layer on
    each state, another on their maximum over the real steps. The labels also see which class is likely."""

    def __init__(self, memory_size: int, labels: int, classes: int) -> None:
        super().__init__()
        self.output = nn.Linear(memory_size, labels)
        self.sequence = PooledHead(memory_size, classes, "max")
        self.labels_by_class = nn.Linear(classes, labels, bias=False)

    def forward(self, memory: Memory) -> Tensor:
        """Memory with states [B, S, H] -> [B, S, L + K]: logits of the step's labels, then those of the sequence's
        classes, which are the same at all steps."""
        classes = self.sequence(memory)[:, None]
        labels = self.output(memory.states) + self.labels_by_class(classes.softmax(-1))
        return torch.cat((labels, classes.expand(-1, labels.shape[1], -1)), -1)


class RolloutHead(nn.Module):
    """Generates `rollouts` sequences of `steps` steps from the encoder's final state.

    Each has its own LSTM: the composite model of Srivastava et al. (2015, section 2.3). Conditioned decoders read the
    step that they generated last, in training as well, and zeros before the first; others see no outputs.
    """

    def __init__(self, memory_size: int, outputs: int, rollouts: int, steps: int, conditioned: bool = False) -> None:
        super().__init__()
        self.steps, self.conditioned = steps, conditioned
        width = memory_size + outputs if conditioned else memory_size
        self.decoders = nn.ModuleList(LSTMLayer(width, memory_size, batch_first=True) for _ in range(rollouts))
        self.output = nn.Linear(memory_size, outputs)

    def forward(self, memory: Memory) -> Tensor:
        """Memory with a summary [B, H] -> [B, rollouts x steps, O], one sequence after the other."""
        if self.conditioned:
            layers: Iterable[RecurrentLayer] = self.decoders  # type: ignore[assignment]
            return torch.cat([self._feed_back(layer, memory) for layer in layers], 1)
        summary = memory.final_hidden[:, None].expand(-1, self.steps, -1)
        decoders: Iterable[RecurrentLayer] = self.decoders  # type: ignore[assignment]  # a ModuleList gives modules
        start = memory.final_hidden, memory.final_cell
        return self.output(torch.cat([decoder.run(summary, start) for decoder in decoders], 1))

    def _feed_back(self, decoder: RecurrentLayer, memory: Memory) -> Tensor:
        """A sequence [B, steps, O] of which each step reads the one before."""
        by_input, by_hidden, bias = decoder.joint_weights()
        width = by_hidden.shape[1]
        by_summary = functional.linear(memory.final_hidden, by_input[:, :width], bias)  # the same at every step
        by_last = torch.cat((by_input[:, width:], by_hidden), 1)
        hidden, cell = memory.final_hidden.to(by_summary.dtype), memory.final_cell
        last = hidden.new_zeros(hidden.shape[0], self.output.out_features)
        outputs = []
        for _ in range(self.steps):
            gates = by_summary + functional.linear(torch.cat((last, hidden), -1), by_last)
            hidden, cell = decoder.advance(gates, hidden, cell)
            last = self.output(hidden)
            outputs.append(last)
        return torch.stack(outputs, 1)
