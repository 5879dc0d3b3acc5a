#!/usr/bin/env python3
"""Scores translations on stdin against reference files: sacreBLEU's BLEU, chrF, TER, exact match, error rates.

tools/bleu.py REF... < HYP
tools/bleu.py REF --confidence --json < HYP
tools/bleu.py REF --compare OTHER_HYP... [--randomisation] [--markdown] < HYP
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
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
        nargs="+",
        default=[],
        metavar="HYP2",
        help="files of other systems' outputs: paired bootstrap test of each against stdin, 1,000 resamplings",
    )
    parse.add_argument(
        "--randomisation",
        action="store_true",
        help="with --compare: approximate randomisation, 10,000 trials, instead of the bootstrap (default: off)",
    )
    forms = parse.add_mutually_exclusive_group()
    forms.add_argument("--markdown", action="store_true", help="print a Markdown table, a row for each system")
    forms.add_argument("--latex", action="store_true", help="print the rows of a LaTeX table, for booktabs")
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
        any(path != STDIN for path in arguments.references) and STDIN not in arguments.compare,
        "-: standard input has the translations to score; name a file of references, and of HYP2",
    )
    check(not arguments.randomisation or bool(arguments.compare), "--randomisation compares systems: give --compare")
    names = [*arguments.references, *arguments.compare]
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
        streams = reference_streams(hypotheses, references)
        options |= {"randomised": arguments.randomisation}
        compared = {path: compare(hypotheses, contents[path], streams, **options) for path in arguments.compare}
        figures = {path: {each.system.name: _as_dict(each) for each in found} for path, found in compared.items()}
        return figures if len(figures) > 1 else next(iter(figures.values()))
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
    """The figures for people. Of several systems each has a heading."""
    if _of_systems(figures):
        return "\n".join(f"{path}\n{table(each)}" for path, each in figures.items())
    return "\n".join(_line(name, figure) for name, figure in figures.items())


def _line(name: str, figure: Any) -> str:
    if isinstance(figure, float):
        return f"{name.replace('_', ' ')} {figure:.2f} %"
    if "p_value" not in figure:
        interval = "" if figure["confidence"] is None else f" (μ = {figure['mean']:.2f} ± {figure['confidence']:.2f})"
        return f"{name} {figure['score']:.2f}{interval}  {figure['signature']}"
    first, second = (_score(figure[key]) for key in ("stdin", "compared"))
    verdict = "significant" if figure["p_value"] < 0.05 else "not significant"
    chance = f"p = {figure['p_value']:.4f} ({verdict} at 0.05)" if first != second else "no difference"
    return f"{name} {first} -> {second}, {chance}  {figure['signature']}"


def _score(figure: dict[str, Any]) -> str:
    interval = "" if figure["confidence"] is None else f" ± {figure['confidence']:.2f}"
    return f"{figure['score']:.2f}{interval}"


def _of_systems(figures: dict[str, Any]) -> bool:
    """Whether the figures are of several systems by their files, not of metrics by their names."""
    return all(isinstance(each, dict) and "signature" not in each for each in figures.values())


def paper_table(figures: dict[str, Any], compared: Sequence[str], latex: bool) -> str:
    """A row for each system, a column for each metric; * where it differs from the first row, p < 0.05."""
    systems = figures if _of_systems(figures) else {path: figures for path in compared}
    first = next(iter(systems.values()), figures)
    names = [name for name, figure in first.items() if not isinstance(figure, float)]
    rows = [["system", *names]]
    rows.append(["standard input", *(_score(first[name].get("stdin", first[name])) for name in names)])
    for path, found in systems.items():
        marks = ["*" if found[name]["p_value"] < 0.05 else "" for name in names]
        rows.append([path, *(_score(found[name]["compared"]) + mark for name, mark in zip(names, marks, strict=True))])
    signatures = [f"{name}: {first[name]['signature']}" for name in names]
    if not latex:
        lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
        return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:], "", *signatures])
    cells = [[re.sub(r"([&%$#_{}])", r"\\\1", cell).replace("±", r"$\pm$") for cell in row] for row in rows]
    lines = [" & ".join(row) + r" \\" for row in cells]
    return "\n".join(
        [*(f"% {each}" for each in signatures), r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 2 where the input is at fault."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # μ and ± in whatever locale, as sacreBLEU's command does it
        sys.stdout.reconfigure(encoding="utf-8")

    def work() -> None:
        options = parser().parse_args(arguments)
        if options.seed is not None:
            os.environ["SACREBLEU_SEED"] = options.seed
        figures = run(options)
        if options.json:
            print(json.dumps(figures, indent=1, ensure_ascii=False))
        elif options.markdown or options.latex:
            print(paper_table(figures, options.compare, options.latex))
        else:
            print(table(figures))

    return guarded("bleu.py", work)


if __name__ == "__main__":
    sys.exit(main())
