"""Sequences of numbers in files: .npy and .csv, one to a file or many, alone or with what is to be answered."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from seq2seq.data.readers import read_array
from seq2seq.errors import check, check_argument
from seq2seq.runtime.paths import checked_path

Array = np.ndarray
Row = TypeVar("Row")

SUFFIXES = (".npy", ".csv")


class Sequence(NamedTuple):
    """Numbers per step."""

    place: str
    """Names it in errors."""
    values: Array
    """[S, F] float32"""


def read_sequences(path: Path, several: bool = False) -> list[Sequence]:
    """The sequences of a folder, one in each of its .npy or .csv files, by name; or of one such file: an array
    [n, S, ...] has n, one of fewer dimensions is one, or with `several` n as well, [n, S]. All have as many numbers per
    step; what a step has of further dimensions is put in a row. Raises UserError naming the file, and the line of a
    .csv file."""
    path = checked_path(path, "path", "a file or folder of sequences")
    check(path.exists(), f"{path}: no such file or folder")
    if not path.is_dir():
        array = read_array(path)
        split = array.ndim > (1 if several else 2)
        rows = list(array) if split else [array]
        places = [f"{path}, sequence {row}" for row in range(1, len(rows) + 1)] if split else [str(path)]
        found = [_sequence(each, place) for each, place in zip(rows, places, strict=True)]
    else:
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        found = [_sequence(read_array(file), str(file)) for file in files]
    check(bool(found), f"{path}: holds no .npy or .csv file of numbers with a row per step")
    first = found[0]
    for each in found:
        widths = each.values.shape[1], first.values.shape[1]
        check(widths[0] == widths[1], f"{each.place}: has {widths[0]} numbers per step, but {first.place} {widths[1]}")
    return found


def read_answered(folder: Path) -> list[tuple[Sequence, Sequence]]:
    """Sequences and what is to be answered at each of their steps, from `inputs` and `targets` in a folder: two files
    of several sequences each, .npy [n, S, ...] or .csv with a row per sequence, or two folders of files of the same
    names, as `read_sequences` takes them. Raises UserError naming the file that lacks its counterpart, or differs from
    it in its number of steps."""
    folder = checked_path(folder, "folder", "that of inputs and targets")
    check(
        folder.is_dir(),
        f"{folder}: no such folder (of inputs and targets)"
        if not folder.exists()
        else f"{folder}: a file, not a folder of inputs and targets",
    )
    sides = [_side(folder, name) for name in ("inputs", "targets")]
    if sides[0].is_dir() and sides[1].is_dir():
        names = [{file.name for file in side.iterdir()} for side in sides]
        for one, other in ((0, 1), (1, 0)):
            alone = min(names[one] - names[other], default=None)
            check(alone is None, f"{sides[one] / str(alone)}: has no counterpart in {sides[other]}")
    inputs, targets = (read_sequences(side, several=True) for side in sides)
    check(len(inputs) == len(targets), f"{sides[0]}: has {len(inputs)} sequences, but {sides[1]} {len(targets)}")
    for given, wanted in zip(inputs, targets, strict=True):
        steps = len(given.values), len(wanted.values)
        check(steps[0] == steps[1], f"{wanted.place}: has {steps[1]} steps, but {given.place} {steps[0]}")
    return list(zip(inputs, targets, strict=True))


def parts_in_order(rows: list[Row], place: str) -> tuple[list[Row], list[Row], list[Row]]:
    """Rows to train on, to choose the best model on (the last tenth but one), and to test on (the last tenth). Raises
    UserError, beginning with `place`, where there are fewer than ten."""
    check_argument("parts_in_order", "rows", rows, list)
    check(len(rows) >= 10, f"{place}: holds {len(rows)} sequences, but at least 10 are needed")
    tenth = len(rows) // 10
    return rows[: -2 * tenth], rows[-2 * tenth : -tenth], rows[-tenth:]


def _side(folder: Path, name: str) -> Path:
    """The folder, or file, of inputs or targets."""
    known = [folder / name, *(folder / f"{name}{suffix}" for suffix in SUFFIXES)]
    found = [path for path in known if path.exists()]
    check(bool(found), f"{folder}: must hold {name}: a folder of .npy or .csv files, or one file {name}.npy")
    return found[0]


def _sequence(array: Array, place: str) -> Sequence:
    """Checked numbers [S, F]."""
    check(array.dtype.kind in "biuf", f"{place}: holds no numbers but {array.dtype}")
    check(array.ndim > 0 and len(array) > 0, f"{place}: has no steps")
    values = array.reshape(len(array), -1).astype(np.float32)
    check(values.shape[1] > 0, f"{place}: has no number at any step; give some")
    check(bool(np.isfinite(values).all()), f"{place}: holds infinite or undefined values")
    return Sequence(place, values)
