"""An evaluation by the figures that were asked for, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seq2seq.evaluation.captions import CAPTION_METRICS, caption_figure
from seq2seq.evaluation.error_rates import character_error_rate, error_rates
from seq2seq.evaluation.metrics import Metric, exact_match, metric_of
from seq2seq.evaluation.signatures import signature

RATES = {
    "accuracy": ("exact match", exact_match),
    "wer": ("word error rate", lambda hypotheses, references: error_rates(hypotheses, references).token),
    "cer": ("character error rate", character_error_rate),
    "per": ("phoneme error rate", lambda hypotheses, references: error_rates(hypotheses, references).token),
}
"""Figures in percent by the names that choose them, with their names for people. Spaces separate words and phonemes."""


@dataclass(frozen=True)
class ChosenFigures:
    """A split, answered by a model that writes text, and scored by some figures."""

    hypotheses: list[str]
    references: list[list[str]]
    metrics: list[Metric]
    """sacreBLEU's"""
    rates: dict[str, float]
    """In percent, by their names for people."""
    of_captions: dict[str, float]
    """Figures of captions (see CAPTION_METRICS), by their names for people."""

    def figures(self) -> dict[str, Any]:
        """All figures with their signatures, for JSON."""
        others = {name.replace(" ", "_"): figure for name, figure in {**self.rates, **self.of_captions}.items()}
        signatures = {name.replace(" ", "_"): signature for name, signature in self._signatures().items()}
        return {
            "sentences": len(self.hypotheses),
            **{each.name: vars(each) for each in self.metrics},
            **others,
            **({"signatures": signatures} if signatures else {}),
        }

    def report(self) -> list[str]:
        """All figures, for people: a line each, with their signatures."""
        metrics = [f"{each.describe()}\t{each.signature}" for each in self.metrics]
        rates = {name: f"{name} {rate:.2f} %" for name, rate in self.rates.items()}
        shown = rates | {name: f"{name} {figure:.2f}" for name, figure in self.of_captions.items()}
        return [*metrics, *(f"{shown[name]}\t{signature}" for name, signature in self._signatures().items())]

    def _signatures(self) -> dict[str, str]:
        """Of the figures that are not sacreBLEU's own."""
        return {name: signature(name, self.references) for name in (*self.rates, *self.of_captions)}


def chosen_figures(
    names: Sequence[str],
    hypotheses: list[str],
    references: list[list[str]],
    target_language: str = "",
    bleu_tokenizer: str = "",
) -> ChosenFigures:
    """The figures of these names: sacreBLEU's, with intervals, RATES, and CAPTION_METRICS. Raises UserError where one
    needs what is not installed."""
    of_captions = {
        CAPTION_METRICS[name]: caption_figure(name, hypotheses, references) for name in names if name in CAPTION_METRICS
    }
    by_sacrebleu = [name for name in names if name not in RATES and name not in CAPTION_METRICS]
    metrics = [metric_of(name, hypotheses, references, target_language, bleu_tokenizer) for name in by_sacrebleu]
    rates = {RATES[name][0]: RATES[name][1](hypotheses, references) for name in names if name in RATES}
    return ChosenFigures(hypotheses, references, metrics, rates, of_captions)
