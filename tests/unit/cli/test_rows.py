"""Columns of the files that translate reads."""

from pathlib import Path

import pytest

from seq2seq.cli.rows import rows_of
from seq2seq.errors import UserError


def test_a_comma_may_be_part_of_a_column_of_a_table() -> None:
    path = Path("a.tsv")
    assert rows_of(path, "text, raw", "id\ttext, raw", False).text("1\tba", 2) == "ba"
    assert rows_of(path, "word,tag", "tag\tword\tid", False).text("V\tgehen\t1", 2) == "gehen\tV"
    for wrong in ("word,", "a,b,c"):
        with pytest.raises(UserError, match="must be one column, or two with a comma"):
            rows_of(path, wrong, "word\ta", False)


def test_a_row_of_empty_cells_is_a_row() -> None:
    table = rows_of(Path("a.tsv"), "word", "word\ttag\tid", False)
    assert (table.text("\t\t", 2), table.written("\t\t", "ba", 0.0)) == ("", "\t\t\tba")
    assert (table.text("", 3), table.written("", "", 0.0)) == ("", "")
