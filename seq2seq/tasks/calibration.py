"""The calibration of a translator on a split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seq2seq.evaluation.calibration import Calibration, binned, rank_correlation
from seq2seq.evaluation.metrics import sentence_chrf
from seq2seq.inference.confidence import token_confidences
from seq2seq.inference.translator import Translator
from seq2seq.tasks.results import Results


@dataclass(frozen=True)
class WithCalibration:
    """Results, and the calibration beside them."""

    results: Results
    calibration: Calibration

    @property
    def hypotheses(self) -> list[str]:
        """As `Results` has it."""
        return self.results.hypotheses

    @property
    def references(self) -> list[list[str]]:
        """As `Results` has it."""
        return self.results.references

    def figures(self) -> dict[str, Any]:
        """All figures, for JSON."""
        return {**self.results.figures(), **self.calibration.figures()}

    def report(self) -> list[str]:
        """All figures, for people: a line each."""
        return [*self.results.report(), *self.calibration.report()]


def calibration_of(translator: Translator, sources: Sequence[str], results: Results) -> Calibration:
    """By forced decoding: confidence and accuracy of each token of the first references, and the mean log-probabilities
    of the outputs beside their chrF. Pairs with a blank side are left out."""
    references = [lines[0] for lines in results.references]
    wanted = [pair for pair in zip(sources, references, strict=True) if all(map(str.strip, pair))]
    found = token_confidences(translator, [source for source, _ in wanted], [target for _, target in wanted])
    confidences = [each for values, _ in found for each in values]
    right = [each for _, hits in found for each in hits]
    written = [
        each
        for each in zip(sources, results.hypotheses, results.references, strict=True)
        if all(map(str.strip, each[:2]))
    ]
    scored = translator.score([source for source, _, _ in written], [text for _, text, _ in written])
    scores = [each.log_probability / each.tokens for each in scored]
    quality = [max(sentence_chrf(text, line) for line in lines) for _, text, lines in written]
    return Calibration(binned(confidences, right), rank_correlation(scores, quality))
