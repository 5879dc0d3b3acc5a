"""The calibration of a translator on a split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seq2seq.evaluation.calibration import Calibration, binned, rank_correlation
from seq2seq.evaluation.metrics import sentence_chrf
from seq2seq.inference.confidence import token_confidences
from seq2seq.inference.translator import Translator
from seq2seq.tasks.results import Extended, Results


@dataclass(frozen=True)
class WithCalibration(Extended):
    """Results, and the calibration beside them."""

    calibration: Calibration

    def figures(self) -> dict[str, Any]:
        """All figures, for JSON."""
        return {**self.results.figures(), **self.calibration.figures()}

    def report(self) -> list[str]:
        """All figures, for people: a line each."""
        return [*self.results.report(), *self.calibration.report()]


def calibration_of(translator: Translator, sources: Sequence[str], results: Results) -> Calibration:
    """By forced decoding: confidence and accuracy of each token of the first references, and the mean log-probabilities
    of the outputs beside their chrF. Pairs that are not `scorable` are left out."""
    first = [lines[0] for lines in results.references]
    rows = scorable(translator, sources, first)
    found = token_confidences(translator, [sources[row] for row in rows], [first[row] for row in rows])
    confidences = [each for values, _ in found for each in values]
    right = [each for _, hits in found for each in hits]
    written = results.hypotheses
    rows = scorable(translator, sources, written)
    scored = translator.score([sources[row] for row in rows], [written[row] for row in rows])
    scores = [each.log_probability / each.tokens for each in scored]
    quality = [max(sentence_chrf(written[row], line) for line in results.references[row]) for row in rows]
    return Calibration(binned(confidences, right), rank_correlation(scores, quality))


def scorable(translator: Translator, sources: Sequence[str], targets: Sequence[str]) -> list[int]:
    """The rows of pairs that forced decoding takes: no side is blank, and no target has more tokens than
    max_source_tokens."""
    counts = [len(ids) for ids in translator.target_vocabulary.encode_batch(targets)]
    rows = enumerate(zip(sources, targets, counts, strict=True))
    limit = translator.max_source_tokens
    return [row for row, (source, target, count) in rows if source.strip() and target.strip() and count <= limit]
