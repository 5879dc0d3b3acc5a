"""Search among some tokens of the vocabulary: the likely translations of each sentence, and the most frequent tokens.

The decoder's output layer is computed for the tokens of all sentences of a batch, and each sentence is held to its own,
so that its outputs do not depend on its company. Search then sees tokens by their places among these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from seq2seq.search.step import StepFn


class ListedState(NamedTuple):
    """A model's state, and what each sentence may write."""

    model: Any
    barred: Tensor
    """[B, U] fp32: 0 for the tokens of a sentence, else -inf."""

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> ListedState:
        """As `SearchState.reorder`."""
        barred = self.barred if sentences is None else self.barred.index_select(0, sentences)
        return ListedState(self.model.reorder(hypotheses, sentences), barred)


def listed(step: StepFn[Any], tokens: Tensor) -> Callable[[Tensor, ListedState], tuple[Tensor, ListedState]]:
    """A StepFn over places in tokens [U], of a step that takes tokens and gives logits [N, U] of these: probabilities
    are those among a sentence's own. Start it from ListedState(state, barred)."""

    def step_of_places(place: Tensor, state: ListedState) -> tuple[Tensor, ListedState]:
        logits, after = step(tokens[place], state.model)
        logits.view(len(state.barred), -1, len(tokens)).add_(state.barred[:, None])
        return logits.log_softmax(-1), ListedState(after, state.barred)

    return step_of_places
