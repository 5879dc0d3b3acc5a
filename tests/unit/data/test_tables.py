"""Tables without a header: which file holds a split, and what is said of rows that are wrong."""

import re
from pathlib import Path

import pytest

from seq2seq.data.corpus import DataConfig, load_split, to_evaluate
from seq2seq.data.units import columns_of
from seq2seq.errors import UserError

ROW = "walk\tV;PST\twalked\n"


def config(data: Path, columns: str = "lemma,features,form", **options: str) -> DataConfig:
    return DataConfig(str(data), "lemma", "form", columns=columns, features="features", **options)  # type: ignore[arg-type]


def write(folder: Path, *names: str, content: str = ROW) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text(content)
    return folder


@pytest.mark.parametrize(
    ("named", "names"),
    [
        ("", ("train.tsv", "validation.tsv", "test.tsv")),
        ("", ("train.tsv", "dev.tsv", "test.tsv")),
        ("", ("deu.trn", "deu.dev", "deu.tst")),
        ("deu.trn", ("deu.trn", "deu.dev", "deu.tst")),
        ("fre_train.tsv", ("fre_train.tsv", "fre_dev.tsv", "fre_test.tsv")),
        ("fre_dev.tsv", ("fre_train.tsv", "fre_dev.tsv", "fre_test.tsv")),
        ("ady-train-high", ("ady-train-high", "ady-dev", "ady-test")),
        ("ady.train", ("ady.train", "ady.dev", "ady.test")),
    ],
)
def test_files_of_shared_tasks(tmp_path: Path, named: str, names: tuple[str, ...]) -> None:
    folder = write(tmp_path / "data", *names)
    if named:
        write(folder, "xxx_train.tsv", "xxx_dev.tsv", content="other\tX\trow\n")
    for number, name in enumerate(names):
        (folder / name).write_text(f"walk{number}\tV;PST\twalked\n")
    for number, split in enumerate(("train", "validation", "test")):
        rows = load_split(config(folder / named), split)
        assert rows[0] == {"source": f"walk{number}\tV;PST", "target": "walked"}


def test_the_order_of_columns_is_the_users(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", "train.tsv", content="walk\twalked\tV;PST\n")
    assert load_split(config(folder, "lemma,form,features"), "train")[0] == {
        "source": "walk\tV;PST",
        "target": "walked",
    }


@pytest.mark.parametrize(
    ("content", "place", "problem"),
    [
        (ROW + "walk\twalked\n", "line 2", "2 columns with tabs between them, but --columns names 3: lemma, features"),
        (ROW + "\n" + "walk\tV;PST\t\n", "line 3", "column 'form' is empty"),
        ("walk\t \twalked\n", "line 1", "column 'features' is empty"),
        ("features\tlemma\tform\n", "line 1", "names the columns itself; leave --columns out"),
    ],
)
def test_wrong_rows_are_named(tmp_path: Path, content: str, place: str, problem: str) -> None:
    path = write(tmp_path / "data", "train.tsv", content=content) / "train.tsv"
    with pytest.raises(UserError, match=re.escape(f"{path}, {place}: ") + ".*" + re.escape(problem)) as error:
        load_split(config(path.parent), "train")
    assert "\n" not in str(error.value)


def test_several_languages_in_a_folder_are_listed(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", "a_train.tsv", "b_train.tsv", "b_dev.tsv")
    with pytest.raises(UserError, match=r"several tables.*a_train\.tsv, b_train\.tsv.*--data .*a_train\.tsv"):
        load_split(config(folder), "train")
    with pytest.raises(UserError, match=r"a_train\.tsv: no table of the split 'validation', such as a_train\.dev"):
        load_split(config(folder / "a_train.tsv"), "validation")


def test_rows_of_one_word_are_its_references(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", "test.tsv", content="a\tx\nb\ty\na\tz\na\tx\n")
    corpus = DataConfig(str(folder), "word", "pron", columns="word,pron")
    assert to_evaluate(corpus, load_split(corpus, "test")) == (["a", "b"], [["x", "z"], ["y"]])


@pytest.mark.parametrize("columns", ["lemma,,form", "lemma,lemma", "form,features"])
def test_wrong_columns_are_refused(columns: str) -> None:
    with pytest.raises(UserError, match=columns):
        columns_of(columns, "lemma")


def test_files_that_name_their_columns_have_features_too(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", "train.tsv", content="form\tlemma\tfeatures\nwalked\twalk\tV;PST\n")
    assert load_split(config(folder, ""), "train")[0] == {"source": "walk\tV;PST", "target": "walked"}


def test_a_unicode_form_is_that_of_both_sides(tmp_path: Path) -> None:
    folder = write(tmp_path / "data", "train.tsv", content="e\u0301\tV\t\u00e9\n")
    assert load_split(config(folder), "train")[0] == {"source": "e\u0301\tV", "target": "\u00e9"}
    assert load_split(config(folder, unicode="NFC"), "train")[0] == {"source": "\u00e9\tV", "target": "\u00e9"}
    assert load_split(config(folder, unicode="NFD"), "train")[0] == {"source": "e\u0301\tV", "target": "e\u0301"}
