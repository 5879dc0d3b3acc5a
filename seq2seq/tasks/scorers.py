"""Results with the figures of scorers from outside this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seq2seq.evaluation.metrics import Metric, Scores
from seq2seq.evaluation.scorers import Scorer
from seq2seq.tasks.results import Extended, Results


@dataclass(frozen=True)
class WithScorers(Extended):
    """Results, and the figures of scorers beside them."""

    metrics: list[Metric]

    @property
    def corpora(self) -> Mapping[str, Scores]:
        """As `Evaluation` has it."""
        return getattr(self.results, "corpora", {})

    def figures(self) -> dict[str, Any]:
        """All figures, for JSON."""
        scored = {each.name: {"score": each.score, "signature": each.signature} for each in self.metrics}
        return {**self.results.figures(), **scored}

    def report(self) -> list[str]:
        """All figures, for people: a line each."""
        scored = [f"{each.name} {each.score:.4f}\t{each.signature}" for each in self.metrics]
        return [*self.results.report(), *scored]


def with_scorers(results: Results, scorers: Sequence[Scorer], sources: list[str]) -> Results:
    """The results and, where there are scorers, their figures. sources: the texts alone, without tags and features.
    Raises UserError where a scorer fails."""
    if not scorers:
        return results
    hypotheses, references = results.hypotheses, results.references
    return WithScorers(results, [each.metric(sources, hypotheses, references) for each in scorers])
