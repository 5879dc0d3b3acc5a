"""Figures of image captioning: BLEU-1 to BLEU-4 against several references (sacreBLEU's), and CIDEr."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from sacrebleu.metrics import BLEU

from seq2seq.evaluation.metrics import exact_match, reference_streams


@dataclass(frozen=True)
class CaptionScores:
    """Corpus figures."""

    bleu: list[float]
    """BLEU-1 to BLEU-4, 0 to 100."""
    cider: float | None
    """Consensus with the references (Vedantam et al. 2015), 0 to 10; None where pycocoevalcap is not installed."""
    exact_match: float
    """Percentage of captions equal to one of their references."""

    def describe(self) -> str:
        """One line for people."""
        orders = ", ".join(f"BLEU-{order} {score:.1f}" for order, score in enumerate(self.bleu, 1))
        shown = "not measured (pip install pycocoevalcap)" if self.cider is None else f"{self.cider:.2f}"
        return f"{orders}, CIDEr {shown}, exact match {self.exact_match:.1f} %"


def caption_scores(captions: Sequence[str], references: Sequence[Sequence[str]]) -> CaptionScores:
    """Scores captions, tokens separated by spaces, against one or more references each."""
    streams: Any = reference_streams(captions, references)
    scores = [
        float(BLEU(max_ngram_order=order, tokenize="none", references=streams).corpus_score(list(captions), None).score)
        for order in (1, 2, 3, 4)
    ]
    return CaptionScores(scores, _cider(captions, references), exact_match(captions, references))


def _cider(captions: Sequence[str], references: Sequence[Sequence[str]]) -> float | None:
    if find_spec("pycocoevalcap") is None:
        return None
    from pycocoevalcap.cider.cider import Cider

    numbered = {number: list(lines) for number, lines in enumerate(references)}
    score, _ = Cider().compute_score(numbered, {number: [caption] for number, caption in enumerate(captions)})
    return float(score)
