"""Several models in one search: the mean of their probabilities decides (Sutskever et al. 2014, section 3.6)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seq2seq.search.step import StepFn


class EnsembleState(NamedTuple):
    """The states of all members."""

    members: tuple[Any, ...]

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> EnsembleState:
        """As `SearchState.reorder`."""
        return EnsembleState(tuple(member.reorder(hypotheses, sentences) for member in self.members))


def ensemble(steps: Sequence[StepFn[Any]]) -> Callable[[Tensor, EnsembleState], tuple[Tensor, EnsembleState]]:
    """A StepFn whose probability of a token is the mean of its members' (Sutskever et al. 2014, section 3.6).

    They must share one vocabulary. Start it from EnsembleState(state of each member).
    """

    def step(token: Tensor, state: EnsembleState) -> tuple[Tensor, EnsembleState]:
        results = [each(token, member) for each, member in zip(steps, state.members, strict=True)]
        opinions = torch.stack([log_probs for log_probs, _ in results])
        return opinions.logsumexp(0) - math.log(len(steps)), EnsembleState(tuple(member for _, member in results))

    return step
