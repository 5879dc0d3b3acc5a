"""Digits as the pen wrote them, joined to strips."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import seq2seq

POINTS = 8
"""Of a digit in the files, at equal distances along the pen's way."""
HEIGHT = 100
"""Units of a digit's box, which the longer side of the digit fills."""
FEATURES = 3
"""Of a point: how far right and up the pen moved since the point before, and whether it was lifted."""
UNIT = 30.0
"""A movement of this length is read as 1."""


@dataclass(frozen=True)
class Digits:
    """Single digits."""

    points: np.ndarray
    """[n, POINTS, 2] float64, x to the right and y up"""
    labels: np.ndarray
    """[n] int64"""

    def part(self, rows: slice) -> "Digits":
        """Some of them."""
        return Digits(self.points[rows], self.labels[rows])


@dataclass(frozen=True)
class Strip:
    """Digits in a row."""

    features: np.ndarray
    """[S, FEATURES] float32"""
    labels: np.ndarray
    """[digits] int64"""
    lengths: np.ndarray
    """[digits] int64: points of each"""

    @property
    def text(self) -> str:
        """The digits with spaces between them."""
        return " ".join(map(str, self.labels))


def read_digits(path: Path) -> Digits:
    """Reads lines of 8 points x, y from 0 to 100, then ten columns of which the digit's is 1 and the others 0. Raises
    UserError naming file and line."""
    wrong = "is a folder, not a file" if path.is_dir() else "no such file"
    seq2seq.check(path.is_file(), f"{path}: {wrong}; --data names a folder with pendigits.tra and pendigits.tes")
    points, labels = [], []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise seq2seq.UserError(f"{path}: not a file of numbers (byte {error.start} is no UTF-8)") from None
    for number, line in enumerate(lines, 1):
        cells = line.replace(" ", "").split(",")
        numbers, columns = cells[: 2 * POINTS], "".join(cells[2 * POINTS :])
        within = all(cell.isascii() and cell.isdigit() and int(cell) <= HEIGHT for cell in numbers)
        one_class = len(columns) == 10 and sorted(columns) == sorted("0000000001")
        seq2seq.check(
            len(numbers) == 2 * POINTS and within and one_class,
            f"{path}, line {number}: must be 16 numbers from 0 to {HEIGHT}, then ten columns, one of them 1 and the "
            f"others 0, got {line.strip()!r:.60}",
        )
        points.append(np.array(numbers, np.float64).reshape(POINTS, 2))
        labels.append(columns.index("1"))
    seq2seq.check(len(labels) >= 20, f"{path}: holds {len(labels)} digits; at least 20 are needed")
    return Digits(np.stack(points), np.array(labels))


def generated_digits(count: int, seed: int) -> Digits:
    """Ten fixed zigzags, each with a little noise: for smoke runs without data."""
    shapes = np.random.default_rng(0).uniform(0, HEIGHT, (10, POINTS, 2))
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 10
    return Digits(shapes[labels] + random.normal(0, 3, (count, POINTS, 2)), labels)


def resampled(points: np.ndarray, count: int) -> np.ndarray:
    """[n, 2] -> [count, 2] at equal distances along the same way."""
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    places = np.linspace(0, along[-1], count)
    return np.stack([np.interp(places, along, column) for column in points.T], 1)


def distorted(points: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A digit as another hand might have written it: turned, slanted, stretched a little."""
    angle, slant = random.uniform(-0.2, 0.2), random.uniform(-0.25, 0.25)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turned @ np.array([[1, slant], [0, 1]]) @ np.diag(random.uniform(0.8, 1.2, 2))
    return (points - HEIGHT / 2) @ matrix.T + HEIGHT / 2 + random.normal(0, 1.5, points.shape)


def joined(points: np.ndarray, labels: np.ndarray, random: np.random.Generator) -> Strip:
    """Digits [n, POINTS, 2], each resampled to 6 to 14 points, so that counting does not part them, one to the right of
    the other, a little higher or lower."""
    left, way, lifted, lengths = 0.0, [], [], random.integers(6, 15, len(labels))
    for digit, length in zip(points, lengths, strict=True):
        placed = resampled(digit, int(length))
        placed += np.array([left - placed[:, 0].min(), random.uniform(-10, 10)])
        left = placed[:, 0].max() + random.uniform(5, 40)
        way.append(placed)
        lifted += [1.0] + [0.0] * (int(length) - 1)
    track = np.concatenate(way)
    moves = np.diff(track, axis=0, prepend=track[:1]) / UNIT
    return Strip(np.concatenate([moves, np.array(lifted)[:, None]], 1).astype(np.float32), labels, lengths)


def drawn_strips(digits: Digits, count: int, seed: int, most: int = 6) -> Iterator[Strip]:
    """Strips of 1 to `most` digits drawn with replacement, each digit distorted anew."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        rows = random.integers(len(digits.labels), size=random.integers(1, most + 1))
        points = np.stack([distorted(digits.points[row], random) for row in rows])
        yield joined(points, digits.labels[rows], random)


def strips_of_all(digits: Digits, seed: int, most: int = 6) -> Iterator[Strip]:
    """Strips of 1 to `most` digits in which each digit occurs once, as it was written."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(digits.labels))
    while len(order):
        rows, order = np.split(order, [min(len(order), int(random.integers(1, most + 1)))])
        yield joined(digits.points[rows], digits.labels[rows], random)
