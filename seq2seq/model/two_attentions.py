"""Attention to two memories at once, such as those of a text and of its features."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from seq2seq.model.attention import AttendLoop, Attention
from seq2seq.model.memory import Memory


class TwoStates(NamedTuple):
    """The states of both attentions."""

    first: Any
    second: Any

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> TwoStates:
        """As `DecoderState.reorder`."""
        return TwoStates(*(each.reorder(hypotheses, sentences) for each in self))


class TwoAttentions(Attention):
    """An attention to a memory and one to that beside it, each with its own weights; their contexts stand side by side
    (Zoph & Knight 2016, section 3.2, with a single output layer). The weights that are shown are the first's."""

    def __init__(self, first: Attention, second: Attention) -> None:
        super().__init__()
        self.first: Attention = first
        self.second: Attention = second
        self.context_size = first.context_size + second.context_size

    def start(self, memory: Memory) -> TwoStates:
        """The states before the first query."""
        assert memory.beside is not None
        return TwoStates(self.first.start(memory), self.second.start(memory.beside))

    def forward(self, query: Tensor, state: TwoStates) -> tuple[Tensor, Tensor, TwoStates]:
        """query [N, H] -> contexts [N, C], weights of the first [N, S], the next state."""
        one, weights, first = self.first(query, state.first)
        other, _, second = self.second(query, state.second)
        return torch.cat((one, other), -1), weights, TwoStates(first, second)

    def unroll(self, queries: Tensor, state: TwoStates) -> tuple[Tensor, Tensor]:
        """queries [B, T, H] -> contexts [B, T, C], weights of the first [B, T, S]."""
        one, weights = self.first.unroll(queries, state.first)
        other, _ = self.second.unroll(queries, state.second)
        return torch.cat((one, other), -1), weights

    def loop(self, state: TwoStates, steps: int) -> AttendLoop:
        """As `Attention` has it."""
        attend_first, attend_second = self.first.loop(state.first, steps), self.second.loop(state.second, steps)

        def attend_next(query: Tensor) -> tuple[Tensor, Tensor]:
            one, weights = attend_first(query)
            return torch.cat((one, attend_second(query)[0]), -1), weights

        return attend_next
