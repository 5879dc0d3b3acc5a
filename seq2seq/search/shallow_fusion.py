"""Shallow fusion: a language model joins in another model's search (Gulcehre et al. 2015, section 4.1). What that model
has learned of its own language may be taken off (Variani et al. 2020; Meng et al. 2021)."""

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


class InternalState(NamedTuple):
    """The state of a model, and that of the same model without a source."""

    model: Any
    internal: Any

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> InternalState:
        """As `SearchState.reorder`."""
        return InternalState(self.model.reorder(hypotheses, sentences), self.internal.reorder(hypotheses, sentences))


def without_internal(
    step: StepFn[Any], weight: float
) -> Callable[[Tensor, InternalState], tuple[Tensor, InternalState]]:
    """A StepFn that scores log P(model given the source) - weight x log P(model given nothing): what the model knows of
    its language without any source is its internal language model (Meng et al. 2021, section 3)."""

    def reduced(token: Tensor, state: InternalState) -> tuple[Tensor, InternalState]:
        scores, inner = step(token, state.model)
        log_probs, internal = step(token, state.internal)
        return scores - weight * log_probs, InternalState(inner, internal)

    return reduced
