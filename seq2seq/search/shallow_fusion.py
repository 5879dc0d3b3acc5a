"""Shallow fusion: a language model joins in another model's search (Gulcehre et al. 2015, section 4.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from seq2seq.search.step import StepFn


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
