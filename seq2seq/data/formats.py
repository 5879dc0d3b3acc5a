"""Readers of local files of sentence pairs: JSON, CSV, TSV and pairs of plain text files.

Records end at a line feed only, values are taken as they stand (no guessing of dates, numbers or missing values), and
whatever is wrong is reported with its file and line.
"""

import bz2
import csv
import gzip
import json
import lzma
import re
import zlib
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from textwrap import shorten
from typing import IO, Any, cast

from seq2seq.errors import UserError, check
from seq2seq.runtime.paths import checked_path

# To be raised when the readers give other rows for the same file, so that cached data sets are read anew.
READER_VERSION = 2

SURROGATE = re.compile("[\ud800-\udfff]")
COMPRESSIONS = (".gz", ".bz2", ".xz")
# Of one CSV field. Without any limit a quotation mark that is never closed would gather the rest of a corpus in memory.
MAX_CSV_CHARACTERS = 1 << 24
ROW_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")

Pair = dict[str, Any]
"""A row {"source": str, "target": str or list[str]}."""


def row_format(path: Path) -> str:
    """Return the suffix that names a file's format, without that of its compression."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return next((suffix for suffix in reversed(suffixes) if suffix not in COMPRESSIONS), "")


def read_shards(shards: list[str], source: str, target: str, features: str, several: bool) -> Iterator[Pair]:
    """Yield the pairs of files of rows, one file after the other, as `read_pairs` does."""
    for shard in shards:
        yield from read_pairs((shard,), source, target, features, several=several)


def read_pairs(
    paths: tuple[str, ...],
    source: str,
    target: str,
    features: str = "",
    header: tuple[str, ...] = (),
    several: bool | None = None,
) -> Iterator[Pair]:
    """Yield the pairs of one file of rows, or of two plain text files (source first).

    ``source``, ``target`` and, where it is not empty, ``features`` name the columns of a file of rows; ``header`` all
    columns of a table that does not name them itself. ``several``: whether targets are lists of references; None: as
    the first row has it. Raises `UserError` for anything that is not text.
    """
    if len(paths) == 2:
        check(not features, f"{paths[0]}: text files hold no column '{features}'; give a table, such as .tsv")
        yield from _text_pairs(Path(paths[0]), Path(paths[1]))
        return
    path = Path(paths[0])
    used = (source, target, *([features] if features else []))
    for place, row in _headerless_rows(path, header, used) if header else _rows(path, used):
        pair = pair_of(row, source, target, place, features)
        if several is None:
            several = isinstance(pair["target"], list)
        elif several and isinstance(pair["target"], str):
            pair["target"] = [pair["target"]]
        elif not several and isinstance(pair["target"], list):
            raise UserError(f"{place}: column '{target}' holds a list here, but text in the first row")
        yield pair


def placed_rows(paths: tuple[Path, ...], source: str, target: str) -> Iterator[tuple[str, Any]]:
    """Yield (place, row) for every row of one file, or of two plain text files; ``place`` names file and line.

    A row holds what the file has, of any type; those of text files have the columns ``source`` and ``target``.
    """
    if len(paths) == 1:
        yield from _rows(paths[0], (source, target))
        return
    check_sides(paths)
    for number, pair in enumerate(_text_pairs(*paths), 1):
        yield f"{paths[0]}, line {number}", {source: pair["source"], target: pair["target"]}


def check_sides(paths: tuple[Path, ...]) -> None:
    """Raises `UserError` where two text files differ in their number of lines."""
    counts = [count_lines(path) for path in paths] if len(paths) == 2 else [0, 0]
    check(
        counts[0] == counts[1],
        f"the two sides differ in length: {paths[0]} has {counts[0]:,} lines, {paths[-1]} has {counts[1]:,}",
    )


def pair_of(row: Any, source: str, target: str, place: str, features: str = "") -> Pair:
    """Take the pair out of a row, which may keep its texts under the key ``translation``; ``place`` is for errors.

    ``features``: a column that joins the source, see `with_features`.
    """
    check(isinstance(row, dict), f"{place}: a row must be an object with the columns '{source}' and '{target}'")
    if source not in row and isinstance(row.get("translation"), dict):
        row = row["translation"]
    for column in (source, target, *([features] if features else [])):
        if row.get(column) is None:
            problem = "is null" if column in row else f"is missing; the columns are {', '.join(map(str, row))}"
            raise UserError(f"{place}: column '{column}' {problem}")
    texts = [row[source], *(row[target] if isinstance(row[target], list) else [row[target]])]
    if len(texts) < 2:
        raise UserError(f"{place}: column '{target}' is an empty list")
    for text in texts:
        if not isinstance(text, str):
            raise UserError(f"{place}: columns '{source}' and '{target}' must hold text, but there is {text!r:.60}")
        check_unicode(text, place)
    joined = with_features(row[source], row[features], place) if features else row[source]
    return {"source": joined, "target": row[target]}


def with_features(source: str, features: Any, place: str) -> str:
    """A source and its features as one text with a tab between them, as `seq2seq translate` reads it, too."""
    check(isinstance(features, str), f"{place}: features must be text, but there is {features!r:.60}")
    check_unicode(features, place)
    check("\t" not in source, f"{place}: a source with features must have no tab, but there is {source!r:.60}")
    return f"{source}\t{features.strip()}"


def check_unicode(text: str, place: str) -> None:
    """Raises `UserError` for half a surrogate pair, which JSON can spell and no UTF-8 file can hold."""
    if not text.isascii() and SURROGATE.search(text):
        raise UserError(f"{place}: malformed Unicode (a lone surrogate) in {text!r:.60}")


def read_text(path: str | PathLike[str]) -> str:
    """The whole text of a file, which may be compressed. Lines end with a line feed alone."""
    return "".join(line for _, line in _lines(checked_path(path, "path", "a text file"), whole=True))


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers, from 1, and lines of a text file, which may be compressed. Raises UserError naming file and line
    where one is not UTF-8."""
    return _lines(path)


def header_cells(path: Path) -> list[str]:
    """The cells of the first line of a table."""
    _, line = next(numbered_lines(path), (1, ""))
    return [cell.strip('"') for cell in line.split("\t" if path.suffix == ".tsv" else ",")]


def count_lines(path: Path) -> int:
    """Count the lines of a text file; a last line that lacks its line feed counts."""
    return sum(1 for _ in _lines(path))


def _text_pairs(source: Path, target: Path) -> Iterator[Pair]:
    for (_, source_line), (_, target_line) in zip(_lines(source), _lines(target), strict=True):
        yield {"source": source_line, "target": target_line}


def _headerless_rows(
    path: Path, header: tuple[str, ...], used: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (place, row) for every line of a table without a header that is not empty. Raises `UserError` where it has
    other columns, or one of those used is empty."""
    names = ", ".join(header)
    for number, line in _lines(path):
        if not line:
            continue
        place, cells = f"{path}, line {number}", line.split("\t")
        check(
            len(cells) == len(header),
            f"{place}: {len(cells)} columns with tabs between them, but --columns names {len(header)}: {names}",
        )
        row = dict(zip(header, cells, strict=True))
        check(
            set(cells) != set(header),
            f"{place}: the line names the columns itself; leave --columns out, or remove the line",
        )
        for column in used:
            check(bool(row[column].strip()), f"{place}: column '{column}' is empty; --columns is {names}")
        yield place, row


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Yield (place, row) for every row of a file. Raises UserError where a table's header lacks one of the columns."""
    match row_format(path):
        case ".csv":
            return _csv_rows(path, columns)
        case ".tsv":
            return _tsv_rows(path, columns)
        case ".json":
            return _json_array(path, columns) if _starts_with_bracket(path) else _json_lines(path, columns)
        case ".jsonl" | ".ndjson":
            return _json_lines(path, columns)
    raise UserError(f"{path}: unknown kind of file; use {', '.join(ROW_SUFFIXES)} or .parquet")


def _lines(path: Path, whole: bool = False) -> Iterator[tuple[int, str]]:
    """Yield (line number, text), with the line feed where ``whole``. Binary files are split at line feeds only, unlike
    text files."""
    number = 0
    try:
        with _open(path) as file:
            for number, raw in enumerate(file, start=1):
                bare = raw.removesuffix(b"\n").removesuffix(b"\r")
                text = (bare + b"\n" * (whole and raw.endswith(b"\n"))).decode("utf-8")
                yield number, text.removeprefix("\ufeff") if number == 1 else text
    except UnicodeDecodeError as error:
        raise UserError(f"{path}, line {number}: not UTF-8 text") from error
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"{path}: cannot read: {getattr(error, 'strerror', None) or error}") from error


def _open(path: Path) -> IO[bytes]:
    match path.suffix.lower():
        case ".gz":
            return cast("IO[bytes]", gzip.open(path, "rb"))
        case ".bz2":
            return bz2.open(path, "rb")
        case ".xz":
            return lzma.open(path, "rb")
    return path.open("rb")


def _json_decoder(columns: tuple[str, ...]) -> json.JSONDecoder:
    """Raises UserError where an object has one of the columns twice: one of the two would be lost."""

    def whole(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(pairs)
        if len(row) < len(pairs):
            _check_once([name for name, _ in pairs], columns)
        return row

    return json.JSONDecoder(object_pairs_hook=whole)


def _json_lines(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    decoder = _json_decoder(columns)
    for number, line in _lines(path):
        if line.strip():
            place = f"{path}, line {number}"
            try:
                row = decoder.decode(line)
            except (ValueError, RecursionError) as error:
                raise UserError(f"{place}: malformed JSON: {getattr(error, 'msg', error)}") from error
            yield place, row


def _starts_with_bracket(path: Path) -> bool:
    return next((line.lstrip()[0] for _, line in _lines(path) if line.strip()), "") == "["


def _json_array(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    try:
        rows = _json_decoder(columns).decode("\n".join(line for _, line in _lines(path)))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {error.lineno}: malformed JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # digits without end, brackets within brackets
        raise UserError(f"{path}: malformed JSON: {error}") from error
    for number, row in enumerate(rows, start=1):
        yield f"{path}, row {number}", row


def _csv_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    csv.field_size_limit(MAX_CSV_CHARACTERS)
    reader = csv.reader((line + "\n" for _, line in _lines(path)), strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            place = f"{path}, line {reader.line_num}"
            if header is None:
                header = cells
                _check_header(header, columns, place)
            elif cells:
                yield place, _named(header, cells, place)
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: malformed CSV: {error}") from error


def _tsv_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    # A tab never occurs inside a sentence while quotation marks do, so nothing is quoted.
    header: list[str] | None = None
    for number, line in _lines(path):
        place = f"{path}, line {number}"
        if header is None:
            header = line.split("\t")
            _check_header(header, columns, place)
        elif line:
            yield place, _named(header, line.split("\t"), place)


def _check_once(names: list[str], columns: tuple[str, ...], place: str = "") -> None:
    """Raises UserError where one of the columns stands twice among the names."""
    twice = next((column for column in columns if names.count(column) > 1), None)
    check(twice is None, f"{place}column '{twice}' stands twice")


def _check_header(header: list[str], columns: tuple[str, ...], place: str) -> None:
    _check_once(header, columns, f"{place}: ")
    for column in columns:
        check(
            column in header,
            f"{place}: column '{column}' is missing: the first line must be a header that names the columns, but holds "
            f"{shorten(' | '.join(header), 80, placeholder=' …')}",
        )


def _named(header: list[str], cells: list[str], place: str) -> dict[str, str]:
    check(len(cells) == len(header), f"{place}: {len(cells)} columns, but the header has {len(header)}")
    return dict(zip(header, cells, strict=True))
