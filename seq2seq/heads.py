"""Encoders that answer directly, without a decoder: a value per step (labelling, regression, CTC) or one for the whole
sequence (classification)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from seq2seq.memory import Memory

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
        """[B, H]"""
        real = memory.mask[..., None]
        match self.pooling:
            case "mean":
                return (memory.states * real).sum(1) / real.sum(1).clamp(min=1)
            case "max":
                return memory.states.masked_fill(~real, -torch.inf).amax(1)
            case "last":
                return memory.final_hidden


class SequenceModel(nn.Module):
    """A front end, an encoder that returns `Memory`, and a head."""

    def __init__(self, front_end: nn.Module, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.front_end, self.encoder, self.head = front_end, encoder, head

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """inputs [B, S, ...], lengths [B] -> the head's output [B, S', O] or [B, O], and the memory's mask [B, S']."""
        memory: Memory = self.encoder(self.front_end(inputs), lengths)
        return self.head(memory), memory.mask
