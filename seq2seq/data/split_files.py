"""Splits in a folder: which files hold one, by their names."""

import contextlib
import glob
import itertools
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from seq2seq.data import formats
from seq2seq.errors import UserError, check

VALIDATION_NAMES = ("validation", "valid", "val", "dev")
SPLITS = ("train", "validation", "test")
SHARD = re.compile(r"(.+)-[0-9]{5}-of-[0-9]{5}\.[^-]*")
OTHER_COMPRESSIONS = (".zst", ".lz4", ".zip", ".7z", ".br")
"""Suffixes of files that are not read."""
ROW_FORMATS = (*formats.ROW_SUFFIXES, ".parquet", ".arrow")


class Columns(NamedTuple):
    """Names of the columns (or suffixes of the two text files) of a corpus."""

    source: str
    target: str
    features: str = ""
    """Column of the source's features, which join it behind a tab; empty: none."""
    header: tuple[str, ...] = ()
    """All columns of tables that have no header, in order (see `tables`); empty: files name their columns."""

    @property
    def sides(self) -> tuple[str, str]:
        """Source and target."""
        return self.source, self.target

    @property
    def used(self) -> tuple[str, ...]:
        """All columns that are read."""
        return (*self.sides, *([self.features] if self.features else []))


def split_files(folder: Path, split: str, columns: Columns) -> tuple[Path, ...]:
    """Find the file of rows, or the two text files, of a split in a folder; empty when there is none."""
    return next(all_split_files(folder, split, columns), ())


def all_split_files(folder: Path, split: str, columns: Columns) -> Iterator[tuple[Path, ...]]:
    """Yield every file, or two text files, that a folder holds for a split, best first. Raises `UserError` where it
    comes to one text file without the other."""
    stems = dict.fromkeys((split, *VALIDATION_NAMES) if split in VALIDATION_NAMES else (split,))
    compressions = ("", *formats.COMPRESSIONS)
    for stem in stems:
        for suffix in ROW_FORMATS:
            for compression in compressions:
                if (folder / f"{stem}{suffix}{compression}").is_file():
                    yield (folder / f"{stem}{suffix}{compression}",)
        for compression in compressions:
            pair = tuple(folder / f"{stem}.{side}{compression}" for side in columns.sides)
            present = [path for path in pair if path.is_file()]
            if len(present) == 2:
                yield pair
            elif present:
                raise UserError(f"{folder}: holds {present[0].name} but not both {pair[0].name} and {pair[1].name}")


def shard_files(folder: Path, split: str) -> tuple[Path, ...]:
    """Find the files of one format that a split is spread over, such as train-00000-of-00004.jsonl.gz, in a folder or
    in data/ there, in the order of their names; empty where there is none. Raises `UserError` where they have several
    formats."""
    stems = (split, *VALIDATION_NAMES) if split in VALIDATION_NAMES else (split,)
    for stem, place in itertools.product(stems, (folder, folder / "data")):
        candidates = place.glob(f"{glob.escape(stem)}-*")
        found = sorted(path for path in candidates if _shard(path) == stem and path.is_file())
        others = [path for path in found if formats.row_format(path) != formats.row_format(found[0])]
        check(not others, f"{folder}: {others and others[0].name} has another format than {found and found[0].name}")
        if found:
            return tuple(found)
    return ()


def _shard(path: Path) -> str:
    """The split that the name of a shard begins with; empty where it is none."""
    match = SHARD.fullmatch(path.name)
    return match[1] if match is not None and formats.row_format(path) in ROW_FORMATS else ""


def packed_otherwise(names: Collection[str], split: str) -> str:
    """What to add to an error where a file that is not read has the name of the split that is missing."""
    packed = next((name for name in names if name.startswith(split) and name.endswith(OTHER_COMPRESSIONS)), "")
    return f"; {packed} is not read: compress it by gzip, bzip2 or xz" if packed else ""


def split_among(split: str, present: Collection[str]) -> str | None:
    """What a data set calls a split, of the names that it has; None where it has none. A split for validation may have
    any of VALIDATION_NAMES."""
    names = (split, *VALIDATION_NAMES) if split in VALIDATION_NAMES else (split,)
    return next((name for name in names if name in present), None)


def splits_among(present: Collection[str]) -> Iterator[tuple[str, str]]:
    """Train, and those others of SPLITS that a data set has, each with what it is called there."""
    yield "train", "train"
    for split in SPLITS:
        there = split_among(split, present)
        if there is not None and split != "train":
            yield split, there


def present_splits(folder: Path, columns: Columns) -> list[str]:
    """The names of all splits that `split_files` or `shard_files` finds in a folder, in alphabetical order."""
    found = []
    files = [path for place in (folder, folder / "data") for path in place.glob("*") if path.is_file()]
    for stem in sorted({_shard(path) or _stem(path) for path in files}):
        with contextlib.suppress(UserError):  # half of a pair is no split
            found += [stem] if split_files(folder, stem, columns) or shard_files(folder, stem) else []
    return found


def _stem(path: Path) -> str:
    """The name without the suffix of a compression, and without the one before it."""
    name = path.stem if path.suffix.lower() in formats.COMPRESSIONS else path.name
    return name.rpartition(".")[0]


def split_of(name: Path) -> str:
    """The split that a folder on the way to a file is named after; else train."""
    for part in name.parts[:-1]:
        if part in VALIDATION_NAMES or part in SPLITS:
            return "validation" if part in VALIDATION_NAMES else part
    return "train"
