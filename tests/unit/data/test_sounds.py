"""Sound files that are whole, cut off, or none; folders and data sets of recordings with what is said in them."""

import io
import json
import re
import struct
from pathlib import Path

import datasets
import numpy as np
import pytest
import soundfile

from seq2seq.data.readers import ReaderConfig, read_file
from seq2seq.data.sounds import open_sounds, read_samples
from seq2seq.errors import UserError

NOISE = np.random.default_rng(1).normal(0, 0.1, 20_000)
RATE = 8_000


def recorded(kind: str = "WAV", samples: np.ndarray = NOISE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format=kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "FLAC", "OGG", "MP3"])
def test_a_recording_that_is_cut_off_is_refused(kind: str, tmp_path: Path) -> None:
    whole, path = recorded(kind), tmp_path / f"a.{kind.lower()}"
    path.write_bytes(whole)
    samples, rate = read_samples(path, str(path))
    assert (len(samples), rate) == (20_000, RATE)
    path.write_bytes(whole[: len(whole) * 2 // 3])
    told = rf"^{re.escape(str(path))}: (is cut off after \d\.\d\d seconds|cannot be read)"
    with pytest.raises(UserError, match=told):
        read_samples(path, str(path))


def test_runs_refuse_it_too(tmp_path: Path) -> None:
    """As a shorter recording, it would be transcribed without a word of warning."""
    path = tmp_path / "a.wav"
    path.write_bytes(recorded()[:30_044])
    with pytest.raises(UserError, match=r"a\.wav: is cut off after 1\.88 seconds"):
        read_file(ReaderConfig("sound", RATE), path)


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_length_that_the_writer_did_not_know_says_nothing(length: int, tmp_path: Path) -> None:
    """ffmpeg and sox write such headers to a pipe."""
    content = bytearray(recorded())
    place = content.index(b"data") + 4
    content[place : place + 4] = struct.pack("<I", length)
    (tmp_path / "a.wav").write_bytes(bytes(content))
    samples, _ = read_samples(tmp_path / "a.wav", "a.wav")
    assert len(samples) == 20_000


def write_folder(folder: Path, files: dict[str, str], **metadata: str) -> Path:
    """Recordings by their paths, and the text of metadata files by theirs, with _ for the folder."""
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(recorded())
    for place, text in metadata.items():
        (folder / place.strip("_") / "metadata.csv").write_text(text)
    return folder


def test_recordings_of_a_folder_have_the_texts_and_splits_of_their_metadata(tmp_path: Path) -> None:
    names = dict.fromkeys(("train/a.wav", "train/sub/b.wav", "dev/c.wav"), "")
    own = write_folder(
        tmp_path / "own",
        names,
        train="file_name,transcription\na.wav,one  two\nsub/b.wav,three\n",
        dev="file_name,transcription\nc.wav,four\n",
    )
    joint = write_folder(
        tmp_path / "joint", names, _="file_name,text\ntrain/a.wav,one two\ntrain/sub/b.wav,three\ndev/c.wav,four\n"
    )
    for folder in (own, joint):
        found = {Path(each.name).stem: (each.text, each.split) for each in open_sounds(str(folder), "")}
        assert found == {"a": ("one two", "train"), "b": ("three", "train"), "c": ("four", "validation")}
    lines = write_folder(tmp_path / "lines", {"a.wav": ""})
    (lines / "metadata.jsonl").write_text(json.dumps({"file_name": "a.wav", "text": "one"}) + "\n")
    assert [(each.text, each.split) for each in open_sounds(str(lines), "")] == [("one", "train")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("file_name,text\na.wav,one\nb.wav,two\n", "line 3: no such file: .*b.wav"),
        ("file_name,text\na.wav,\n", "line 2: has no text in text"),
        ("file_name,text\n,one\n", "line 2: names no file in file_name"),
        ("file_name,text\na.wav\n", "line 2: 1 columns, but the header has 2"),
        ("file_name,words\na.wav,one\n", "line 1: column 'text' is missing"),
        ("file_name,text\n", "names no recording"),
    ],
)
def test_malformed_metadata_is_named_by_file_and_line(text: str, told: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {"a.wav": ""}, _=text)
    with pytest.raises(UserError, match=rf"^{re.escape(str(folder))}/metadata\.csv(, |: ){told}"):
        open_sounds(str(folder), "")


def store(folder: Path, split: str, texts: list[str | None]) -> None:
    """A split as a data set has it."""
    stored = {"path": datasets.Value("string"), "bytes": datasets.Value("binary")}
    features = datasets.Features({"audio": stored, "text": datasets.Value("string")})
    sounds = [{"bytes": recorded(), "path": f"{row}.wav"} for row in range(len(texts))]
    rows = datasets.Dataset.from_dict({"audio": sounds, "text": texts}, features=features)
    rows.cast_column("audio", datasets.Audio(decode=False)).to_parquet(folder / f"{split}.parquet")


def test_data_sets_may_call_their_validation_split_otherwise(tmp_path: Path) -> None:
    names = ("train", "dev", "test")
    for name in names:
        store(tmp_path, name, [name])
    lines = [f"  - split: {name}\n    path: {name}.parquet\n" for name in names]
    header = f"configs:\n- config_name: default\n  data_files:\n{''.join(lines)}"
    (tmp_path / "README.md").write_text(f"---\n{header}---\n")
    found = [(each.text, each.split) for each in open_sounds(str(tmp_path), "")]
    assert found == [("train", "train"), ("dev", "validation"), ("test", "test")]


def test_data_sets_give_texts_of_all_splits(tmp_path: Path) -> None:
    store(tmp_path, "train", ["one", "two"])
    store(tmp_path, "test", ["three"])
    found = open_sounds(str(tmp_path), "")
    assert [(each.name, each.text, each.split) for each in found] == [
        ("0.wav", "one", "train"),
        ("1.wav", "two", "train"),
        ("0.wav", "three", "test"),
    ]
    assert len(read_samples(found[2].source, found[2].place)[0]) == 20_000
    store(tmp_path, "test", [None])
    with pytest.raises(UserError, match=r"split test, row 1: has no text in text"):
        open_sounds(str(tmp_path), "")
