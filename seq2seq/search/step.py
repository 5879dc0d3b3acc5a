"""Step functions, which are all that search knows of a model, and their combinations: ensembles, shallow fusion."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

State = TypeVar("State", bound="SearchState")


class SearchState(Protocol):
    """What a step function carries along: rows of hypotheses, those of one sentence next to each other."""

    def reorder(self: State, hypotheses: Tensor, sentences: Tensor | None = None) -> State:
        """The state of these hypothesis rows, and of these sentence rows (None: every sentence stays)."""


StepFn = Callable[[Tensor, State], tuple[Tensor, State]]
"""(token [N] int64, state) -> (log-probabilities of the next token [N, V] fp32, state). Ensembles, language-model
fusion and constraints are step functions too, or wrap one."""


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


class FusedState(NamedTuple):
    """The states of a model and of the language model that joins in."""

    model: Any
    language: Any

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> FusedState:
        """As `SearchState.reorder`."""
        return FusedState(self.model.reorder(hypotheses, sentences), self.language.reorder(hypotheses, sentences))


def shallow_fusion(
    step: StepFn[Any], language_step: StepFn[Any], weight: float
) -> Callable[[Tensor, FusedState], tuple[Tensor, FusedState]]:
    """A StepFn that scores log P(model) + weight x log P(language model) (Gulcehre et al. 2015, section 4.1).

    language_step: the StepFn of a language model, `LanguageModel.step`. Both must share one vocabulary. Start it from
    FusedState(state of the model, language_model.start(rows)).
    """

    def fused(token: Tensor, state: FusedState) -> tuple[Tensor, FusedState]:
        scores, inner = step(token, state.model)
        log_probs, language = language_step(token, state.language)
        return scores + weight * log_probs, FusedState(inner, language)

    return fused
