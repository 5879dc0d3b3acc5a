"""seq2seq evaluate."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from seq2seq.cli.arguments import named, path_named
from seq2seq.cli.verbs import (
    add_input_length,
    add_search_options,
    add_translator_options,
    add_verb,
    load_translator,
    search_settings,
)


def add_evaluate(verbs: Any) -> None:
    """Adds the verb."""
    evaluate = add_verb(verbs, "evaluate", "Translate a split of a corpus and score it.", _evaluate)
    add_input_length(evaluate)
    add_search_options(evaluate)
    add_translator_options(evaluate)
    evaluate.add_argument(
        "--data", type=named, help="folder, file or Hub id of text (default: what the run was trained on)"
    )
    evaluate.add_argument("--split", type=named, default="test", help="split to translate (default: test)")
    evaluate.add_argument("--source", type=named, help="source column (default: the run's)")
    evaluate.add_argument("--target", type=named, help="target column (default: the run's)")
    evaluate.add_argument(
        "--bleu-tokenizer",
        metavar="NAME",
        help="sacreBLEU's tokenizer for BLEU (default: the run's, else that of the target column's language)",
    )
    evaluate.add_argument(
        "--output",
        type=path_named,
        help="folder of hypotheses, references, metrics, where settings other than the run's own are part of the names "
        "(default: RUN/evaluation; needed with an ensemble, or the Hub id of a model)",
    )
    evaluate.add_argument("--json", action="store_true", help="print the figures as JSON")


def _evaluate(options: argparse.Namespace) -> None:
    from seq2seq.cli.exit_status import quick_imports
    from seq2seq.data.languages import check_tokenizer
    from seq2seq.errors import UserError

    if options.bleu_tokenizer:
        check_tokenizer(options.bleu_tokenizer)
    if options.output is None and options.ensemble:
        raise UserError("the figures of an ensemble are not those of one run; tell with --output where they go")
    with quick_imports():
        from seq2seq.cli.evaluate_translator import evaluate_as_told
    translator = load_translator(options)
    if options.output is None and not Path(options.model).is_dir():
        raise UserError(f"{options.model} is on the Hub; tell with --output where the results go")
    evaluation = evaluate_as_told(options, translator, search_settings(options))
    if options.json:
        print(json.dumps(evaluation.figures(), indent=1, ensure_ascii=False))
        return
    scores, lowercased = evaluation.scores, evaluation.lowercased.bleu
    for metric in (scores.bleu, scores.chrf, scores.ter):
        print(f"{metric.describe()}\t{metric.signature}")
    print(f"lowercased {lowercased.describe()}\t{lowercased.signature}")
    for name, rate in scores.percentages().items():
        print(f"{name} {rate:.2f} %")
