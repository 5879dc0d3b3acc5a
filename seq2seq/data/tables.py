"""Tables without a header, a split each, as shared tasks hand them out: which file holds a split, by its name."""

import re
from pathlib import Path
from typing import NamedTuple

from seq2seq.data.split_files import VALIDATION_NAMES
from seq2seq.errors import check

WORDS = {"train": ("train", "trn"), "test": ("test", "tst"), **dict.fromkeys(VALIDATION_NAMES, VALIDATION_NAMES)}
"""How names of files call a split, the best first."""
NAME = re.compile(
    r"(?:(?P<language>.*)[._-])?(?P<word>train|trn|validation|valid|val|dev|test|tst)"
    r"(?:-low|-medium|-high)?(?:\.tsv|\.txt)?(?:\.gz|\.bz2|\.xz)?",
    re.IGNORECASE,
)
"""train.tsv, deu.trn, fre_dev.tsv, adyghe-train-high."""


class Table(NamedTuple):
    """A file whose name says which split it holds."""

    path: Path
    language: str
    """What its name begins with; empty of train.tsv."""
    word: str


def split_table(path: Path, split: str) -> Path:
    """The table of a split in a folder, or beside a table that was named: fre_dev.tsv beside fre_train.tsv, deu.dev
    beside deu.trn. Raises `UserError` where there is none, or more than one."""
    words = WORDS.get(split, (split,))
    named = _table(path) if path.is_file() else None
    if path.is_file() and (named is None or named.word in words):
        check(named is not None or split == "train", f"{path}: its name does not say that it holds the split '{split}'")
        return path
    folder = path.parent if named else path
    tables = [table for table in map(_table, sorted(folder.iterdir())) if table and table.word in words]
    if named:
        tables = [table for table in tables if table.language == named.language]
    usual = [table for table in tables if named or not table.language] or tables
    best = [table for table in usual if table.word == min((each.word for each in usual), key=words.index)]
    expected = f"{path.stem}.{words[-1]}" if named else f"{words[0]}.tsv"
    check(bool(best), f"{path}: no table of the split '{split}', such as {expected}")
    names = ", ".join(table.path.name for table in best[:4])
    check(len(best) == 1, f"{folder}: several tables of the split '{split}' ({names}); name one: --data {best[0].path}")
    return best[0].path


def _table(path: Path) -> Table | None:
    match = NAME.fullmatch(path.name)
    return Table(path, match["language"] or "", match["word"].lower()) if match and path.is_file() else None
