"""Rows of a file of which one column is translated, and the rest passed through: lines of text, TSV, JSON lines."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from seq2seq.errors import UserError, check

TRANSLATION, SCORE = "translation", "score"
"""Columns that are added."""


@dataclass(frozen=True)
class Rows:
    """How a file's lines hold texts. A blank line stays blank."""

    path: Path
    columns: tuple[str, ...] = ()
    """The text's, or also its features'; none: the line is the text."""
    header: tuple[str, ...] = ()
    """Columns of a TSV file."""
    scores: bool = False

    def text(self, line: str, number: int) -> str:
        """The text to translate. Raises UserError, naming the line of the file, where it cannot be read."""
        if not self.columns or self._is_blank(line):
            return line
        return "\t".join(self._cells(line, number) if self.header else self._members(line, number))

    def _is_blank(self, line: str) -> bool:
        """Tabs alone are a row of a table, of empty cells."""
        return not (line if self.header else line.strip())

    def _cells(self, line: str, number: int) -> list[str]:
        cells = line.split("\t")
        fits = len(cells) == len(self.header)
        check(fits, f"{self.path}, line {number}: {len(cells)} columns, where the header has {len(self.header)}")
        return [cells[self.header.index(column)] for column in self.columns]

    def _members(self, line: str, number: int) -> list[str]:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{self.path}, line {number}: malformed JSON: {error}") from None
        texts = [row.get(column) if isinstance(row, dict) else None for column in self.columns]
        for column, text in zip(self.columns, texts, strict=True):
            check(isinstance(text, str), f"{self.path}, line {number}: no object with a text {column!r}")
        for name in (TRANSLATION, *([SCORE] if self.scores else [])):
            check(name not in row, f"{self.path}, line {number}: there is a {name!r} already; rename it")
        return list(map(str, texts))

    def written(self, line: str, translation: str, score: float) -> str:
        """The line with its translation."""
        if self._is_blank(line):
            return line
        if self.header:
            return "\t".join([line, translation.replace("\t", " "), *([f"{score:.6f}"] if self.scores else [])])
        added = {TRANSLATION: translation, **({SCORE: round(score, 6)} if self.scores else {})}
        # What stands before is kept to the character: reading and writing it would change numbers.
        return line.rstrip().removesuffix("}").rstrip() + ", " + json.dumps(added, ensure_ascii=False)[1:]

    @property
    def first_line(self) -> str:
        """The header of what is written."""
        return "\t".join([*self.header, TRANSLATION, *([SCORE] if self.scores else [])])


def rows_of(path: Path, column: str | None, header: str, scores: bool) -> Rows:
    """How the lines of a file hold texts. column: one, or those of sources and features with a comma. header: the
    file's first line. Raises UserError where it has no such column."""
    if column is None:
        return Rows(path)
    suffix = path.suffix.lower()
    check(suffix in (".tsv", ".jsonl"), f"--column: {path} must end in .tsv or .jsonl, so that its columns are known")
    names = tuple(header.removeprefix("\ufeff").split("\t")) if suffix == ".tsv" else ()
    columns = (column,) if column in names else tuple(name.strip() for name in column.split(","))
    check(len(columns) <= 2 and all(columns), f"--column {column}: must be one column, or two with a comma")
    if suffix == ".jsonl":
        return Rows(path, columns, scores=scores)
    for name in columns:
        check(name in names, f"--column {column}: {path} has the columns {', '.join(names)}")
    for name in (TRANSLATION, *([SCORE] if scores else [])):
        check(name not in names, f"{path}: there is a column {name!r} already; rename it")
    return Rows(path, columns, names, scores)
