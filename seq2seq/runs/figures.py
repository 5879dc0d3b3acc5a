"""The figures of a validation: what they are called in print, and which of them are better the higher they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """What is known of a figure besides its value."""

    title: str
    """Its name for people."""
    rises: bool
    """Whether higher is better."""


FIGURES = {
    "loss": Figure("loss", rises=False),
    "bleu": Figure("BLEU", rises=True),
    "chrf": Figure("chrF", rises=True),
    "accuracy": Figure("accuracy (%)", rises=True),
    "error_rate": Figure("error rate (%)", rises=False),
    "character_error_rate": Figure("character error rate (%)", rises=False),
}
"""By the names that `trainer.best_metric` and metrics.jsonl use. Of figures that are not listed, lower is better."""


def signed(name: str, value: float) -> float:
    """The value of a figure with the sign with which higher is better."""
    return value if name in FIGURES and FIGURES[name].rises else -value


def kept_validation(records: Sequence[Mapping[str, Any]], metric: str) -> Mapping[str, Any] | None:
    """Of a run's entries that of the validation whose model was kept; None without validations. In runs of versions
    that did not record it, the best by the figure that chooses."""
    validations = [record for record in records if f"validation_{metric}" in record]
    if not validations:
        return None
    step = validations[-1].get("best_step")
    kept = [record for record in validations if record["step"] == step]
    return kept[-1] if kept else max(validations, key=lambda record: signed(metric, record[f"validation_{metric}"]))


def title(name: str) -> str:
    """What to call a figure."""
    return FIGURES[name].title if name in FIGURES else name.replace("_", " ")
