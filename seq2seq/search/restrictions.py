"""Step functions that forbid tokens: too early ends of sentence, single tokens, n-grams that were there before.

A token that is forbidden has a probability of 0, the others keep theirs: a search over such a step is the search over
the plain one among the outputs that are allowed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seq2seq.search.step import StepFn


class CountingState(NamedTuple):
    """A model's state, and how many tokens every hypothesis has."""

    model: Any
    length: int = 0

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> CountingState:
        """As `SearchState.reorder`."""
        return self._replace(model=self.model.reorder(hypotheses, sentences))


def minimum_length(
    step: StepFn[Any], min_length: int, eos: int
) -> Callable[[Tensor, CountingState], tuple[Tensor, CountingState]]:
    """A StepFn by which no output is shorter than min_length, eos included. Start it from `CountingState(state)`."""

    def longer(token: Tensor, state: CountingState) -> tuple[Tensor, CountingState]:
        log_probs, inner = step(token, state.model)
        length = state.length + 1
        if length < min_length:
            log_probs = log_probs.index_fill(1, torch.tensor([eos], device=log_probs.device), -math.inf)
        return log_probs, CountingState(inner, length)

    return longer


def without_zeros(step: StepFn[Any]) -> Callable[[Tensor, Any], tuple[Tensor, Any]]:
    """A StepFn in which tokens of probability 0 have the least one that there is, so that they can be forced. Its state
    is the one of `step`."""

    def possible(token: Tensor, state: Any) -> tuple[Tensor, Any]:
        log_probs, state = step(token, state)
        least = math.log(torch.finfo(log_probs.dtype).tiny)
        return log_probs.masked_fill(log_probs == -math.inf, least), state

    return possible


def without_tokens(step: StepFn[Any], banned: Tensor) -> Callable[[Tensor, Any], tuple[Tensor, Any]]:
    """A StepFn without these tokens, ids [n]. Its state is the one of `step`."""

    def restricted(token: Tensor, state: Any) -> tuple[Tensor, Any]:
        log_probs, state = step(token, state)
        return log_probs.index_fill(1, banned, -math.inf), state

    return restricted


class HistoryState(NamedTuple):
    """A model's state, and the tokens of each hypothesis so far."""

    model: Any
    history: Tensor
    """[N, T] the token that search begins with comes first"""

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> HistoryState:
        """As `SearchState.reorder`."""
        return HistoryState(self.model.reorder(hypotheses, sentences), self.history.index_select(0, hypotheses))


def start_history(state: Any, rows: int, device: torch.device) -> HistoryState:
    """The state before the first token. rows: sentences."""
    return HistoryState(state, torch.empty((rows, 0), dtype=torch.int64, device=device))


def without_repeats(step: StepFn[Any], size: int) -> Callable[[Tensor, HistoryState], tuple[Tensor, HistoryState]]:
    """A StepFn by which no n-gram of `size` tokens comes twice in an output (Paulus et al. 2018, section 2.5). Start it
    from `start_history`."""

    def restricted(token: Tensor, state: HistoryState) -> tuple[Tensor, HistoryState]:
        log_probs, inner = step(token, state.model)
        history = torch.cat((state.history, token[:, None]), 1)
        said = history[:, 1:]  # without the begin of sentence
        if said.shape[1] >= size:
            before = said.unfold(1, size, 1)  # [N, T - size + 1, size] all n-grams so far
            last = said[:, said.shape[1] - size + 1 :]
            same = (before[..., :-1] == last[:, None]).all(-1)
            rows, places = same.nonzero(as_tuple=True)
            log_probs = log_probs.clone()
            log_probs[rows, before[rows, places, -1]] = -math.inf
        return log_probs, HistoryState(inner, history)

    return restricted
