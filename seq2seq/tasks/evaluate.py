"""Validation while training (loss, decoded BLEU, the figure that chooses the best model), and evaluation on a split."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch

from seq2seq.data.batch import Pair, collate
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.evaluation.error_rates import character_error_rate, error_rates
from seq2seq.evaluation.metrics import (
    Scores,
    bleu,
    bleu_metric,
    check_seed,
    chrf,
    corpus_scores,
    exact_match,
    lowercased,
    warn_of_unfit_tokenizer,
)
from seq2seq.evaluation.signatures import signature
from seq2seq.inference.decoding import greedy_texts
from seq2seq.inference.outputs import Translation
from seq2seq.inference.translator import Translator
from seq2seq.model.seq2seq import Seq2Seq
from seq2seq.runtime.distributed import World
from seq2seq.search.beam import SearchConfig
from seq2seq.tasks.results import write_results
from seq2seq.training.objectives import ComputeLoss, loss_per_token, teacher_forcing

PAIRS_PER_BATCH = 64

ON_DEMAND: dict[str, Callable[[Sequence[str], Sequence[Sequence[str]]], float]] = {
    "chrf": chrf,
    "accuracy": exact_match,
    "error_rate": lambda hypotheses, references: error_rates(hypotheses, references).token,
    "character_error_rate": character_error_rate,
}
"""Figures of decoded text that validation computes only where they choose the best model."""
VALIDATED = ("bleu", "loss", *ON_DEMAND)
"""Figures that can choose the best model of text to text."""


@dataclass(frozen=True)
class Part:
    """What of a split belongs to one of several corpora."""

    name: str
    """Of the corpus."""
    rows: slice
    """Its sentences among all."""
    target_language: str
    """As Validator has it."""


@dataclass(frozen=True)
class Validator:
    """Called with a model, gives its loss per token and its greedy BLEU on held-out pairs, and the figure that chooses
    the best model."""

    pairs: Sequence[Pair]
    references: Sequence[list[str]]
    target_vocabulary: Vocabulary
    search: SearchConfig
    target_language: str = ""
    """Code or name of the language, which chooses BLEU's tokenizer."""
    bleu_tokenizer: str = ""
    """BLEU's tokenizer; empty: the target language's."""
    best_metric: str = "bleu"
    """Which of `VALIDATED` is computed besides loss and BLEU."""
    objective: ComputeLoss = field(default_factory=teacher_forcing)
    """What the loss is."""
    parts: Sequence[Part] = ()
    """Corpora that get figures of their own, too."""
    world: World = field(default_factory=World)
    """The processes that share the pairs; the main one has all figures, the others the loss."""
    every_rank: ClassVar[bool] = True

    def __post_init__(self) -> None:
        bleu_metric(self.target_language, self.bleu_tokenizer)  # where its package is missing, training does not begin
        warn_of_unfit_tokenizer(self.references, self.target_language, self.bleu_tokenizer)

    @torch.inference_mode()
    def __call__(self, model: Seq2Seq) -> dict[str, float]:
        """loss: of the objective, by default nats per target token without label smoothing; bleu: greedy, detokenised,
        sacreBLEU's defaults; the others: of the same texts, in percent; then those of `parts`."""
        sources = [source for source, _ in self.pairs]
        hypotheses = greedy_texts(model, sources, self.target_vocabulary, self.search, self.world)
        loss = self._loss(model)
        if not self.world.is_main:
            return {"loss": loss}
        score = bleu(hypotheses, self.references, self.target_language, self.bleu_tokenizer)
        chosen = {name: ON_DEMAND[name] for name in (self.best_metric,) if name in ON_DEMAND}
        further = {name: figure(hypotheses, self.references) for name, figure in chosen.items()}
        return {"loss": loss, "bleu": score, **further, **self._of_parts(hypotheses)}

    def standard_error(self, best: float) -> float | None:
        """Of the figure that chooses the best model, at that value: of accuracy, a share of all texts. None where it is
        not known."""
        if self.best_metric != "accuracy":
            return None
        return math.sqrt(best * (100 - best) / len(self.references))

    def _of_parts(self, hypotheses: list[str]) -> dict[str, float]:
        """Of each corpus the figure that chooses the best model, where it is one of decoded text, else BLEU."""
        name = self.best_metric if self.best_metric in ON_DEMAND else "bleu"
        figures = {}
        for part in self.parts:
            texts, expected = hypotheses[part.rows], self.references[part.rows]
            if name == "bleu":
                figure = bleu(texts, expected, part.target_language, self.bleu_tokenizer)
            else:
                figure = ON_DEMAND[name](texts, expected)
            figures[f"{name}_{part.name}"] = figure
        return figures

    def _loss(self, model: Seq2Seq) -> float:
        ordered = sorted(self.pairs, key=lambda pair: (len(pair[1]), len(pair[0])))
        starts = range(0, len(ordered), PAIRS_PER_BATCH)
        batches = (collate(ordered[start : start + PAIRS_PER_BATCH]) for start in starts)
        return loss_per_token(model, batches, self.objective, self.world)


@dataclass(frozen=True)
class Evaluation:
    """A split, translated (or captioned, transcribed) and scored."""

    sources: list[str]
    references: list[list[str]]
    translations: list[Translation]
    scores: Scores
    lowercased: Scores
    """The form of the figures that older papers publish."""
    corpora: Mapping[str, Scores] = field(default_factory=dict)
    """The figures of each corpus, where there are several."""

    @property
    def hypotheses(self) -> list[str]:
        """The translated texts."""
        return [translation.text for translation in self.translations]

    def figures(self) -> dict[str, Any]:
        """All figures with their signatures, for JSON."""
        corpora = {name: scores.to_dict() for name, scores in self.corpora.items()}
        pooled = {"sentences": len(self.sources), **self.scores.to_dict(), "lowercased": self.lowercased.to_dict()}
        signatures = {name.replace(" ", "_"): signature(name, self.references) for name in self.scores.percentages()}
        return {**pooled, "signatures": signatures, **({"corpora": corpora} if corpora else {})}

    def report(self) -> list[str]:
        """All figures, for people: a line each, with their signatures."""
        scores, lowercased = self.scores, self.lowercased.bleu
        metrics = [f"{each.describe()}\t{each.signature}" for each in (scores.bleu, scores.chrf, scores.ter)]
        rates = [
            f"{name} {rate:.2f} %\t{signature(name, self.references)}" for name, rate in scores.percentages().items()
        ]
        corpora = [f"{name}\t{scores.describe()}" for name, scores in self.corpora.items()]
        return [*metrics, f"lowercased {lowercased.describe()}\t{lowercased.signature}", *rates, *corpora]

    def write(self, directory: Path, name: str) -> None:
        """Writes NAME.hypotheses.txt, NAME.references.txt and NAME.metrics.json, see `write_results`."""
        write_results(self, directory, name)


def evaluate(
    translator: Translator,
    sources: list[str],
    references: list[list[str]],
    confidence: bool = True,
    target_language: str = "",
    bleu_tokenizer: str = "",
    parts: Sequence[Part] = (),
    **search_options: Any,
) -> Evaluation:
    """Translates sources by beam search and scores them. target_language, bleu_tokenizer, parts: as Validator has
    them."""
    check_scoring(target_language, bleu_tokenizer)
    translations = [best[0] for best in translator.search(sources, **search_options)]
    return scored(sources, references, translations, target_language, bleu_tokenizer, confidence, parts)


def translate_together(translator: Translator, sources: list[str], world: World) -> list[Translation]:
    """The best translations, on every rank, of sources that the ranks share. They call this together."""
    translator.world = world
    try:
        return [best[0] for best in translator.search(sources)]
    finally:
        translator.world = World()


def check_scoring(target_language: str, bleu_tokenizer: str) -> None:
    """Raises UserError where `scored` could not compute BLEU, so that nothing is translated in vain."""
    bleu_metric(target_language, bleu_tokenizer)
    check_seed()


def scored(
    sources: list[str],
    references: list[list[str]],
    translations: list[Translation],
    target_language: str = "",
    bleu_tokenizer: str = "",
    confidence: bool = True,
    parts: Sequence[Part] = (),
) -> Evaluation:
    """The figures of texts that a model has written. target_language, bleu_tokenizer, parts: as Validator has them."""
    hypotheses = [translation.text for translation in translations]
    scores = corpus_scores(
        hypotheses, references, confidence=confidence, tokenize=bleu_tokenizer, target_language=target_language
    )
    folded = lowercased(scores, hypotheses, references, target_language, bleu_tokenizer)
    corpora = {
        part.name: corpus_scores(
            hypotheses[part.rows],
            references[part.rows],
            confidence=confidence,
            tokenize=bleu_tokenizer,
            target_language=part.target_language,
        )
        for part in parts
    }
    return Evaluation(sources, references, translations, scores, folded, corpora)
