"""Examples to evaluate a model on: a column of inputs, texts or names of files, and one of expected answers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq.data import formats
from seq2seq.data.datasets_errors import quiet
from seq2seq.data.loading import Found, Shards, find_split, is_local
from seq2seq.data.slices import name_and_slice, rows_of_slice
from seq2seq.data.split_files import ROW_FORMATS, Columns, split_among
from seq2seq.errors import check
from seq2seq.runtime.paths import checked_path


class Example(NamedTuple):
    """A row of data."""

    place: str
    """Names file and line, or data and row, in errors."""
    source: str
    """A text, or the name of a file."""
    target: Any
    """The expected answer, as the data has it: text, a list of texts, a number, or a list of numbers."""


class Examples(NamedTuple):
    """A split."""

    rows: list[Example]
    folder: Path
    """What names of files are relative to."""


def read_examples(data: str, split: str, source: str, target: str) -> Examples:
    """A split, or a slice such as "test[:90%]", of a folder, a file or a Hub id, in the forms of translation's corpora.

    source, target: columns. Raises UserError, naming the row, where a column is missing or null, or the source no text.
    """
    name, _ = name_and_slice(split)
    with quiet():
        found = find_split(data, split, Columns(source, target))
        placed = list(_placed_rows(found, source, target))
        check(bool(placed), f"{found.place}: the corpus is empty")
        chosen = rows_of_slice(len(placed), name, found.part, found.place) if found.part else range(len(placed))
        rows = [_example(*placed[number], source, target) for number in chosen]
    return Examples(rows, found.folder)


class FileOfSplit(NamedTuple):
    """A file that a list names, with what is said of it."""

    place: str
    """List and line, for errors."""
    path: Path
    texts: list[str]
    split: str


def examples_of_files(data: str, split: str, files: Iterable[FileOfSplit]) -> Examples:
    """The files of a split, or of a slice of it, named as they lie in the folder `data`, with their texts as expected
    ones. Raises UserError where there are only other splits, or none."""
    files, folder = list(files), Path(data).expanduser()
    name, part = name_and_slice(split)
    splits = sorted({each.split for each in files})
    chosen = [each for each in files if each.split == split_among(name, splits)]
    there = ", ".join(splits) or "none: no list names a file"
    check(bool(chosen), f"{data}: no split '{name}'; by the folders of the files, the splits are {there}")
    if part:
        chosen = [chosen[row] for row in rows_of_slice(len(chosen), name, part, data)]
    return Examples([Example(each.place, os.path.relpath(each.path, folder), each.texts) for each in chosen], folder)


def read_texts(data: str, split: str, column: str) -> list[Example]:
    """The texts of a split, without targets: rows of a column, or one whole text file (in a folder, SPLIT.txt)."""
    path = checked_path(Path(data).expanduser(), "data", "a folder, a file or a Hub id")
    file = path / f"{split}.txt" if path.is_dir() else path
    if is_local(data) and file.is_file() and formats.row_format(file) not in ROW_FORMATS:
        check("[" not in split, f"{file}: a text file is taken whole; leave the slice of '{split}' out")
        return [Example(str(file), formats.read_text(file), None)]
    return read_examples(data, split, column, column).rows


def _placed_rows(found: Found, source: str, target: str) -> Iterator[tuple[str, Any]]:
    """(place, row) of all rows, with classes by their names."""
    if isinstance(found.rows, tuple):
        yield from formats.placed_rows(found.rows, source, target)
        return
    if isinstance(found.rows, Shards):
        for path in found.rows.paths:
            yield from formats.placed_rows((path,), source, target)
        return
    rows, features = found.rows, found.rows.features or {}
    wanted = list(dict.fromkeys((source, target)))
    if all(column in features for column in wanted):
        rows = rows.select_columns(wanted)  # pictures and sounds in other columns would be decoded
    classes = {column: getattr(features.get(column), "names", None) for column in wanted}
    for number, row in enumerate(rows, 1):
        for column, names in classes.items():
            if names and row[column] in range(len(names)):
                row[column] = names[row[column]]
        yield f"{found.place}, row {number}", row


def _example(place: str, row: Any, source: str, target: str) -> Example:
    check(isinstance(row, dict), f"{place}: a row must be an object with the columns '{source}' and '{target}'")
    for column in (source, target):
        problem = "is null" if column in row else f"is missing; the columns are {', '.join(map(str, row))}"
        check(row.get(column) is not None, f"{place}: column '{column}' {problem}")
    given = row[source]
    kind = type(given).__name__
    check(isinstance(given, str), f"{place}: column '{source}' must hold a text or the name of a file, not {kind}")
    formats.check_unicode(given, place)
    return Example(place, given, row[target])
