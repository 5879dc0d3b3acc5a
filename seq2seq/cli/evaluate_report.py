"""The report and the list of errors that `seq2seq evaluate` writes on request."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seq2seq.cli.arguments import named, path_named
from seq2seq.cli.features import reads_features
from seq2seq.errors import UserError, check

if TYPE_CHECKING:
    from seq2seq.data.corpus import DataConfig
    from seq2seq.evaluation.calibration import Calibration
    from seq2seq.inference.translator import Translator
    from seq2seq.tasks.report import Split
    from seq2seq.tasks.results import Results

COMPANY = {"ensemble": "ensemble", "language model": "lm", "shortlist": "shortlist"}
"""What the first run may have beside it, the second has not, by the options."""


def add_report_options(evaluate: argparse.ArgumentParser) -> None:
    """What is written besides figures."""
    evaluate.add_argument(
        "--report",
        type=path_named,
        metavar="DIR",
        help="write DIR/index.html, a page for the browser: figures, training curves, BLEU by length and by frequency "
        "of words, worst and best sentences with n best and attention; needs the extra plot",
    )
    evaluate.add_argument(
        "--compare",
        type=named,
        metavar="RUN2",
        help="a second run for --report: both beside each other, their differences marked",
    )
    evaluate.add_argument(
        "--calibration",
        action="store_true",
        help="print, too, the expected calibration error of the references' tokens, by forced decoding in 10 bins "
        "of confidence, and the rank correlation of outputs' scores with their chrF",
    )
    evaluate.add_argument(
        "--errors",
        type=path_named,
        metavar="FILE",
        help="write a TSV of the texts that are wrong: line, source, output, nearest reference, and the edits between "
        "these by characters, or by symbols where the run writes symbols; beside errors.tsv, errors.confusions.tsv "
        "counts the edits",
    )


def report_options(options: argparse.Namespace) -> list[str]:
    """Those that were given, as they are spelled."""
    return [f"--{name}" for name in ("report", "compare", "calibration") if getattr(options, name)]


def check_report_options(options: argparse.Namespace) -> None:
    """Raises UserError, before anything is translated, where what is asked for could not be written."""
    check(options.compare is None or options.report is not None, "--compare goes with --report: name a folder")
    if options.compare is not None:
        from seq2seq.runs.hub import find_run
        from seq2seq.runs.stored_model import read_stored

        kind = read_stored(find_run(options.compare, {})).kind
        check(kind == "translator", f"--compare {options.compare}: holds a {kind}; name a run that translates")
    if options.report is not None:
        from seq2seq.tasks.report import check_report

        check_report(options.report)
    check_errors(options)


def check_errors(options: argparse.Namespace) -> None:
    """Raises UserError where the list of errors could not be written."""
    if options.errors is not None:
        from seq2seq.evaluation.error_list import check_error_list

        check_error_list(options.errors)


def write_errors(options: argparse.Namespace, sources: list[str], results: Results, symbols: bool = False) -> None:
    """Writes the list of errors, where one is asked for. symbols: whether texts are symbols with spaces between
    them."""
    if options.errors is not None:
        from seq2seq.evaluation.error_list import write_error_list

        write_error_list(options.errors, sources, results.hypotheses, results.references, symbols)
        print(f"seq2seq: errors: {options.errors}", file=sys.stderr)


def shown_data(corpus: DataConfig) -> str:
    """Where the data lies, of several corpora each."""
    return ", ".join(dict.fromkeys(str(each.path) for each in corpus.corpora()))


def split_of(options: argparse.Namespace, corpus: DataConfig, sources: list[str], references: list[list[str]]) -> Split:
    """What the report is about."""
    from seq2seq.tasks.report import Split

    ways = (f"{each.source} to {each.target}" for each in corpus.corpora())
    name = f"{shown_data(corpus)}, {options.split}, {', '.join(dict.fromkeys(ways))}"
    training = _training_texts(corpus)
    return Split(name, sources, references, (corpus.language, corpus.bleu_tokenizer), training)


def write_requested(
    options: argparse.Namespace,
    split: Split,
    translator: Translator,
    results: Results,
    calibration: Calibration,
    judge: Callable[[Translator], Results],
    search: dict[str, Any],
) -> None:
    """Writes the report. judge: translates and scores the split by another run. search: the options of the search."""
    from seq2seq.cli.verbs import load_other
    from seq2seq.tasks.calibration import calibration_of
    from seq2seq.tasks.report import Answered, write_report

    names = [_name(options.model), _name(options.compare or "")]
    if names[0] == names[1]:
        names = [options.model, options.compare]
    names[0] += "".join(f" with {word}" for word, given in COMPANY.items() if getattr(options, given))
    runs = [Answered(names[0], Path(options.model), translator, results, calibration, search)]
    if options.compare is not None:
        other = load_other(options, options.compare, "translator")
        other.precision, other.max_source_tokens = translator.precision, translator.max_source_tokens
        alike = reads_features(other) == reads_features(translator) and {*other.tags} == {*translator.tags}
        check(alike, f"--compare {options.compare}: one of both runs reads features, or tags, that the other does not")
        try:
            answers = judge(other)
            theirs = calibration_of(other, split.sources, answers)
        except UserError as error:
            raise UserError(f"--compare {options.compare}: {error}") from None
        runs.append(Answered(names[1], Path(options.compare), other, answers, theirs, search))
    print(f"seq2seq: report: {write_report(options.report, split, runs)}", file=sys.stderr)


def _name(run: str) -> str:
    """What a run is called on the page."""
    return Path(run).resolve().name if Path(run).is_dir() else run


def _training_texts(corpus: DataConfig) -> Iterator[str] | None:
    """The targets of the training data; None where they cannot be read."""
    from seq2seq.data.corpus import load_split, references

    try:
        split = load_split(replace(corpus, streaming=False), corpus.train_split)
    except UserError:
        return None
    return (text for lines in references(split) for text in lines)
