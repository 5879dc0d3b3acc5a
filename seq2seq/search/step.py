"""The step function, which is all that search knows of a model, and the state that it carries along."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from torch import Tensor

State = TypeVar("State", bound="SearchState")


class SearchState(Protocol):
    """What a step function carries along: rows of hypotheses, those of one sentence next to each other."""

    def reorder(self: State, hypotheses: Tensor, sentences: Tensor | None = None) -> State:
        """The state of these hypothesis rows, and of these sentence rows (None: every sentence stays)."""


StepFn = Callable[[Tensor, State], tuple[Tensor, State]]
"""(token [N] int64, state) -> (log-probabilities of the next token [N, V] fp32, state). Ensembles, language-model
fusion and constraints are step functions too, or wrap one."""
