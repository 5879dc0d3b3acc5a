"""The vocabularies of a run directory: one file where source and target share one, two otherwise; a language model's
units."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from seq2seq.data.characters import CHARACTERS_FILE, Characters
from seq2seq.data.language_units import Pieces, Units
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.errors import check
from seq2seq.runs.layout import JOINT_FILE, SOURCE_FILE, TARGET_FILE


def save_vocabularies(directory: str | PathLike[str], source: Vocabulary, target: Vocabulary) -> None:
    """Write one joint model file when source and target are one vocabulary, two files otherwise, instead of what lies
    there."""
    for name in (JOINT_FILE, SOURCE_FILE, TARGET_FILE):
        (Path(directory) / name).unlink(missing_ok=True)
    if source is target:
        source.save(Path(directory) / JOINT_FILE)
    else:
        source.save(Path(directory) / SOURCE_FILE)
        target.save(Path(directory) / TARGET_FILE)


def holds_vocabularies(directory: str | PathLike[str]) -> bool:
    """Whether `load_vocabularies` finds what it needs; one of two, as a death between them leaves it, is not enough."""
    present = [(Path(directory) / name).is_file() for name in (JOINT_FILE, SOURCE_FILE, TARGET_FILE)]
    return present[0] or all(present[1:])


def load_vocabularies(directory: str | PathLike[str]) -> tuple[Vocabulary, Vocabulary]:
    """Read what `save_vocabularies` wrote; a joint vocabulary comes back as one object twice."""
    joint = Path(directory) / JOINT_FILE
    if joint.exists():
        vocabulary = Vocabulary.load(joint)
        return vocabulary, vocabulary
    source = Path(directory) / SOURCE_FILE
    check(source.exists(), f"{directory}: holds neither {JOINT_FILE} nor {SOURCE_FILE} and {TARGET_FILE}")
    return Vocabulary.load(source), Vocabulary.load(Path(directory) / TARGET_FILE)


def save_units(directory: Path, units: Units) -> None:
    """Writes a language model's units, instead of what lies there."""
    (directory / TARGET_FILE).unlink(missing_ok=True)
    (directory / CHARACTERS_FILE).unlink(missing_ok=True)
    if isinstance(units, Pieces):
        units.vocabulary.save(directory / TARGET_FILE)
    elif isinstance(units, Characters):
        units.save(directory)


def holds_units(directory: Path) -> bool:
    """Whether `load_units` finds what it needs."""
    return any((directory / name).is_file() for name in (CHARACTERS_FILE, TARGET_FILE))


def load_units(directory: Path) -> Characters | Pieces:
    """Reads what `save_units` wrote. Raises UserError where it is missing or damaged."""
    if (directory / TARGET_FILE).is_file():
        return Pieces(Vocabulary.load(directory / TARGET_FILE))
    return Characters.load(directory)
