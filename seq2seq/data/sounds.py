"""Sound files, one by one and in data sets, with their transcripts where these are known."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from seq2seq.data import formats
from seq2seq.data.examples import Examples, FileOfSplit, examples_of_files
from seq2seq.data.loading import open_any
from seq2seq.data.slices import name_and_slice
from seq2seq.data.split_files import Columns, split_among, split_files, split_of, splits_among
from seq2seq.errors import UserError, check, check_argument

Array = np.ndarray

TEXT_COLUMNS = ("text", "transcription")
"""Names that the column of transcripts has."""
METADATA = ("metadata.csv", "metadata.jsonl")
"""Files that name sound files and their transcripts, as the folders of `datasets` have them."""
UNKNOWN_LENGTH = 0x7FFF0000
"""A header that gives so many bytes or more was written before the length was known, as programs write to a pipe."""
SHORTENED = re.compile(r"^ *(?:data|SSND) : (\d+) \(should be (\d+)\)", re.MULTILINE)
"""In libsndfile's log: the bytes of sound by the header of a WAV or AIFF file, and those that are there."""
UNFINISHED = ("lacks an end-of-stream", "Junk after the last page")
"""In libsndfile's log of an Ogg file whose end is missing."""


class Sound(NamedTuple):
    """A recording that has not been read yet."""

    place: str
    """Names it in errors."""
    name: str
    """Of its file; empty where it has none."""
    source: Path | BinaryIO
    text: str | None
    """What is said, where the data has it."""
    split: str


def read_samples(source: Path | BinaryIO, place: str) -> tuple[Array, int]:
    """The samples of a sound file, [n] or [n, channels] float32 in [-1, 1], and their rate in Hz. Raises UserError,
    beginning with `place`, where it cannot be read or is cut off."""
    check_argument("read_samples", "source", source, str, Path, io.IOBase)
    try:
        import soundfile
    except ImportError:
        raise UserError("reading sound needs soundfile: pip install 'seq2seq[tasks]'") from None
    try:
        with soundfile.SoundFile(source) as file:
            samples, expected, log, rate = file.read(dtype="float32"), file.frames, file.extra_info, file.samplerate
    except soundfile.LibsndfileError as error:
        raise UserError(f"{place}: cannot be read as sound ({error.error_string}); remove or replace it") from None
    sizes = [(int(given), int(there)) for given, there in SHORTENED.findall(log)]
    lost = any(there < given < UNKNOWN_LENGTH for given, there in sizes) or any(each in log for each in UNFINISHED)
    check(
        not lost and len(samples) == expected,
        f"{place}: is cut off after {len(samples) / rate:.2f} seconds, before the end that it should have; replace it",
    )
    return samples, rate


def open_sounds(data: str, wanted: str) -> list[Sound]:
    """The recordings of a folder that has a metadata.csv or metadata.jsonl with the columns file_name and text (or
    transcription), of its own or one for each split; or of a data set that `datasets` loads, with an Audio column
    `audio`, and such a column of texts or none.

    wanted: what to give, for errors. Raises UserError naming file and line where a row lacks its text or its file.
    """
    check_argument("open_sounds", "data", data, str)
    lists = _lists(data)
    sounds = _all_listed(data, lists) if lists else list(_loaded(data, wanted))
    check(bool(sounds), f"{lists[0] if lists else data}: names no recording")
    without = next((sound for sound in sounds if (sound.text is None) != (sounds[0].text is None)), None)
    check(without is None, f"{without and without.place}: has a text, or none, while {sounds[0].place} is otherwise")
    return sounds


def transcribed_examples(data: str, split: str, column: str = "") -> Examples | None:
    """The recordings of a split that the lists in a folder name, as `open_sounds` finds them, with their transcripts as
    expected texts; None where there is no list, or a file of the split itself. column: of transcripts; empty: text or
    transcription. Raises UserError where there are only other splits."""
    lists, (name, _) = _lists(data), name_and_slice(split)
    if not lists or split_files(Path(data).expanduser(), name, Columns("source", column or "target")):
        return None
    placed = [
        FileOfSplit(sound.place, sound.source, [sound.text or ""], sound.split)
        for sound in _all_listed(data, lists, column, name)
        if isinstance(sound.source, Path)
    ]
    return examples_of_files(data, split, placed)


def _lists(data: str) -> list[Path]:
    """One in each folder that has any."""
    folder = Path(data).expanduser()
    if not folder.is_dir():
        return []
    return sorted({path.parent: path for name in reversed(METADATA) for path in folder.rglob(name)}.values())


def _all_listed(data: str, lists: Iterable[Path], column: str = "", split: str = "") -> list[Sound]:
    return [sound for path in lists for sound in _listed(path, Path(data).expanduser(), column, split)]


def _listed(path: Path, folder: Path, column: str, wanted: str) -> Iterator[Sound]:
    """The recordings that a metadata file names. column: of transcripts; empty: one of TEXT_COLUMNS. wanted: the split
    whose files must be there; empty: of all."""
    column = column or _text_column(path)
    for place, row in formats.placed_rows((path,), "file_name", column):
        check(isinstance(row, dict), f"{place}: a row must be an object with file_name and {column}")
        name, text = row.get("file_name"), row.get(column)
        check(isinstance(name, str) and bool(name), f"{place}: names no file in file_name")
        check(isinstance(text, str) and bool(text.strip()), f"{place}: has no text in {column}")
        file = path.parent / str(name)
        split = split_of(path.parent.relative_to(folder) / str(name))
        elsewhere = bool(wanted) and split_among(wanted, (split,)) is None
        check(elsewhere or file.is_file(), f"{place}: no such file: {file}")
        yield Sound(f"{place}: {file}", str(name), file, " ".join(str(text).split()), split)


def _text_column(path: Path) -> str:
    """The first of TEXT_COLUMNS that the first row of a metadata file has; the first of all where it has none."""
    if path.suffix == ".jsonl":
        _, first = next(formats.placed_rows((path,), "file_name", TEXT_COLUMNS[0]), ("", None))
        names = list(first) if isinstance(first, dict) else []
    else:
        names = formats.header_cells(path)
    return next((name for name in TEXT_COLUMNS if name in names), TEXT_COLUMNS[0])


def _loaded(data: str, wanted: str) -> Iterator[Sound]:
    """The recordings of a data set."""
    from datasets import Audio

    rows: Any = open_any(data, "train", wanted)
    for split, there in splits_among(rows.info.splits or ()):
        rows = rows if split == "train" else open_any(data, there, wanted)
        check(isinstance(rows.features.get("audio"), Audio), f"{data}: no column 'audio' of sounds; give {wanted}")
        column = next((name for name in TEXT_COLUMNS if name in rows.features), None)
        for number, row in enumerate(rows.cast_column("audio", Audio(decode=False)), 1):
            sound = row["audio"] or {"path": None, "bytes": None}
            place = f"{data}, split {split}, row {number}"
            text = row[column] if column else None
            check(not column or (isinstance(text, str) and bool(text.strip())), f"{place}: has no text in {column}")
            check(bool(sound["bytes"] or sound["path"]), f"{place}: holds no sound")
            name = sound["path"] or ""
            source = io.BytesIO(sound["bytes"]) if sound["bytes"] else Path(sound["path"])
            yield Sound(f"{place}: {name}" if name else place, name, source, text and " ".join(text.split()), split)
