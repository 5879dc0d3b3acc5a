#!/usr/bin/env python3
"""Scores translations on stdin against reference files: sacreBLEU's BLEU, chrF, TER, exact match, error rates.

tools/bleu.py REF... < HYP
tools/bleu.py REF --confidence --json < HYP
tools/bleu.py REF --compare OTHER_HYP < HYP
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seq2seq.cli.arguments import Parser
from seq2seq.cli.exit_status import guarded
from seq2seq.cli.lines import STDIN, standard_input
from seq2seq.data.languages import TOKENIZERS, check_tokenizer
from seq2seq.errors import UserError, check
from seq2seq.evaluation.metrics import (
    Comparison,
    check_seed,
    compare,
    corpus_scores,
    reference_streams,
    warn_of_unfit_tokenizer,
)


def parser() -> Parser:
    """The options."""
    parse = Parser(description=(__doc__ or "").split("\n\n")[0])
    parse.add_argument(
        "references",
        nargs="+",
        metavar="REF",
        help="reference file, one segment per line; of several, blank lines count as no reference; - may name the "
        "translations on standard input, too",
    )
    parse.add_argument("--json", action="store_true", help="print JSON, figures unrounded (default: a table)")
    parse.add_argument(
        "--confidence", action="store_true", help="add 95 %% bootstrap intervals over 1,000 resamplings (default: off)"
    )
    parse.add_argument(
        "--compare",
        metavar="HYP2",
        help="file of another system's output: paired bootstrap test of HYP2 against stdin, 1,000 resamplings",
    )
    parse.add_argument(
        "--lowercase",
        action="store_true",
        help="ignore case in BLEU, chrF and exact match; TER always does (default: off)",
    )
    parse.add_argument(
        "--bleu-tokenizer",
        "--tokenize",
        metavar="NAME",
        default="13a",
        help=f"BLEU's tokenizer: {', '.join(TOKENIZERS)} (default: 13a); give it untokenised text on both sides",
    )
    parse.add_argument(
        "--seed",
        help="seed of the bootstrap, 0 or more, or none for a new one each time (default: SACREBLEU_SEED or 12345)",
    )
    return parse


def decode_lines(content: bytes, name: str) -> list[str]:
    """Lines of UTF-8 text; they end at "\\n" only. Raises UserError naming file and line of an undecodable byte."""
    try:
        lines = content.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{name}, line {line}: not valid UTF-8; convert the file first") from None
    return [line.removesuffix("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]


def read_lines(path: str) -> list[str]:
    """Lines of a file. Raises UserError where it cannot be read."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    return decode_lines(content, path)


def read_files(arguments: argparse.Namespace) -> dict[str, list[str]]:
    """Lines of all files by name, those of the references first. Raises UserError where one cannot be read. `-` among
    the references stands for standard input, whose lines are the translations."""
    check(
        any(path != STDIN for path in arguments.references) and arguments.compare != STDIN,
        "-: standard input has the translations to score; name a file of references, and of HYP2",
    )
    names = [*arguments.references, *([arguments.compare] if arguments.compare else [])]
    return {path: read_lines(path) for path in names if path != STDIN}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Scores what the options name; the result is ready for JSON."""
    check_tokenizer(arguments.bleu_tokenizer)
    check_seed()
    contents = read_files(arguments)
    hypotheses = decode_lines(standard_input("the translations").read(), "standard input")
    if not hypotheses:
        raise UserError("standard input is empty: give it the translations, one per line")
    for path, lines in contents.items():
        sizes = f"{path} has {len(lines)} lines, standard input has {len(hypotheses)}"
        check(len(lines) == len(hypotheses), f"{sizes}; both need one segment per line")
    files = [contents[path] for path in arguments.references if path != STDIN]
    references = [[line for line in lines if line.strip()] or [""] for lines in zip(*files, strict=True)]
    options = {"lowercase": arguments.lowercase, "tokenize": arguments.bleu_tokenizer}
    warn_of_unfit_tokenizer(references, tokenize=arguments.bleu_tokenizer)
    if arguments.compare:
        other = contents[arguments.compare]
        comparisons = compare(hypotheses, other, reference_streams(hypotheses, references), **options)
        return {each.system.name: _as_dict(each) for each in comparisons}
    return corpus_scores(hypotheses, references, confidence=arguments.confidence, **options).to_dict()


def _as_dict(comparison: Comparison) -> dict[str, Any]:
    first, second = vars(comparison.baseline), vars(comparison.system)
    kept = ("score", "mean", "confidence")
    return {
        "signature": comparison.system.signature,
        "stdin": {key: first[key] for key in kept},
        "compared": {key: second[key] for key in kept},
        "p_value": comparison.p_value,
    }


def table(figures: dict[str, Any]) -> str:
    """The figures for people."""
    lines = []
    for name, figure in figures.items():
        if isinstance(figure, float):
            lines.append(f"{name.replace('_', ' ')} {figure:.2f} %")
        elif "p_value" in figure:
            first, second = (
                f"{figure[key]['score']:.2f} ± {figure[key]['confidence']:.2f}" for key in ("stdin", "compared")
            )
            verdict = "significant" if figure["p_value"] < 0.05 else "not significant"
            chance = f"p = {figure['p_value']:.4f} ({verdict} at 0.05)" if first != second else "no difference"
            change = f"{first} -> {second}, {chance}"
            lines.append(f"{name} {change}  {figure['signature']}")
        else:
            interval = (
                "" if figure["confidence"] is None else f" (μ = {figure['mean']:.2f} ± {figure['confidence']:.2f})"
            )
            lines.append(f"{name} {figure['score']:.2f}{interval}  {figure['signature']}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 2 where the input is at fault."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # μ and ± in whatever locale, as sacreBLEU's command does it
        sys.stdout.reconfigure(encoding="utf-8")

    def work() -> None:
        options = parser().parse_args(arguments)
        if options.seed is not None:
            os.environ["SACREBLEU_SEED"] = options.seed
        figures = run(options)
        print(json.dumps(figures, indent=1, ensure_ascii=False) if options.json else table(figures))

    return guarded("bleu.py", work)


if __name__ == "__main__":
    sys.exit(main())
