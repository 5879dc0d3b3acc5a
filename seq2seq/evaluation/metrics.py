"""Scores of translations against references: BLEU, chrF, TER (all sacreBLEU's own), exact match and error rates."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.significance import PairedTest
from sacrebleu.tokenizers.tokenizer_re import TokenizerRegexp

from seq2seq.config import SEEDS
from seq2seq.data.languages import check_tokenizer, language_tokenizer, unfit_tokenizer
from seq2seq.errors import UserError
from seq2seq.evaluation.error_rates import character_error_rate, check_each_has_one, check_lines, error_rates

log = logging.getLogger(__name__)


BOOTSTRAP_SAMPLES = 1_000
"""Resamplings of a confidence interval and of the paired bootstrap test, as many as sacreBLEU's command takes."""
RANDOMISATIONS = 10_000
"""The same of trials of approximate randomisation."""

SENTENCE_CHRF = CHRF()


@dataclass(frozen=True)
class Metric:
    """One figure as sacreBLEU gives it."""

    name: str
    score: float
    """0 to 100; TER may exceed 100."""
    signature: str
    """How it was computed, in sacreBLEU's words."""
    confidence: float | None = None
    """Half the width of the 95 % bootstrap interval; None where it was not asked for."""
    mean: float | None = None
    """Mean over the bootstrap samples."""

    def describe(self) -> str:
        """Name, score and interval."""
        interval = "" if self.confidence is None else f" ± {self.confidence:.2f}"
        return f"{self.name} {self.score:.2f}{interval}"


@dataclass(frozen=True)
class Scores:
    """Corpus scores of one set of hypotheses."""

    bleu: Metric
    chrf: Metric
    ter: Metric
    exact_match: float
    """Percentage of hypotheses equal to one of their references, kinds of white space aside."""
    word_error_rate: float
    """Edits in percent of the references' tokens, which spaces separate: words, or symbols such as phonemes."""
    character_error_rate: float
    """Edits in percent of the references' characters."""

    def describe(self) -> str:
        """One line for people; without BLEU where it is 0 though outputs are right: it needs texts of four words."""
        silent = self.bleu.score == 0 and self.exact_match > 0
        metrics = (self.chrf, self.ter) if silent else (self.bleu, self.chrf, self.ter)
        figures = ", ".join(metric.describe() for metric in metrics)
        rates = ", ".join(f"{name} {rate:.2f} %" for name, rate in self.percentages().items())
        return f"{figures}, {rates} ({metrics[0].signature})"

    def percentages(self) -> dict[str, float]:
        """The figures that are not sacreBLEU's, by their names for people."""
        return {
            "exact match": self.exact_match,
            "word error rate": self.word_error_rate,
            "character error rate": self.character_error_rate,
        }

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        metrics = {metric.name: vars(metric) for metric in (self.bleu, self.chrf, self.ter)}
        return {**metrics, **{name.replace(" ", "_"): rate for name, rate in self.percentages().items()}}


def check_seed() -> None:
    """Raises UserError where sacreBLEU would fail on the seed of the bootstrap, SACREBLEU_SEED."""
    seed = os.environ.get("SACREBLEU_SEED", "none")
    digits = seed.isascii() and seed.isdigit() and len(seed) <= len(str(SEEDS.highest))
    if seed.lower() != "none" and not (digits and SEEDS.admits(int(seed))):
        raise UserError(f"the seed {seed[:40]!r} is neither {SEEDS} nor none: see --seed, SACREBLEU_SEED")


def corpus_scores(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    confidence: bool = False,
    lowercase: bool = False,
    tokenize: str | None = None,
    target_language: str = "",
) -> Scores:
    """All scores of a corpus. references: per hypothesis one or more strings, their number may vary.

    confidence adds bootstrap intervals (seed: SACREBLEU_SEED, as sacreBLEU has it). tokenize: BLEU's tokenizer, None
    for the target language's (see bleu_metric). Raises UserError where the numbers of lines differ or there are none.
    """
    if confidence:
        check_seed()
    streams = reference_streams(hypotheses, references)
    samples = BOOTSTRAP_SAMPLES if confidence else 1
    metrics = build_metrics(streams, lowercase, tokenize, target_language)
    bleu_, chrf, ter = (_score(each, hypotheses, samples) for each in metrics)
    return Scores(bleu_, chrf, ter, *_percentages(hypotheses, references, lowercase))


def _percentages(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], lowercase: bool
) -> tuple[float, float, float]:
    """Exact match, word and character error rate."""
    if lowercase:
        hypotheses = [line.lower() for line in hypotheses]
        references = [[line.lower() for line in lines] for lines in references]
    rates = error_rates(hypotheses, references).token, character_error_rate(hypotheses, references)
    return exact_match(hypotheses, references), *rates


def lowercased(
    scores: Scores,
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    target_language: str = "",
    tokenize: str | None = None,
) -> Scores:
    """These scores without regard to case, and BLEU and chrF without intervals. TER never regards it: it stays."""
    streams: Any = reference_streams(hypotheses, references)
    metrics = (bleu_metric(target_language, tokenize, True, streams), CHRF(lowercase=True, references=streams))
    bleu_, chrf = (_score(each, hypotheses, 1) for each in metrics)
    return Scores(bleu_, chrf, scores.ter, *_percentages(hypotheses, references, lowercase=True))


def build_metrics(
    streams: Any, lowercase: bool = False, tokenize: str | None = None, target_language: str = ""
) -> tuple[BLEU, CHRF, TER]:
    """sacreBLEU's metric objects over reference streams. Its annotations do not admit the None that it understands."""
    return (
        bleu_metric(target_language, tokenize, lowercase, streams),
        CHRF(lowercase=lowercase, references=streams),
        TER(references=streams),  # sacreBLEU folds the case for TER by default
    )


def metric_of(
    name: str,
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    target_language: str = "",
    tokenize: str | None = None,
) -> Metric:
    """One of sacreBLEU's figures, with its interval: bleu, chrf, chrf++ or ter. Raises UserError as `corpus_scores`
    does."""
    check_seed()
    streams: Any = reference_streams(hypotheses, references)
    match name:
        case "bleu":
            metric: Any = bleu_metric(target_language, tokenize, streams=streams)
        case "ter":
            metric = TER(references=streams)
        case _:
            metric = CHRF(word_order=2 if name == "chrf++" else 0, references=streams)
    return _score(metric, hypotheses, BOOTSTRAP_SAMPLES)


def bleu_metric(
    target_language: str = "", tokenize: str | None = None, lowercase: bool = False, streams: Any = None
) -> BLEU:
    """sacreBLEU's BLEU. Where `tokenize` names no tokenizer, the target language (a code or a name) chooses it.

    Raises UserError where there is no such tokenizer, or it needs a package or a download that is not to be had.
    """
    tokenizer = tokenize or language_tokenizer(target_language)
    check_tokenizer(tokenizer)
    renamed = {"spm": "flores101"}.get(tokenizer, tokenizer)  # sacreBLEU does the same, with a line on stderr each time
    try:
        return BLEU(lowercase=lowercase, tokenize=renamed, references=streams)
    except (ImportError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"BLEU's tokenizer for {tokenize or target_language} cannot be used: {reason}; "
            "or choose --bleu-tokenizer char, which needs nothing further"
        ) from None


def warn_of_unfit_tokenizer(
    references: Sequence[Sequence[str]], target_language: str = "", tokenize: str | None = None
) -> None:
    """Logs a warning where BLEU's tokenizer does not fit the script of the references."""
    tokenizer = tokenize or language_tokenizer(target_language)
    reason = unfit_tokenizer(tokenizer, (line for lines in references for line in lines))
    if reason is not None:
        log.warning(reason)


def bleu(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    target_language: str = "",
    tokenize: str | None = None,
) -> float:
    """BLEU alone: what validation during training needs, without the cost of TER."""
    metric: Any = bleu_metric(target_language, tokenize, streams=reference_streams(hypotheses, references))
    score = metric.corpus_score(list(hypotheses), None).score
    tokenizers: tuple[Any, ...] = (type(metric.tokenizer), TokenizerRegexp)
    for tokenizer in tokenizers:  # they would keep 65,536 sentences of this and other validations
        forget = getattr(tokenizer.__call__, "cache_clear", None)  # "none" keeps nothing
        if forget is not None:
            forget()
    return float(score)


def chrf(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """chrF alone."""
    streams: Any = reference_streams(hypotheses, references)
    return float(CHRF(references=streams).corpus_score(list(hypotheses), None).score)


def sentence_chrf(hypothesis: str, reference: str) -> float:
    """chrF2 of one sentence, 0 to 100."""
    return float(SENTENCE_CHRF.sentence_score(hypothesis, [reference]).score)


def reference_streams(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """References per line -> per stream, as sacreBLEU takes them; None where a line has fewer than others."""
    check_lines(hypotheses, references)
    if not hypotheses:
        raise UserError("there is nothing to score: no hypotheses and no references")
    width = max(len(lines) for lines in references)
    if not width:
        raise UserError("there is nothing to score against: no line has a reference")
    check_each_has_one(references)
    return [[lines[i] if i < len(lines) else None for lines in references] for i in range(width)]


def exact_match(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Percentage of hypotheses equal to one of their references.

    Runs of white space count as one space, no-break spaces too: most vocabularies' normalisation cannot write others.
    """

    def plain(text: str) -> str:
        return " ".join(text.split())

    check_lines(hypotheses, references)
    matches = (
        plain(hypothesis) in {plain(line) for line in lines}
        for hypothesis, lines in zip(hypotheses, references, strict=True)
    )
    return 100 * sum(matches) / max(1, len(hypotheses))


@dataclass(frozen=True)
class Comparison:
    """One metric of two systems, with the chance that their difference is an accident."""

    baseline: Metric
    system: Metric
    p_value: float
    """Chance that a difference as large arises by resampling alone (Koehn 2004), or by swapping outputs at random
    (Riezler & Maxwell 2005); of no meaning where the scores are equal."""


def compare(
    baseline: Sequence[str],
    system: Sequence[str],
    streams: list[list[str | None]],
    lowercase: bool = False,
    tokenize: str | None = None,
    randomised: bool = False,
) -> list[Comparison]:
    """Paired bootstrap test of a system against a baseline, metric by metric, or approximate randomisation, which gives
    no intervals, as sacreBLEU's own command does them."""
    check_seed()
    metrics = {type(metric).__name__: metric for metric in build_metrics(streams, lowercase, tokenize)}
    signatures, results = _paired([("baseline", baseline), ("system", system)], metrics, randomised)
    comparisons = []
    for name, signature in signatures:
        first, second = (
            Metric(name, float(each.score), signature.format(), _float(each.ci), _float(each.mean))
            for each in results[name]
        )
        comparisons.append(Comparison(first, second, p_value=float(results[name][1].p_value)))
    return comparisons


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _score(metric: Any, hypotheses: Sequence[str], samples: int) -> Metric:
    try:
        result = metric.corpus_score(list(hypotheses), None, n_bootstrap=samples)
    except TypeError:  # its mean fails where some resamplings score a plain 0.0 and others a numpy number
        ((name, signature),), results = _paired([("system", hypotheses)], {"metric": metric})
        only = results[name][0]
        return Metric(name, float(only.score), signature.format(), float(only.ci), float(only.mean))
    interval = (float(result._ci), float(result._mean)) if samples > 1 else (None, None)
    return Metric(result.name, float(result.score), metric.get_signature().format(), *interval)


def _paired(
    systems: list[tuple[str, Sequence[str]]], metrics: dict[str, Any], randomised: bool = False
) -> tuple[list[tuple[str, Any]], Any]:
    """sacreBLEU's paired test over systems: (name, signature) per metric, and results by name and system."""
    kind, count = ("ar", RANDOMISATIONS) if randomised else ("bs", BOOTSTRAP_SAMPLES)
    test: Any = PairedTest(systems, metrics, references=None, test_type=kind, n_samples=count)
    signatures, results = test()
    return list(signatures.items()), results
