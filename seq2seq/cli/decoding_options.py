"""Options of a search beyond the plain beam, made of DecodingConfig's fields. Needs no torch."""

from __future__ import annotations

import argparse
import ast
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from seq2seq.cli.arguments import Parser, number_within, path_named
from seq2seq.config import option_types
from seq2seq.search import decoding_config
from seq2seq.search.decoding_config import BOUNDS, DecodingConfig

FILES = {
    "ban": "words and phrases that no output holds, one per line, as words: a banned art leaves party alone",
    "ban_pieces": "pieces of the target vocabulary that no output has, one per line; ▁ stands for the begin of a word",
}
"""Options that name a file of lines, by the search's option."""


def add_decoding_options(parser: Parser) -> None:
    """One option for each field, and those that name files."""
    group = parser.add_argument_group("decoding", "restrictions of the output, and other ways to choose it")
    annotations, texts = option_types(DecodingConfig), field_docstrings(DecodingConfig)
    for field in fields(DecodingConfig):
        group.add_argument(_spelled(field.name), **_form(field, annotations[field.name], texts[field.name]))
    group.add_argument(
        "--terminology",
        type=path_named,
        metavar="FILE",
        help="TSV of a term of the source and, behind a tab, what it becomes in every translation of a line that holds "
        "it as a word of its own; a wider beam finds better places for terms",
    )
    for name, text in FILES.items():
        group.add_argument(_spelled(name), type=path_named, metavar="FILE", help=text)


def decoding_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The options that were given, as `Translator.search` takes them: files are read. Raises UserError where they do
    not go together."""
    from seq2seq.cli.lines import check_standard_input

    check_standard_input(decoding_files(options))
    names = [field.name for field in fields(DecodingConfig)]
    given = {name: getattr(options, name) for name in names if getattr(options, name) not in (None, False)}
    DecodingConfig(**given)  # before a model is loaded
    texts = {name: _lines(getattr(options, name)) for name in FILES if getattr(options, name) is not None}
    return given | texts | ({"terminology": _terminology(options.terminology)} if options.terminology else {})


def decoding_files(options: argparse.Namespace) -> dict[str, Path | None]:
    """The files that options name, by these."""
    return {_spelled(name): getattr(options, name) for name in (*FILES, "terminology")}


def decoding_name(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same for the name of a file: of lists of texts a checksum."""
    from seq2seq.tasks.evaluation_files import sum_of

    return {name: sum_of(value)[:8] if isinstance(value, list | dict) else value for name, value in settings.items()}


def field_docstrings(cls: type[Any]) -> dict[str, str]:
    """The docstring below each field of a class, in one line."""
    body = next(
        node.body
        for node in ast.parse(inspect.getsource(decoding_config)).body
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    )
    return dict(_documented(body))


def _documented(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            yield field.target.id, " ".join(ast.literal_eval(text.value).split())


def _form(field: Field[Any], annotation: Any, text: str) -> dict[str, Any]:
    """What argparse takes for a field. What was not given is None, or False, of a switch."""
    assert field.default is not MISSING
    text = text.replace("%", "%%")
    if annotation is bool:
        return {"action": "store_true", "help": text}
    if get_origin(annotation) is Literal:
        return {"choices": get_args(annotation), "help": f"{text} (default: {field.default})"}
    bounds = BOUNDS[field.name]
    return {"type": number_within(bounds), "metavar": "N", "help": f"{text} (default: {field.default:g})"}


def _spelled(name: str) -> str:
    return "--" + name.replace("_", "-")


def _lines(path: Path) -> list[str]:
    """The lines of a file, blank ones left out."""
    from seq2seq.cli.lines import file_lines

    return [line for line in file_lines(path, "texts") if line.strip()]


def _terminology(path: Path) -> dict[str, str]:
    """Terms and what they become. Raises UserError naming the line that is wrong."""
    from seq2seq.cli.lines import lines_of
    from seq2seq.errors import check

    terms: dict[str, str] = {}
    with lines_of([path], "terms") as lines:
        for number, line in enumerate(lines, 1):
            columns = [cell.strip() for cell in line.split("\t")]
            if columns == [""]:
                continue
            fits = len(columns) == 2 and all(columns)
            check(fits, f"{path}, line {number}: not a source term and a target term with a tab between them")
            before = terms.setdefault(*columns)
            check(
                before == columns[1], f"{path}, line {number}: {columns[0]!r} becomes {before!r} above; keep one line"
            )
    return terms
