"""What an exported model reads: files of text, pictures (pillow), sound, numbers; and the numbers of its options."""

from __future__ import annotations

import argparse
import csv
import math
import sys
import wave
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray
MOST_PIXELS = 25_000_000
"""A picture of more is refused before it is decoded."""
UNKNOWN_LENGTH = 0x7FFF0000
"""A WAV header that gives so many bytes or more was written before the length was known, as programs write to a pipe.
"""


class Fault(ValueError):
    """What the user can mend, in one line."""


def read(path: Path, reader: dict[str, Any], shape: Sequence[int | None]) -> Array:
    """The file as the model reads it. reader: its kind and settings; shape: that of an input (None: steps)."""
    match reader["kind"]:
        case "image":
            array = read_image(path, *shape[1:])  # type: ignore[arg-type]
        case "sound":
            array = read_sound(path, reader)
        case _:
            array = read_numbers(path)
    if len(shape) == 1 and array.shape[1:] == (1,):
        array = array[:, 0]  # a CSV file of ids has one column
    array = checked(array, shape, str(path))
    return array.astype(np.float32) if len(shape) > 1 else ids_of(array, reader, str(path))


def ids_of(array: Array, reader: dict[str, Any], name: str) -> Array:
    """Numbers [S] as ids. Raises Fault where they are none of the model's."""
    most = reader.get("ids", 2**31)
    if (array != np.floor(array)).any() or array.min() < 0 or array.max() >= most:
        raise Fault(f"{name}: ids are whole numbers from 0 to {most - 1}")
    return array.astype(np.int64)


def checked(array: Array, shape: Sequence[int | None], name: str) -> Array:
    """The array, where it has the shape that the model reads (None: any number of steps)."""
    fits = array.ndim == len(shape) and all(a in (None, b) for a, b in zip(shape, array.shape, strict=True))
    if not fits or not len(array):
        wanted = ", ".join("S" if each is None else str(each) for each in shape)
        raise Fault(f"{name}: the model reads numbers [{wanted}], not {list(array.shape)}")
    if not np.isfinite(array).all():
        raise Fault(f"{name}: holds numbers that are not finite")
    return array


def read_numbers(path: Path) -> Array:
    """The numbers of a .npy file, or of a .csv file with a row per step."""
    try:
        if path.suffix.lower() == ".npy":
            found = np.load(path, mmap_mode="r", allow_pickle=False)
            if np.iscomplexobj(found):
                raise Fault(f"{path}: holds complex numbers; give real ones")
            return np.array(found, np.float64)
        with path.open(encoding="utf-8-sig", newline="") as file:
            return np.array([[float(cell) for cell in row] for row in csv.reader(file) if row], np.float64)
    except (FileNotFoundError, Fault):
        raise
    except Exception:  # the libraries raise many unrelated types
        raise Fault(f"{path}: not a .npy file or a .csv file of numbers") from None


def read_image(path: Path, height: int, width: int) -> Array:
    """A picture as [3, height, width], 0 to 1."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Fault(f"{path}: has {image.width} x {image.height} pixels; make it smaller")
            if image.mode in ("I", "F"):
                raise Fault(f"{path}: its pixels are {image.mode}, of no known range; save it with 8 or 16 bits")
            if image.mode.startswith("I;16"):  # of which Pillow would cut all values at 255
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            resized = image.convert("RGB").resize((width, height))
    except (FileNotFoundError, Fault):
        raise
    except Exception as error:  # Pillow's decoders raise many unrelated types
        raise Fault(f"{path}: cannot be read as a picture ({str(error)[:200]})") from None
    return np.asarray(resized, np.float32).transpose(2, 0, 1) / np.float32(255)


def read_sound(path: Path, reader: dict[str, Any]) -> Array:
    """A WAV file of 16-bit samples as log-mel frames [frames, bands]."""
    try:
        with wave.open(str(path)) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            count = file.getnframes()
            content = file.readframes(count)
    except (wave.Error, EOFError) as error:  # the latter says nothing
        raise Fault(f"{path}: not a WAV file ({str(error) or 'it ends too early'})") from None
    if (channels, width, rate) != (1, 2, reader["rate"]):
        raise Fault(f"{path}: convert it to one channel of 16 bits with {reader['rate']} samples per second")
    if len(content) < 2 * count < UNKNOWN_LENGTH:
        raise Fault(f"{path}: is cut off after {len(content) // 2} of {count} samples; replace it")
    samples = np.frombuffer(content[: len(content) // 2 * 2], "<i2").astype(np.float32) / 32768
    settings = {name: reader[name] for name in ("rate", "bands", "window_seconds", "step_seconds")}
    try:
        return log_mel(samples, **settings)
    except Fault as fault:
        raise Fault(f"{path}: {fault}") from None


def log_mel(samples: Array, rate: int, bands: int, window_seconds: float, step_seconds: float) -> Array:
    """[n] samples -> [1 + n // step, bands] log energies of mel bands, each frame centred on its time."""
    size, step = round(rate * window_seconds), round(rate * step_seconds)
    if len(samples) <= size // 2:
        raise Fault(f"too short for a recording; a frame alone has {size} samples")
    around = np.pad(samples, size // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(around, size)[::step][: 1 + len(samples) // step]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(frames * window)) ** 2
    highest = 2595 * math.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, highest, bands + 2) / 2595) - 1)
    bins = np.linspace(0, rate / 2, size // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    filters = np.minimum(rising, falling).clip(min=0)
    return np.log(spectrum @ filters.T + 1e-6).astype(np.float32)


def whole(lowest: int, highest: int) -> Callable[[str], int]:
    """A type for argparse: whole numbers within bounds."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(f"must be a whole number from {lowest} to {highest}, not {text!r}")
        return int(text)

    return read


def real(lowest: float, highest: float) -> Callable[[str], float]:
    """A type for argparse: numbers within bounds."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not lowest <= value <= highest:
            raise argparse.ArgumentTypeError(f"must be a number from {lowest} to {highest}, not {text!r}")
        return value

    return read


def lines_of(paths: Sequence[str]) -> Iterator[str]:
    """Lines of UTF-8 text of all files. Only a line feed ends a line."""
    for path in paths or ["-"]:
        if path == "-" and sys.stdin is None:
            raise Fault("standard input is closed: give it text, one input per line")
        with sys.stdin.buffer if path == "-" else open(path, "rb") as stream:
            for line in stream:
                yield line.removesuffix(b"\n").decode("utf-8", errors="replace")


def names_of(inputs: Sequence[str]) -> Iterator[str]:
    """Names of files; those that standard input gives, a line each, for "-" and for none at all."""
    for name in inputs or ["-"]:
        yield from (line for line in lines_of(["-"]) if line.strip()) if name == "-" else (name,)
