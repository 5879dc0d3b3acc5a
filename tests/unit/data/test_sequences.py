"""Sequences of numbers in files, and pairs of them."""

import re
from pathlib import Path

import numpy as np
import pytest

from seq2seq.data.sequences import parts_in_order, read_answered, read_sequences
from seq2seq.errors import UserError


def test_sequences_come_from_an_array_or_from_files(tmp_path: Path) -> None:
    clips = np.random.default_rng(1).random((3, 4, 2, 5))
    np.save(tmp_path / "clips.npy", clips)
    found = read_sequences(tmp_path / "clips.npy")
    assert [each.place for each in found] == [f"{tmp_path / 'clips.npy'}, sequence {number}" for number in (1, 2, 3)]
    np.testing.assert_allclose([each.values for each in found], clips.reshape(3, 4, 10), rtol=1e-6)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "b.csv").write_text("1,2\n3,4\n5,6\n")
    np.save(folder / "a.npy", np.array([[7, 8]]))
    (folder / "notes.txt").write_text("none")
    assert [each.values.tolist() for each in read_sequences(folder)] == [[[7, 8]], [[1, 2], [3, 4], [5, 6]]]
    (tmp_path / "one.csv").write_text("1\n2\n")
    assert [each.values.tolist() for each in read_sequences(tmp_path / "one.csv")] == [[[1], [2]]]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"a.csv": "1,2\n3\n"}, r"a\.csv, line 2: has 1 numbers"),
        ({"a.csv": "1,2\nx,3\n"}, r"a\.csv, line 2: must be numbers separated by commas"),
        ({"a.csv": "1,inf\n"}, r"a\.csv: holds infinite or undefined values"),
        ({"a.csv": "1,2\n", "b.csv": "1\n"}, r"b\.csv: has 1 numbers per step, but .*a\.csv 2"),
        ({"a.npy": "no array"}, r"a\.npy: cannot be read as a \.npy file"),
        ({"a.txt": "1"}, r": holds no \.npy or \.csv file"),
    ],
)
def test_malformed_sequences_are_named(files: dict[str, str], told: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=rf"^{re.escape(str(tmp_path))}.*{told}|^{re.escape(str(tmp_path))}{told}"):
        read_sequences(tmp_path)


def test_arrays_of_no_numbers_or_no_steps_are_named(tmp_path: Path) -> None:
    for array, told in (
        (np.array(["a"]), "holds no numbers"),
        (np.zeros((0, 3)), "has no steps"),
        (np.zeros((4, 0)), "has no number at any"),
    ):
        np.save(tmp_path / "a.npy", array)
        with pytest.raises(UserError, match=rf"a\.npy: {told}"):
            read_sequences(tmp_path / "a.npy")


def test_inputs_and_targets_go_together(tmp_path: Path) -> None:
    for side, width in (("inputs", 2), ("targets", 1)):
        (tmp_path / side).mkdir()
        for name, steps in (("a", 3), ("b", 1)):
            np.save(tmp_path / side / f"{name}.npy", np.ones((steps, width)))
    pairs = read_answered(tmp_path)
    assert [(one.values.shape, other.values.shape) for one, other in pairs] == [((3, 2), (3, 1)), ((1, 2), (1, 1))]
    np.save(tmp_path / "targets" / "b.npy", np.ones((2, 1)))
    with pytest.raises(UserError, match=r"targets/b\.npy: has 2 steps, but .*inputs/b\.npy 1"):
        read_answered(tmp_path)
    (tmp_path / "targets" / "b.npy").unlink()
    with pytest.raises(UserError, match=r"inputs/b\.npy: has no counterpart in .*targets"):
        read_answered(tmp_path)
    joint = tmp_path / "joint"
    joint.mkdir()
    np.save(joint / "inputs.npy", np.ones((4, 3, 2)))
    with pytest.raises(UserError, match=r"joint: must hold targets: "):
        read_answered(joint)
    np.save(joint / "targets.npy", np.ones((5, 3)))
    with pytest.raises(UserError, match=r"inputs\.npy: has 4 sequences, but .*targets\.npy 5"):
        read_answered(joint)
    np.save(joint / "targets.npy", np.arange(12).reshape(4, 3))
    pairs = read_answered(joint)
    assert [other.values[:, 0].tolist() for _, other in pairs] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
    (joint / "targets.npy").unlink()
    (joint / "targets.csv").write_text("0,1,2\n3,4,5\n6,7,8\n9,10,11\n")
    assert [other.values.tolist() for _, other in read_answered(joint)] == [other.values.tolist() for _, other in pairs]


def test_parts_lie_in_order() -> None:
    assert parts_in_order(list(range(25)), "data") == (list(range(21)), [21, 22], [23, 24])
    with pytest.raises(UserError, match=r"^data: holds 9 sequences, but at least 10 are needed"):
        parts_in_order(list(range(9)), "data")
