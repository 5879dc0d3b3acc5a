"""Figures of image captioning: BLEU-1 to BLEU-4 against several references (sacreBLEU's), METEOR, ROUGE-L, CIDEr."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sacrebleu.metrics import BLEU

from seq2seq.errors import check
from seq2seq.evaluation.caption_metrics import caption_words, cider, meteor, meteor_is_there, rouge_l
from seq2seq.evaluation.metrics import exact_match, reference_streams

ORDERS = (1, 2, 3, 4)
"""Words of BLEU's longest n-grams."""
WITHOUT_METEOR = "needs Java and pip install 'seq2seq[captions]'"


@dataclass(frozen=True)
class CaptionScores:
    """Corpus figures."""

    bleu: list[float]
    """BLEU-1 to BLEU-4, 0 to 100."""
    meteor: float | None
    """METEOR 1.5, 0 to 100; None where pycocoevalcap or Java is missing."""
    rouge_l: float
    """0 to 100"""
    cider: float
    """CIDEr-D, consensus with the references (Vedantam et al. 2015), 0 to 10."""
    exact_match: float
    """Percentage of captions equal to one of their references."""

    def describe(self) -> str:
        """One line for people."""
        orders = ", ".join(f"BLEU-{order} {score:.1f}" for order, score in enumerate(self.bleu, 1))
        shown = f"not measured ({WITHOUT_METEOR})" if self.meteor is None else f"{self.meteor:.1f}"
        figures = f"METEOR {shown}, ROUGE-L {self.rouge_l:.1f}, CIDEr {self.cider:.2f}"
        return f"{orders}, {figures}, exact match {self.exact_match:.1f} %"


def caption_scores(captions: Sequence[str], references: Sequence[Sequence[str]]) -> CaptionScores:
    """Scores captions against one or more references each, words alone, in small letters. Raises UserError where there
    are none, or one has no reference."""
    plain, lines = _words(captions, references)
    scores = [_bleu(order, plain, lines) for order in ORDERS]
    return CaptionScores(
        scores, meteor(plain, lines), rouge_l(plain, lines), cider(plain, lines), exact_match(plain, lines)
    )


def _words(captions: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """Both sides as they are compared. Raises UserError where they cannot be."""
    reference_streams(captions, references)
    return [caption_words(each) for each in captions], [list(map(caption_words, each)) for each in references]


def _bleu(order: int, captions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    streams: Any = reference_streams(captions, references)
    metric = BLEU(max_ngram_order=order, tokenize="none", references=streams)
    return float(metric.corpus_score(list(captions), None).score)


def check_caption_metrics(names: Sequence[str]) -> None:
    """Raises UserError where one of these figures cannot be computed here."""
    missing = "meteor" in names and not meteor_is_there()
    check(not missing, f"--metrics meteor: METEOR's program {WITHOUT_METEOR}; leave it out")


def caption_figure(name: str, captions: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """One of CAPTION_METRICS. Raises UserError where it cannot be computed here, or as `caption_scores`."""
    check_caption_metrics([name])
    plain, lines = _words(captions, references)
    match name:
        case "rouge-l":
            return rouge_l(plain, lines)
        case "cider":
            return cider(plain, lines)
        case "meteor":
            score = meteor(plain, lines)
            assert score is not None  # it is there
            return score
    return _bleu(int(name[-1]), plain, lines)


CAPTION_METRICS = {
    **{f"bleu-{order}": f"BLEU-{order}" for order in ORDERS},
    "meteor": "METEOR",
    "rouge-l": "ROUGE-L",
    "cider": "CIDEr",
}
"""Figures of captions by the names that choose them, with their names for people."""
