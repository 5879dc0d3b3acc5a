"""Files with captions in a folder: pictures, folders of frames, arrays of features, and the lists that name them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq.data import formats
from seq2seq.data.examples import Examples, FileOfSplit, examples_of_files
from seq2seq.data.split_files import split_of
from seq2seq.errors import check, check_argument

LISTS = tuple(f"{stem}{suffix}" for stem in ("captions", "metadata") for suffix in (".tsv", ".csv", ".jsonl"))
"""Files that name others with their captions."""
FILE_COLUMNS = ("file_name", "file", "image", "video")
"""Names that their column of file names has."""


class CaptionedFile(NamedTuple):
    """A file or folder that has not been read yet, and what is said of it."""

    place: str
    """List and line that name it first, for errors."""
    name: str
    """As it stands there."""
    path: Path
    captions: list[str]
    """One or several."""
    split: str


def find_captioned(data: str, caption: str = "caption") -> list[CaptionedFile]:
    """The files that the lists in a folder, or in folders below it, name; nothing where there is no list.

    A list, such as captions.tsv or metadata.csv, has columns file_name and caption, or several columns that begin with
    that name; captions.tsv may lack its header. A file that is named again has a further caption. The split of a file
    goes by the folder that it lies in.

    caption: name of that column. Raises UserError naming list and line where a row lacks its file or its caption.
    """
    check_argument("find_captioned", "data", data, str)
    check_argument("find_captioned", "caption", caption, str)
    folder = Path(data).expanduser()
    lists = _lists(folder)
    found: dict[Path, CaptionedFile] = {}
    for path in lists:
        for place, name, captions in _named(path, caption):
            file = path.parent / name
            check(file.exists(), f"{place}: no such file: {file}")
            split = split_of(path.parent.relative_to(folder) / name)
            found.setdefault(file, CaptionedFile(place, name, file, [], split)).captions.extend(captions)
    check(bool(found) or not lists, f"{lists and lists[0]}: names no file")
    return list(found.values())


def captioned_examples(data: str, split: str, caption: str) -> Examples | None:
    """The files of a split with their captions as expected texts; None where `find_captioned` finds none. Raises
    UserError where there are only other splits."""
    files = find_captioned(data, caption)
    placed = (FileOfSplit(each.place, each.path, each.captions, each.split) for each in files)
    return examples_of_files(data, split, placed) if files else None


def _lists(folder: Path) -> list[Path]:
    """One in each folder that has any."""
    found = ((Path(parent), [name for name in LISTS if name in files]) for parent, _, files in os.walk(folder))
    return sorted(parent / names[0] for parent, names in found if names)


def _named(path: Path, caption: str) -> Iterator[tuple[str, str, list[str]]]:
    """(place, name of the file, captions) of each row of a list."""
    for place, row, columns in _rows(path, caption):
        check(isinstance(row, dict), f"{place}: a row must be an object with {FILE_COLUMNS[0]} and {caption}")
        name = next((row[column] for column in FILE_COLUMNS if column in row), None)
        check(isinstance(name, str) and bool(name.strip()), f"{place}: names no file in {FILE_COLUMNS[0]}")
        given = [row[column] for column in columns or _caption_columns(row, caption)]
        texts = [text for value in given for text in (value if isinstance(value, list) else [value])]
        filled = [" ".join(text.split()) for text in texts if isinstance(text, str) and re.search(r"\w", text)]
        check(bool(filled), f"{place}: has no text in {caption}")
        yield place, str(name).strip(), filled


def _rows(path: Path, caption: str) -> Iterator[tuple[str, Any, Sequence[str]]]:
    """(place, row, columns of captions, of a table) of each row."""
    if path.suffix == ".jsonl":
        yield from ((place, row, ()) for place, row in formats.placed_rows((path,), FILE_COLUMNS[0], caption))
        return
    header = formats.header_cells(path)
    names = [name for name in FILE_COLUMNS if name in header][:1]
    columns = _caption_columns(dict.fromkeys(header), caption)
    if path.suffix == ".tsv" and not (names and columns):
        yield from ((place, row, [caption]) for place, row in _without_header(path, caption))
        return
    known = (*(names or FILE_COLUMNS[:1]), *(columns or [caption]))
    yield from ((place, row, columns) for place, row in formats.placed_rows((path,), known[0], known[1]))


def _caption_columns(row: Any, caption: str) -> list[str]:
    """The column of that name, else all whose names begin so."""
    return [caption] if caption in row else sorted(name for name in row if name.startswith(caption))


def _without_header(path: Path, caption: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a file's name and its caption, with a tab between them."""
    for number, line in formats.numbered_lines(path):
        cells = line.split("\t")
        wanted = (
            f"must be a file's name and its caption, or the first line a header with {FILE_COLUMNS[0]} and {caption}"
        )
        check(
            not line or len(cells) == 2, f"{path}, line {number}: {len(cells)} columns with tabs between them; {wanted}"
        )
        if line:
            yield f"{path}, line {number}", {FILE_COLUMNS[0]: cells[0], caption: cells[1]}
