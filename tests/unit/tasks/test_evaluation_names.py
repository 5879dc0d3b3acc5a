"""Names of evaluations: other columns are other data, corpora that are not read are none."""

import json
from dataclasses import replace
from typing import Any

import pytest

from seq2seq.config import to_dict
from seq2seq.data.corpus import DataConfig
from seq2seq.tasks.evaluation_files import changed_data, evaluation_name

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


@pytest.mark.parametrize(
    "corpora",
    [["a", "b"], [{"path": "a", "weight": 1}, {"path": "b", "weight": 2}, {"path": "c", "weight": 0}]],
)
def test_the_corpora_of_a_run_with_their_columns_are_its_own_data(corpora: list[Any]) -> None:
    own = DataConfig(data=corpora, source="en", target="de")
    stored = json.loads(json.dumps(to_dict(own)))
    read = replace(own, data=tuple(own.corpora()))  # as evaluate names them
    assert changed_data(stored, read) == {}
    assert changed_data(stored, replace(own, data=tuple(own.corpora()[:1]))) == {"data": "a"}


def test_a_split_stays_within_its_folder() -> None:
    assert evaluation_name("../x", {}) == ".._x"
    assert evaluation_name("a/b\\c", {"beam_size": 1}) == "a_b_c-beam_size=1"
