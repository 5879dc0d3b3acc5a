"""The vocabularies of a run directory: one file where source and target share one, two otherwise; what sources hold
besides text; a language model's units."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import Any

from seq2seq.data.characters import CHARACTERS_FILE, Characters
from seq2seq.data.language_units import Pieces, Units
from seq2seq.data.units import AnyVocabulary, SourceVocabulary
from seq2seq.data.vocabulary import RightToLeft, Vocabulary
from seq2seq.errors import UserError, check
from seq2seq.runs.layout import FEATURES_FILE, JOINT_FILE, SOURCE_FILE, TARGET_FILE, UNITS_FILE
from seq2seq.runtime.atomic_files import write_atomically

FILES = (JOINT_FILE, SOURCE_FILE, TARGET_FILE, FEATURES_FILE, UNITS_FILE)


def save_vocabularies(directory: str | PathLike[str], source: AnyVocabulary, target: Vocabulary) -> None:
    """Write one joint model file when source and target are one vocabulary, two files otherwise, instead of what lies
    there; beside them the features and settings of a `SourceVocabulary`, and that targets are written from right to
    left."""
    folder = Path(directory)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    settings: dict[str, Any] = {}
    if isinstance(source, SourceVocabulary):
        if source.features is not None:
            source.features.save(folder / FEATURES_FILE)
        settings, source = source.settings(), source.text
    if isinstance(target, RightToLeft):
        settings, target = settings | {"right_to_left": True}, target.plain
    if settings:
        write_atomically(folder / UNITS_FILE, json.dumps(settings) + "\n")
    if source is target:
        source.save(folder / JOINT_FILE)
    else:
        source.save(folder / SOURCE_FILE)
        target.save(folder / TARGET_FILE)


def holds_vocabularies(directory: str | PathLike[str]) -> bool:
    """Whether `load_vocabularies` finds what it needs; one of two, as a death between them leaves it, is not enough."""
    present = [(Path(directory) / name).is_file() for name in (JOINT_FILE, SOURCE_FILE, TARGET_FILE)]
    return present[0] or all(present[1:])


def load_vocabularies(directory: str | PathLike[str]) -> tuple[AnyVocabulary, Vocabulary]:
    """Read what `save_vocabularies` wrote; a joint vocabulary comes back as one object twice."""
    source, target = _texts(Path(directory))
    units, features = (Path(directory) / name for name in (UNITS_FILE, FEATURES_FILE))
    if not units.exists() and not features.exists():
        return source, target
    try:
        settings = json.loads(units.read_text(encoding="utf-8"))
        if settings.pop("right_to_left", False):
            target = RightToLeft(target)
            if not settings:
                return source, target
        loaded = Vocabulary.load(features) if settings.pop("features") else None
        return SourceVocabulary(source, loaded, **settings), target
    except UserError:
        raise
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise UserError(f"{units}: not what is known of a source's units; restore it or train again") from None


def _texts(directory: Path) -> tuple[Vocabulary, Vocabulary]:
    """Those of texts."""
    joint = directory / JOINT_FILE
    if joint.exists():
        vocabulary = Vocabulary.load(joint)
        return vocabulary, vocabulary
    source = directory / SOURCE_FILE
    check(source.exists(), f"{directory}: holds neither {JOINT_FILE} nor {SOURCE_FILE} and {TARGET_FILE}")
    return Vocabulary.load(source), Vocabulary.load(directory / TARGET_FILE)


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
