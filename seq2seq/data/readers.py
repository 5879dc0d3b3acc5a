"""From a file, or a text, to what a model reads: numbers, a picture, sound, characters, subwords."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from seq2seq.config import Real, Whole, check_fields, check_numbers
from seq2seq.errors import UserError, check
from seq2seq.runtime.pictures import as_rgb

if TYPE_CHECKING:
    from seq2seq.data.audio import LogMel
    from seq2seq.data.images import Encode

Array = np.ndarray

VALUES = Real(-1_000_000_000, 1_000_000_000)


@dataclass(frozen=True)
class ReaderConfig:
    """How an input becomes what the model reads, and what the numbers of its answer mean; kept with the run for those
    who use the model on files and texts of their own."""

    kind: Literal["array", "image", "frames", "sound", "characters", "subwords", "words"] = "array"
    """array: a .npy file, or a .csv file of numbers with a row per step; image: a picture; frames: a folder of
    pictures, each a step; sound: a recording of one channel, read as log-mel frames; characters, subwords, words: a
    text, words with spaces between them."""
    rate: int = 0
    """Samples per second of recordings (sound)."""
    bands: int = 40
    """Numbers per frame (sound)."""
    window_seconds: float = 0.025
    """Length of a frame (sound)."""
    step_seconds: float = 0.01
    """Time from one frame to the next (sound)."""
    symbols: str = ""
    """The characters that are known, in the order of their ids (characters, words)."""
    backbone: str = ""
    """Pretrained network that reads the picture first; empty: none (image)."""
    scale: float = 1.0
    """A value of the answer is the model's output times this, plus offset."""
    offset: float = 0.0
    """See scale."""
    pixels: int = 0
    """Edge that frames are resized to (frames)."""

    def __post_init__(self) -> None:
        check_fields(self, "reader")
        check_numbers(
            self,
            "reader",
            pixels=Whole(1 if self.kind == "frames" else 0, 10_000),
            rate=Whole(1 if self.kind == "sound" else 0, 10_000_000),
            bands=Whole(1, 10_000),
            window_seconds=Real(0, 60, without=(0,)),
            step_seconds=Real(0, 60, without=(0,)),
            scale=VALUES,
            offset=VALUES,
        )
        if self.kind == "sound":
            shortest = self.rate * min(self.window_seconds, self.step_seconds)
            check(shortest >= 1, "reader.window_seconds and reader.step_seconds must be a sample long at least")

    @property
    def reads_text(self) -> bool:
        """Whether an input is a text, not a file."""
        return self.kind in ("characters", "subwords", "words")


def read_file(config: ReaderConfig, path: Path) -> Any:
    """An array, or a Pillow image, of a file. Raises UserError naming the file where it cannot be read, or is of
    another kind than this reader's."""
    check(path.exists(), f"{path}: no such file")
    if config.kind == "frames":
        return read_frames(path, config.pixels)
    check(not path.is_dir(), f"{path}: is a folder; give the files in it")
    check(path.stat().st_size > 0 or not path.is_file(), f"{path}: is empty")
    match config.kind:
        case "image":
            image = read_image(path)
            return _backbone(config.backbone)([image])[0] if config.backbone else image
        case "sound":
            return read_sound(config, path)
        case _:
            return read_array(path)


def read_array(path: Path) -> Array:
    """The numbers of a .npy file, or of a .csv file [S, F], a row per step. Raises UserError naming file and line."""
    match path.suffix.lower():
        case ".npy":
            try:
                found = np.load(path, mmap_mode="r", allow_pickle=False)
                check(isinstance(found, np.ndarray), f"{path}: an archive of arrays (.npz); give a .npy file")
                check(not np.iscomplexobj(found), f"{path}: holds complex numbers; give real ones")
                return np.array(found)
            except UserError:
                raise
            except Exception as error:  # the library raises many unrelated types, and speaks of its own options
                pickled = "Object arrays" in str(error) or "Python objects" in str(error)
                reason = "holds Python objects (a pickle), which are never loaded" if pickled else "may be damaged"
                raise UserError(f"{path}: cannot be read as a .npy file of numbers; it {reason}") from None
        case ".csv":
            return _read_csv(path)
    raise UserError(f"{path}: this run reads arrays: give .npy files, or .csv files of numbers with a row per step")


def written_number(cell: str) -> float:
    """A number as files have it. Raises ValueError for others, such as those that only Python writes so: 1_000."""
    check(cell.isascii() and "_" not in cell, "not as numbers are written in files")
    return float(cell)


def _read_csv(path: Path) -> Array:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a CSV file of numbers (byte {error.start} is no UTF-8)") from None
    rows: list[list[float]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            rows.append([written_number(cell) for cell in line.split(",")])
        except ValueError:
            shown = line.strip()[:40]
            raise UserError(f"{path}, line {number}: must be numbers separated by commas, got {shown!r}") from None
        check(
            len(rows[-1]) == len(rows[0]),
            f"{path}, line {number}: has {len(rows[-1])} numbers, but the lines before it {len(rows[0])}",
        )
    check(bool(rows), f"{path}: holds no numbers")
    return np.array(rows)


def read_image(path: Path) -> Any:
    """A picture as a Pillow image in RGB. Raises UserError naming the file where it cannot be read."""
    try:
        from PIL import Image
    except ImportError:
        raise UserError("reading pictures needs Pillow: pip install 'seq2seq[images]'") from None
    try:
        with Image.open(path) as image:
            return as_rgb(image)
    except Exception as error:  # Pillow's decoders raise many unrelated types
        reason = str(error).split("\n")[0][:200]
        raise UserError(f"{path}: cannot be read as a picture ({reason})") from None


def read_frames(folder: Path, pixels: int) -> Array:
    """The pictures of a folder, by name, in which 2 comes before 10: [S, pixels * pixels * 3] float32 in [0, 1]. Raises
    UserError naming the file that cannot be read."""
    check(folder.is_dir(), f"{folder}: is no folder of frames; this run reads a folder of pictures as one input")
    files = sorted((file for file in folder.iterdir() if not file.name.startswith(".")), key=_by_number)
    check(bool(files), f"{folder}: holds no frames")
    frames = [np.asarray(read_image(file).resize((pixels, pixels)), np.float32) / 255 for file in files]
    return np.stack(frames).reshape(len(frames), -1)


def _by_number(file: Path) -> list[tuple[int, str]]:
    """Digits in a name count as numbers."""
    parts = re.split(r"([0-9]+)", file.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def read_sound(config: ReaderConfig, path: Path) -> Array:
    """A recording as log-mel frames [frames, bands] float32. Raises UserError naming the file where it is no sound, is
    cut off, has several channels, another rate than the run's, or is too short."""
    import torch

    from seq2seq.data.sounds import read_samples

    samples, rate = read_samples(path, str(path))
    check(
        rate == config.rate,
        f"{path}: has {rate} samples per second, but the run was trained on {config.rate}; convert it",
    )
    check(samples.ndim == 1, f"{path}: has {samples.shape[-1]} channels; convert it to one")
    log_mel = _log_mel(config.rate, config.bands, config.window_seconds, config.step_seconds)
    check(len(samples) > log_mel.size // 2, f"{path}: too short; a frame alone has {log_mel.size} samples")
    with torch.inference_mode():
        frames: Array = log_mel(torch.from_numpy(samples)).numpy()
    return frames


@functools.cache
def _log_mel(rate: int, bands: int, window_seconds: float, step_seconds: float) -> LogMel:
    from seq2seq.data.audio import LogMel

    return LogMel(rate, bands, window_seconds, step_seconds)


@functools.cache
def _backbone(name: str) -> Encode:
    from seq2seq.data.images import backbone

    return backbone(name)
