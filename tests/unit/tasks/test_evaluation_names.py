"""Names of evaluations: other columns are other data."""

import pytest

from seq2seq.data.corpus import DataConfig
from seq2seq.tasks.evaluation_files import changed_data

STORED = {"data": "d", "source": "lemma", "target": "form", "columns": "lemma,tags,form", "features": "tags"}


@pytest.mark.parametrize(
    ("stored", "changed"),
    [
        (STORED, {"columns": "form,tags,lemma,more", "features": "more"}),
        ({name: STORED[name] for name in ("data", "source", "target")}, {"columns": "lemma,form"}),
    ],
)
def test_other_columns_are_part_of_the_name(stored: dict[str, str], changed: dict[str, str]) -> None:
    assert changed_data(stored, DataConfig(**stored)) == {}  # type: ignore[arg-type]
    assert changed_data(stored, DataConfig(**{**stored, **changed})) == changed  # type: ignore[arg-type]
