"""Outputs with a given begin: a step function that forces the first tokens of every hypothesis."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seq2seq.data.symbols import PAD_ID
from seq2seq.search.step import StepFn


class PrefixState(NamedTuple):
    """A model's state, and what is still forced."""

    model: Any
    forced: Tensor
    """[N, P] tokens to come of each hypothesis; PAD_ID behind the last one."""

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> PrefixState:
        """As `SearchState.reorder`."""
        return PrefixState(self.model.reorder(hypotheses, sentences), self.forced.index_select(0, hypotheses))


def start_prefix(state: Any, prefixes: Sequence[Sequence[int]], device: torch.device) -> PrefixState:
    """The state before the first token. prefixes: the first tokens of each sentence's output, or none."""
    longest = max(map(len, prefixes), default=0)
    rows = [[*prefix, *[PAD_ID] * (longest - len(prefix))] for prefix in prefixes]
    return PrefixState(state, torch.tensor(rows, dtype=torch.int64, device=device).view(len(rows), longest))


def prefix_limits(limits: Tensor, prefixes: Sequence[Sequence[int]]) -> Tensor:
    """The limits [B] of a search, where they leave room for the prefix and the end of the sentence."""
    lengths = torch.tensor([len(prefix) + 1 for prefix in prefixes], dtype=limits.dtype, device=limits.device)
    return torch.maximum(limits, lengths)


def forced_prefix(step: StepFn[Any]) -> Callable[[Tensor, PrefixState], tuple[Tensor, PrefixState]]:
    """A StepFn that gives every token but the forced one a probability of 0, and the forced one its own.

    So a search over it is the search over `step` among the outputs that begin with the prefix. Start it from
    `start_prefix`.
    """

    def forced(token: Tensor, state: PrefixState) -> tuple[Tensor, PrefixState]:
        log_probs, inner = step(token, state.model)
        if state.forced.shape[1] == 0:
            return log_probs, PrefixState(inner, state.forced)
        wanted = state.forced[:, :1]
        only = torch.full_like(log_probs, -math.inf).scatter_(1, wanted, log_probs.gather(1, wanted))
        return torch.where(wanted == PAD_ID, log_probs, only), PrefixState(inner, state.forced[:, 1:])

    return forced
