"""Files of texts with labels, as published data sets have them: a label and a text per line, or requests with a label
per word and a class each."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from seq2seq.config import SEEDS, check_number
from seq2seq.data.examples import Example
from seq2seq.data.split_files import VALIDATION_NAMES
from seq2seq.errors import UserError, check, check_argument
from seq2seq.runtime.paths import checked_path

Row = TypeVar("Row")
log = logging.getLogger(__name__)
HELD_OUT = 10
"""One in so many training rows is held out where there is no split to choose the best model on."""


def find_labelled_texts(folder: Path, split: str, known: Collection[str] = ()) -> list[Example] | None:
    """The split's rows from SPLIT.txt, as `read_labelled_texts` gives them; None where there is no such file."""
    folder = checked_path(folder, "folder", "that of the texts")
    names = (f"{stem}.txt" for stem in _stems(split))
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    return None if path is None else read_labelled_texts(path, known)


def read_labelled_texts(path: Path, known: Collection[str] = ()) -> list[Example]:
    """The texts of a file whose lines are a label, a space and a text, as sources, and their labels as targets: of a
    label such as DESC:manner the part before the colon, unless `known` has the whole. UTF-8, or else Latin-1. Raises
    UserError naming file and line where a line has no label or no text."""
    rows = []
    for number, line in enumerate(read_lines(path), 1):
        label, _, text = line.strip().partition(" ")
        place = f"{path}, line {number}"
        check(bool(text.strip()), f"{place}: must be a label, a space and a text, not {line.strip()[:40]!r}")
        name = label if label in known else label.partition(":")[0]
        check(bool(name), f"{place}: {label!r} is no label: nothing is before its colon")
        rows.append(Example(place, text.strip(), name))
    return rows


def find_slots(folder: Path, split: str) -> list[Example] | None:
    """The split's requests as sources, from three files: SPLIT.seq.in has their words, SPLIT.seq.out a label per word,
    SPLIT.label their classes. Targets: the class, then the labels, with spaces between them. None where there is no
    SPLIT.seq.in. Raises UserError naming file and line where the files do not fit together."""
    folder = checked_path(folder, "folder", "that of the requests")
    stem = next((stem for stem in _stems(split) if (folder / f"{stem}.seq.in").is_file()), None)
    if stem is None:
        return None
    paths = [folder / f"{stem}.{part}" for part in ("seq.in", "seq.out", "label")]
    sides = [read_lines(path) for path in paths]
    for path, side in zip(paths, sides, strict=True):
        check(
            len(side) == len(sides[0]),
            f"{path}: has {len(side):,} lines, but {paths[0]} has {len(sides[0]):,}; they must go together",
        )
    rows = []
    for number, (words, labels, name) in enumerate(zip(*sides, strict=True), 1):
        counts = len(words.split()), len(labels.split())
        check(counts[0] > 0, f"{paths[0]}, line {number}: is blank; give a request")
        check(
            counts[0] == counts[1],
            f"{paths[1]}, line {number}: has {counts[1]} labels, but the line has {counts[0]} words in {paths[0].name}",
        )
        check(len(name.split()) == 1, f"{paths[2]}, line {number}: must be one class, not {name.strip()[:40]!r}")
        rows.append(Example(f"{paths[0]}, line {number}", words.strip(), f"{name.strip()} {' '.join(labels.split())}"))
    return rows


def three_parts(found: Mapping[str, list[Row]], seed: int, most: int) -> tuple[list[Row], list[Row], list[Row]]:
    """Rows to train on, to choose the best model on, and to test on, each in another order, and `most` of them at most,
    from the splits train, validation and test. Without a test split, validation is for the test. What the model is
    chosen on is then, as where only test is there, a part of train that is not trained on."""
    check_argument("three_parts", "found", found, Mapping)
    check_number("three_parts: seed", seed, SEEDS)
    check("train" in found, "three_parts: found must have the split train")
    random = np.random.default_rng(seed)
    mixed = {name: [rows[row] for row in random.permutation(len(rows))[:most]] for name, rows in found.items()}
    training, test = mixed["train"], mixed.get("test", mixed.get("validation", []))
    if "validation" in mixed and "test" in mixed:
        return training, mixed["validation"], test
    held_out = len(training) // HELD_OUT
    few = f"the data's split train has {len(training)} rows; to choose the model on a part of them it needs {HELD_OUT}"
    check(held_out > 0, f"{few}: give more, or a split validation besides test")
    return training[held_out:], training[:held_out], test


def read_lines(path: Path) -> list[str]:
    """Lines of a text file, in UTF-8 or else Latin-1. Raises UserError where it cannot be read, is empty, or is no
    text."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    check(bool(content), f"{path}: is empty")
    before, zero, _ = content.partition(b"\0")
    line = before.count(b"\n") + 1
    check(not zero, f"{path}, line {line}: holds a character of number 0, which no text has; is it a text file?")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        log.warning("%s, line %d: not UTF-8; the whole file is read as Latin-1", path, line)
        text = content.decode("latin-1")
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _stems(split: str) -> tuple[str, ...]:
    """What the files of a split may be called."""
    return tuple(dict.fromkeys((split, *VALIDATION_NAMES))) if split in VALIDATION_NAMES else (split,)
