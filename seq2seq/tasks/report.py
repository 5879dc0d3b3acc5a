"""The report of an evaluation: one HTML page of figures, curves, groups of sentences, and sentences to look at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq.config import read_mapping
from seq2seq.data.languages import language_tokenizer
from seq2seq.errors import UserError, check
from seq2seq.evaluation.attention_statistics import attention_statistics
from seq2seq.evaluation.breakdown import Group, by_length, by_mean_word, by_rarest_word, word_counts
from seq2seq.evaluation.calibration import Calibration
from seq2seq.evaluation.differences import Part, marked
from seq2seq.evaluation.fonts import check_available
from seq2seq.evaluation.metrics import Comparison, bleu, bleu_metric, chrf, compare, reference_streams, sentence_chrf
from seq2seq.evaluation.page_figures import bars_figure, inline_svg
from seq2seq.evaluation.plotting import curves_figure
from seq2seq.inference.decoding import attends
from seq2seq.inference.outputs import Alignment, Translation
from seq2seq.inference.translator import Translator
from seq2seq.runs.layout import CONFIG_FILE
from seq2seq.runs.metrics_log import METRICS_FILE, read_journal
from seq2seq.runtime.atomic_files import write_atomically
from seq2seq.runtime.version import version
from seq2seq.tasks.calibration import scorable
from seq2seq.tasks.results import Results

PAGE_FILE = "index.html"
GENERATOR = "seq2seq evaluate --report"
"""What the page says that made it, so that only our own page is written over."""
SENTENCES_SHOWN, BEST_SHOWN = 15, 5
"""Sentences of each list, and outputs of each sentence, at most."""
CALIBRATION_HEADER = ["confidence", "tokens of the references", "mean confidence", "share that is right"]
FAINTEST = 0.02
"""Attention weight below which a cell is not drawn."""


@dataclass(frozen=True)
class Split:
    """What was answered."""

    name: str
    sources: list[str]
    references: list[list[str]]
    language: tuple[str, str]
    """The target language and BLEU's tokenizer."""
    training: Iterable[str] | None
    """Target texts of the training data, whose words are counted; None where they cannot be read."""


@dataclass(frozen=True)
class Answered:
    """A run, and what it answered."""

    name: str
    directory: Path
    translator: Translator
    results: Results
    calibration: Calibration
    options: dict[str, Any]
    """Of the search."""


class Chart(NamedTuple):
    """Bars, and the same in numbers."""

    title: str
    svg: str
    header: list[str]
    rows: list[list[str]]
    note: str = ""
    """What is said above the bars."""


class Curves(NamedTuple):
    """Training of one run."""

    run: str
    svg: str
    last: str
    """The last validation, in words."""


class Output(NamedTuple):
    """What a run wrote for a sentence."""

    run: str
    chrf: float
    parts: list[Part]
    best: list[Translation]
    attention: Alignment | None

    @property
    def cells(self) -> list[tuple[int, int, float]]:
        """Column, row and weight of the attention that can be seen."""
        weights = self.attention.weights if self.attention else []
        return [(x, y, each) for y, row in enumerate(weights) for x, each in enumerate(row) if each >= FAINTEST]


class Sentence(NamedTuple):
    """A sentence to look at."""

    number: int
    """Its line in the split, from 1."""
    source: str
    reference: list[Part]
    outputs: list[Output]


def check_report(folder: Path) -> None:
    """Raises UserError where the page could not be made, or would be written over a file that is not ours."""
    check_available()
    path = folder / PAGE_FILE
    if path.exists():
        with path.open("rb") as file:
            own = GENERATOR.encode() in file.read(2_000)
        check(own, f"{path}: a file that evaluate has not written; move it, or choose another --report")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot write the report there ({error.strerror}); choose another folder") from None


def write_report(folder: Path, split: Split, runs: Sequence[Answered]) -> Path:
    """Writes the page of one run, or of two beside each other, and gives its path."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("seq2seq.evaluation", "page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    page = environment.get_template("report.html").render(
        generator=GENERATOR,
        version=version(),
        split=split,
        runs=[run.name for run in runs],
        figures=_figures(runs),
        comparisons=_comparisons(split, runs),
        curves=[_curves(run, number) for number, run in enumerate(runs, 1)],
        charts=_charts(split, runs),
        confidence=_confidence_charts(split, runs),
        lists=_lists(split, runs),
    )
    path = folder / PAGE_FILE
    write_atomically(path, page)
    return path


def _figures(runs: Sequence[Answered]) -> list[tuple[list[str], str]]:
    """Of each figure the text of each run, and the signature."""
    reports = [[_cells(line, run.results) for line in run.results.report()] for run in runs]
    return [([text for text, _ in each], each[0][1]) for each in zip(*reports, strict=True)]


def _cells(line: str, results: Results) -> tuple[str, str]:
    """A line of figures as text and signature. Lines of single corpora have no signature, but all their figures."""
    text, _, rest = line.partition("\t")
    return (f"{text}: {rest}", "") if text in getattr(results, "corpora", ()) else (text, rest)


def _comparisons(split: Split, runs: Sequence[Answered]) -> list[Comparison]:
    """The chance that each difference of two runs is an accident."""
    if len(runs) < 2:
        return []
    first, second = (run.results.hypotheses for run in runs)
    language, tokenizer = split.language
    streams = reference_streams(first, split.references)
    return compare(first, second, streams, tokenize=tokenizer or language_tokenizer(language))


def _curves(run: Answered, number: int) -> Curves:
    """The training of a run, as far as its directory has it."""
    if not (run.directory / METRICS_FILE).is_file():
        return Curves(run.name, "", "")
    records = read_journal(run.directory)
    stored = read_mapping(run.directory / CONFIG_FILE).get("trainer", {})
    svg = inline_svg(curves_figure(records, stored.get("best_metric", "bleu")), f"curves{number}")
    validated = [each for each in records if "validation_loss" in each]
    last = validated[-1] if validated else {}
    words = [f"{name.removeprefix('validation_')} {value:.4g}" for name, value in last.items() if "validation" in name]
    return Curves(run.name, svg, f"step {last['step']}: {', '.join(words)}" if last else "")


def _charts(split: Split, runs: Sequence[Answered]) -> list[Chart]:
    """BLEU of groups of sentences."""
    tokenizer: Any = bleu_metric(*split.language).tokenizer
    texts = [lines[0] for lines in split.references]

    def tokenise(text: str) -> list[str]:
        return str(tokenizer(text)).split()

    kinds = [("words of the reference", by_length(texts, tokenise))]
    if split.training is not None:
        counts = word_counts(split.training, tokenise)
        kinds += [
            ("occurrences in training of the reference's rarest word", by_rarest_word(texts, counts, tokenise)),
            (
                "mean occurrences in training of the reference's words (geometric)",
                by_mean_word(texts, counts, tokenise),
            ),
        ]
    return [_chart(title, groups, split, runs, f"groups{number}") for number, (title, groups) in enumerate(kinds, 1)]


def _confidence_charts(split: Split, runs: Sequence[Answered]) -> list[Chart]:
    """How often each run is right where it is so sure, and what its attention does."""
    charts = []
    for number, run in enumerate(runs, 1):
        calibration = run.calibration
        rows = [
            [each.label, f"{each.tokens:,}", f"{each.confidence:.3f}", f"{each.accuracy:.3f}"]
            for each in calibration.bins
        ]
        labels = [each.label for each in calibration.bins]
        series = {"accuracy": [100 * each.accuracy for each in calibration.bins]}
        series["confidence"] = [100 * each.confidence for each in calibration.bins]
        svg = inline_svg(bars_figure(labels, series, "confidence", "%"), f"confidence{number}")
        words = [*calibration.report(), *_attention_report(split, run)]
        charts.append(Chart(run.name, svg, CALIBRATION_HEADER, rows, ", ".join(words)))
    return charts


def _attention_report(split: Split, run: Answered) -> list[str]:
    """Of the outputs; nothing where the run does not attend, or has written nothing."""
    rows = scorable(run.translator, split.sources, run.results.hypotheses)
    if not rows or not attends(run.translator.model):
        return []
    found = run.translator.align([split.sources[row] for row in rows], [run.results.hypotheses[row] for row in rows])
    return attention_statistics([each.weights for each in found]).report()


def _chart(title: str, groups: list[Group], split: Split, runs: Sequence[Answered], name: str) -> Chart:
    found = {run.name: [_scores(split, run, group.rows) for group in groups] for run in runs}
    series = {run: [score for score, _ in scores] for run, scores in found.items()}
    svg = inline_svg(bars_figure([group.label for group in groups], series, title, "BLEU"), name)
    header = [title, "sentences", *(f"{metric}, {run}" for run in series for metric in ("BLEU", "chrF"))]
    rows = []
    for number, group in enumerate(groups):
        figures = [f"{value:.1f}" for scores in found.values() for value in scores[number]]
        rows.append([group.label, f"{len(group.rows):,}", *figures])
    return Chart(title, svg, header, rows)


def _scores(split: Split, run: Answered, rows: list[int]) -> tuple[float, float]:
    """BLEU and chrF of some sentences."""
    hypotheses = [run.results.hypotheses[row] for row in rows]
    references = [split.references[row] for row in rows]
    return bleu(hypotheses, references, *split.language), chrf(hypotheses, references)


def _lists(split: Split, runs: Sequence[Answered]) -> dict[str, list[Sentence]]:
    """Sentences to look at, by the titles of their lists."""
    scores = [_sentence_scores(split, run) for run in runs]
    ranked = sorted(range(len(split.sources)), key=scores[0].__getitem__)
    rows_of = {"Worst sentences": ranked[:SENTENCES_SHOWN], "Best sentences": ranked[::-1][:SENTENCES_SHOWN]}
    if len(runs) == 2:
        gains = [second - first for first, second in zip(*scores, strict=True)]
        order = sorted(range(len(gains)), key=gains.__getitem__)
        second = runs[1].name
        rows_of = {
            f"Where {second} gains most": [row for row in order[::-1][:SENTENCES_SHOWN] if gains[row] > 0],
            f"Where {second} loses most": [row for row in order[:SENTENCES_SHOWN] if gains[row] < 0],
            **{f"{title} of {runs[0].name}": rows for title, rows in rows_of.items()},
        }
    rows = sorted({row for each in rows_of.values() for row in each})
    sentences = dict(zip(rows, _sentences(split, runs, scores, rows), strict=True))
    return {title: [sentences[row] for row in each] for title, each in rows_of.items() if each}


def _sentence_scores(split: Split, run: Answered) -> list[float]:
    """chrF of each sentence, by its nearest reference."""
    pairs = zip(run.results.hypotheses, split.references, strict=True)
    return [max(sentence_chrf(hypothesis, line) for line in lines) for hypothesis, lines in pairs]


def _sentences(split: Split, runs: Sequence[Answered], scores: list[list[float]], rows: list[int]) -> list[Sentence]:
    sources = [split.sources[row] for row in rows]
    looked = [_looked_at(run, sources) for run in runs]
    sentences = []
    for place, row in enumerate(rows):
        texts = [run.results.hypotheses[row] for run in runs]
        reference = max(split.references[row], key=lambda line: sentence_chrf(texts[0], line))
        others = texts[::-1] if len(runs) == 2 else [reference]
        outputs = [
            Output(run.name, chrf_of[row], marked(text, other), *found[place])
            for run, chrf_of, text, other, found in zip(runs, scores, texts, others, looked, strict=True)
        ]
        against = reference if len(runs) == 2 else texts[0]
        sentences.append(Sentence(row + 1, split.sources[row], marked(reference, against), outputs))
    return sentences


def _looked_at(run: Answered, sources: list[str]) -> list[tuple[list[Translation], Alignment | None]]:
    """Of each source the best outputs, and the attention of the first."""
    translator, sampled = run.translator, run.options.get("sampling", "off") != "off"
    beam = run.options.get("beam_size", translator.search_config.beam_size)
    found = translator.search(sources, BEST_SHOWN if sampled else min(BEST_SHOWN, beam), **run.options)
    if not attends(translator.model):
        return [(best, None) for best in found]
    return list(zip(found, translator.align(sources, [best[0] for best in found]), strict=True))
