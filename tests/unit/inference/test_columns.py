"""The translator as a function of batches of rows: of datasets, pandas, pyarrow and mappings."""

import pickle
from pathlib import Path

import numpy as np
import pandas
import pyarrow
import pytest
from datasets import Dataset

import seq2seq
from seq2seq.errors import UserError

TEXTS = ["ba ko mi", "lu te", "", "so so so"]


@pytest.fixture(scope="module")
def expected(toy_run: Path) -> list[str]:
    return seq2seq.load(toy_run).translate(TEXTS, beam_size=2)


def test_every_kind_of_batch_gets_the_column(toy_run: Path, expected: list[str]) -> None:
    add = seq2seq.ColumnTranslator(toy_run, "en", into="found", beam_size=2)
    numbers = [1, 2, 3, 4]
    assert add({"en": TEXTS, "number": numbers}) == {"en": TEXTS, "number": numbers, "found": expected}
    arrays = add({"en": np.array(TEXTS, object), "number": np.array(numbers)})
    assert arrays["found"].tolist() == expected
    assert arrays["number"].dtype == np.array(numbers).dtype
    table = pyarrow.table({"en": TEXTS, "number": pyarrow.array(numbers, pyarrow.int8())})
    assert add(table).equals(table.append_column("found", pyarrow.array(expected)))
    frame = pandas.DataFrame({"en": TEXTS, "number": numbers})
    spark = list(add.frames(iter([frame[:3], frame[3:]])))
    assert [len(each) for each in spark] == [3, 1]
    assert pandas.concat(spark)["found"].tolist() == expected
    assert pandas.concat(spark)[["en", "number"]].equals(frame)


def test_missing_texts_are_blank(toy_run: Path, expected: list[str]) -> None:
    add = seq2seq.ColumnTranslator(str(toy_run), "en", beam_size=2)
    assert add({"en": [None, TEXTS[0]]})["translation"] == ["", expected[0]]
    for missing, kind in ((None, "object"), (float("nan"), "object"), (pandas.NA, "string")):
        column = pandas.Series([TEXTS[0], missing], dtype=kind)
        assert add(pandas.DataFrame({"en": column}))["translation"].tolist() == [expected[0], ""]


def test_datasets_maps_it_and_keeps_the_rest(toy_run: Path, expected: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    model = seq2seq.load(toy_run)
    model.save_pretrained(run)
    rows = Dataset.from_dict({"en": TEXTS, "number": [1, 2, 3, 4]})
    mapped = rows.map(seq2seq.ColumnTranslator(run, "en", beam_size=2), batched=True, batch_size=3)
    assert mapped.to_dict() == {"en": TEXTS, "number": [1, 2, 3, 4], "translation": expected}

    def fingerprint() -> str:
        return str(rows.map(seq2seq.ColumnTranslator(run, "en", beam_size=2), batched=True, batch_size=3)._fingerprint)

    assert fingerprint() == mapped._fingerprint  # taken from the cache
    next(model.model.parameters()).data += 0.1
    model.save_pretrained(run)
    assert fingerprint() != mapped._fingerprint  # another model by the same name


def test_the_model_stays_where_it_is(toy_run: Path, expected: list[str]) -> None:
    add = seq2seq.ColumnTranslator(toy_run, "en", beam_size=2)
    add({"en": TEXTS})
    assert len(pickle.dumps(add)) < 1_000
    assert pickle.loads(pickle.dumps(add))({"en": TEXTS})["translation"] == expected


def test_mistakes_are_said(toy_run: Path, tmp_path: Path) -> None:
    add = seq2seq.ColumnTranslator(toy_run, "en")
    with pytest.raises(UserError, match="no column 'en'; the columns are de, fr"):
        add({"de": ["x"], "fr": ["y"]})
    with pytest.raises(UserError, match="there is a column 'translation' already"):
        add({"en": ["x"], "translation": ["y"]})
    with pytest.raises(UserError, match="column 'en' must hold text, but there is 3"):
        add({"en": ["x", 3]})
    with pytest.raises(UserError, match=r"none: no such|model\.safetensors: no such file"):
        seq2seq.ColumnTranslator(tmp_path / "none", "en")
    with pytest.raises(UserError, match="tag must be like <2de>"):
        seq2seq.ColumnTranslator(toy_run, "en", tag="de")
    other = seq2seq.ColumnTranslator(toy_run, "en", tag="<2de>")
    for _ in range(2):  # a batch that is tried again, too
        with pytest.raises(UserError, match="tag <2de> is none of the model's"):
            other({"en": ["x"]})
    with pytest.raises(UserError, match="column and into are the same"):
        seq2seq.ColumnTranslator(toy_run, "en", into="en")
