"""seq2seq evaluate."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seq2seq.cli.arguments import named, path_named
from seq2seq.cli.decoding_options import add_decoding_options, decoding_settings
from seq2seq.cli.evaluate_report import add_report_options, report_options
from seq2seq.cli.scoring import OF_CAPTIONS, add_scoring_options, scorers_of
from seq2seq.cli.tags import add_tag
from seq2seq.cli.verbs import (
    add_fusion,
    add_input_length,
    add_search_options,
    add_translator_options,
    add_verb,
    check_fusion,
    load_run,
    search_settings,
)

if TYPE_CHECKING:
    from seq2seq.tasks.results import Results


def add_evaluate(verbs: Any) -> None:
    """Adds the verb."""
    evaluate = add_verb(
        verbs,
        "evaluate",
        "Answer a split of a data set with a run of any kind, and score the answers. Translations, captions and "
        "transcripts: BLEU, chrF, TER, exact match, error rates. Classes: accuracy, macro F1. Labels per step: "
        "accuracy per step and per sequence. Values: mean absolute and root mean squared error. Language models: bits "
        "and perplexity per character.",
        _evaluate,
    )
    add_input_length(evaluate)
    add_search_options(evaluate)
    add_decoding_options(evaluate)
    add_translator_options(evaluate)
    add_fusion(evaluate)
    _add_data(evaluate)
    evaluate.add_argument(
        "--bleu-tokenizer",
        metavar="NAME",
        help="sacreBLEU's tokenizer for BLEU (default: the run's, else that of the target column's language)",
    )
    add_scoring_options(evaluate)
    evaluate.add_argument(
        "--output",
        type=path_named,
        help="folder of hypotheses, references, metrics, where data and settings other than the run's own are part of "
        "the names (default: RUN/evaluation; needed with an ensemble, or the Hub id of a model)",
    )
    add_report_options(evaluate)
    evaluate.add_argument("--json", action="store_true", help="print the figures as JSON")


def _add_data(evaluate: argparse.ArgumentParser) -> None:
    """What is evaluated on."""
    evaluate.add_argument(
        "--data",
        type=named,
        help="folder, file or Hub id of inputs with expected answers, a row each; a folder of images, frames or "
        "arrays with captions.tsv or metadata.csv, or of recordings with metadata.csv or .jsonl; for a language model "
        "of texts, or a text file (default: what a translator was trained on; of several corpora, those that --source, "
        "--target and --tag name)",
    )
    evaluate.add_argument("--split", type=named, default="test", help="split to answer (default: test)")
    evaluate.add_argument(
        "--source",
        type=named,
        help="column of inputs: texts, or names of image, WAV, .npy or .csv files in the folder of the data (default: "
        "a translator's own; source, or text of a language model)",
    )
    evaluate.add_argument(
        "--target",
        type=named,
        help="column of expected answers: a text or a list of texts; a class; a label per step, with spaces between "
        "them; numbers, or the name of a .npy or .csv file (default: a translator's own; text or transcription "
        "beside recordings; target)",
    )
    add_tag(evaluate, "each input")
    for name, what in (
        ("columns", "names of all columns of tables without a header"),
        ("features", "column of features"),
    ):
        evaluate.add_argument(f"--{name}", type=named, help=f"{what}, as train has it (default: a translator's own)")


def _evaluate(options: argparse.Namespace) -> None:
    from seq2seq.cli.exit_status import quick_imports
    from seq2seq.data.languages import check_tokenizer
    from seq2seq.errors import UserError, check

    if options.bleu_tokenizer:
        check_tokenizer(options.bleu_tokenizer)
    if options.metrics and {*options.metrics} & {*OF_CAPTIONS}:  # refused here, not when all has been answered
        from seq2seq.evaluation.captions import check_caption_metrics

        check_caption_metrics(options.metrics)
    if options.output is None and options.ensemble:
        raise UserError("the figures of an ensemble are not those of one run; name a folder for them with --output")
    check_fusion(options)
    decoding, scorers = decoding_settings(options), scorers_of(options)
    with quick_imports():
        from seq2seq.cli.evaluate_translator import evaluate_translator
        from seq2seq.inference.translator import Translator
    model = load_run(options)
    if options.output is None and not Path(options.model).is_dir():
        raise UserError(f"{options.model} is on the Hub; name a folder for the results with --output")
    results: Results
    if isinstance(model, Translator):
        results = evaluate_translator(options, model, search_settings(options), decoding, scorers)
    else:
        names = ", ".join([*(f"--{name.replace('_', '-')}" for name in decoding), *report_options(options)])
        check(not names, f"{names}: for runs that translate text; {options.model} does not")
        from seq2seq.cli.evaluate_examples import evaluate_examples

        results = evaluate_examples(options, model, search_settings(options), scorers)
    _print(results, options.json)


def _print(results: Results, as_json: bool) -> None:
    if as_json:
        print(json.dumps(results.figures(), indent=1, ensure_ascii=False))
        return
    for line in results.report():
        print(line)
