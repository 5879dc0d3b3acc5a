"""Files of labelled texts and of slots: what is read, and one line for what cannot be."""

from pathlib import Path

import pytest

from seq2seq.data.labelled_texts import find_labelled_texts, find_slots, read_labelled_texts, three_parts
from seq2seq.errors import UserError

SHARED = Path(__file__).parents[4] / "shared" / "data"


def rows(path: Path, content: bytes, *known: str) -> list[tuple[str, str]]:
    path.write_bytes(content)
    return [(row.target, row.source) for row in read_labelled_texts(path, known)]


def test_a_label_goes_up_to_its_colon_unless_the_whole_is_known(tmp_path: Path) -> None:
    content = b"NUM:dist How far is it ?\r\n0  a film : dull \n"
    assert rows(tmp_path / "a", content) == [("NUM", "How far is it ?"), ("0", "a film : dull")]
    assert rows(tmp_path / "a", content, "NUM:dist")[0] == ("NUM:dist", "How far is it ?")


def test_what_is_no_utf8_is_latin1(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert rows(tmp_path / "a", "\ufeffA é\n".encode()) == [("A", "é")]
    assert not caplog.messages
    assert rows(tmp_path / "a", "B e\nA é\n".encode("latin-1")) == [("B", "e"), ("A", "é")]
    assert caplog.messages == [f"{tmp_path / 'a'}, line 2: not UTF-8; the whole file is read as Latin-1"]


FAULTS = {
    b"A b\n\nA c\n": "a.txt, line 2: must be a label, a space and a text, not ''",
    b"A b\nlabel\n": "a.txt, line 2: must be a label, a space and a text, not 'label'",
    b":x b\n": "a.txt, line 1: ':x' is no label",
    b"A b\nA \0\n": "a.txt, line 2: holds a character of number 0",
    b"": "a.txt: is empty",
}


@pytest.mark.parametrize("content", FAULTS)
def test_a_malformed_file_of_texts_is_named_with_its_line(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        rows(tmp_path / "a.txt", content)
    assert FAULTS[content] in str(caught.value)
    assert "\n" not in str(caught.value)


def write_slots(folder: Path, **contents: str) -> Path:
    parts = {"seq_in": "to a\ngo \n", "seq_out": "O B-x\nO\n", "label": "fly\ngo\n"} | contents
    for name, content in parts.items():
        (folder / f"valid.{name.replace('_', '.')}").write_text(content)
    return folder


def test_slots_are_read_from_three_files(tmp_path: Path) -> None:
    found = find_slots(write_slots(tmp_path), "validation")
    assert found is not None
    assert [(row.source, row.target) for row in found] == [("to a", "fly O B-x"), ("go", "go O")]
    assert find_slots(tmp_path, "test") is find_labelled_texts(tmp_path, "test") is None


SLOT_FAULTS = {
    "seq_out": ("O B-x\nO O\n", "valid.seq.out, line 2: has 2 labels, but the line has 1 words in valid.seq.in"),
    "label": ("fly\ngo to\n", "valid.label, line 2: must be one class, not 'go to'"),
    "seq_in": ("to a\n \n", "valid.seq.in, line 2: is blank"),
}


@pytest.mark.parametrize("part", SLOT_FAULTS)
def test_malformed_slots_are_named_with_their_line(part: str, tmp_path: Path) -> None:
    content, told = SLOT_FAULTS[part]
    with pytest.raises(UserError, match=told):
        find_slots(write_slots(tmp_path, **{part: content}), "valid")
    with pytest.raises(
        UserError, match=rf"valid.{part.replace('_', '.')}: has 1 lines, but .*valid.seq.in has 2|has 2"
    ):
        find_slots(write_slots(tmp_path, **{part: content.split("\n")[0] + "\n"}), "valid")
    (tmp_path / f"valid.{'label' if part == 'seq_in' else part.replace('_', '.')}").unlink()
    with pytest.raises(UserError, match="cannot be read"):
        find_slots(tmp_path, "valid")


def test_the_model_is_never_chosen_on_the_rows_of_the_figure() -> None:
    splits = {name: [f"{name} {row}" for row in range(20)] for name in ("train", "validation", "test")}
    assert [len(part) for part in three_parts(splits, 1, 10**9)] == [20, 20, 20]
    assert [part[0].split()[0] for part in three_parts(splits, 1, 5)] == ["train", "validation", "test"]
    for test in ("validation", "test"):
        training, chosen, tested = three_parts({name: splits[name] for name in ("train", test)}, 1, 10**9)
        assert sorted(training + chosen) == sorted(splits["train"])
        assert len(chosen) == 2
        assert sorted(tested) == sorted(splits[test])


@pytest.mark.skipif(not (SHARED / "trec").exists(), reason="../shared/data is absent")
def test_published_files_are_read_whole() -> None:
    questions = read_labelled_texts(SHARED / "trec" / "train.txt")
    assert len(questions) == 5_452
    assert {row.target for row in questions} == {"ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"}
    assert {row.target for row in read_labelled_texts(SHARED / "sst2" / "validation.txt")} == {"0", "1"}
    requests = find_slots(SHARED / "atis", "test")
    assert requests is not None
    assert len(requests) == 893


def test_too_few_rows_to_choose_a_model_on_are_refused() -> None:
    rows = [("text", "label")] * 9
    with pytest.raises(UserError, match="train has 9 rows; to choose the model on a part of them it needs 10"):
        three_parts({"train": rows, "test": rows}, 1, 10**9)
