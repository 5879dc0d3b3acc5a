"""Time series in CSV files: a header, then a row per time step."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seq2seq.data.readers import written_number
from seq2seq.errors import UserError, check, check_argument
from seq2seq.runtime.paths import checked_path

if TYPE_CHECKING:
    from _csv import Reader

Array = np.ndarray

TIME_COLUMNS = ("", "timestamp", "time", "date", "datetime")
"""Names that a first column of times has."""
MISSING = ("", "nan", "na", "null")
"""What stands where a value is not known."""
LARGEST = 1e9
"""Of a value: what scales answers back (`ReaderConfig.scale`, `offset`) is no larger."""


@dataclass(frozen=True)
class Series:
    """Values of one or more sensors at equal intervals."""

    names: list[str]
    """Of the sensors."""
    values: Array
    """[T, D] float64; NaN where a value is not known."""
    times: list[datetime]
    """Of the rows; empty where the file has no column of times."""


def read_series(path: Path, least: int = 1) -> Series:
    """Reads a CSV file with a column per sensor; a first column named as in `TIME_COLUMNS` holds ISO 8601 times. least:
    rows that are needed. Raises UserError, naming file and line, where a row is malformed or out of order."""
    path = checked_path(path, "path", "a CSV file")
    check(path.exists(), f"{path}: no such file")
    check(not path.is_dir(), f"{path}: is a folder; give a CSV file with a header and a row per time step")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            series = _read_rows(csv.reader(file), str(path))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a CSV file of numbers (byte {error.start} is no UTF-8)") from None
    count = len(series.values)
    check(count >= least, f"{path}: has {count} rows of values, but at least {least} are needed")
    return series


def time_step(series: Series, place: Path | str) -> timedelta:
    """The time from each row to the next. Raises UserError, beginning with the place, where rows are not equally far
    apart, or have no times."""
    check_argument("time_step", "series", series, Series)
    times = series.times
    check(bool(times), f"{place}: has no times; its first column must be named timestamp")
    check(len(times) > 1, f"{place}: has one row; give two at least")
    step = times[1] - times[0]
    for row in range(2, len(times)):
        equal = times[row] - times[row - 1] == step
        check(equal, f"{place}: {times[row]} does not follow {times[row - 1]} after {step}, as rows before do")
    return step


def mean_and_deviation(values: Array, path: Path | str) -> tuple[float, float]:
    """Mean and standard deviation of the values that are there, for standardising. Raises UserError naming the file
    they are from where there are none, or all are alike."""
    check_argument("mean_and_deviation", "values", values, np.ndarray)
    known = values[~np.isnan(values)]
    check(len(known) > 0, f"{path}: holds no value to train on")
    mean, deviation = float(known.mean()), float(known.std())
    check(deviation > 1e-9 * max(1.0, abs(mean)), f"{path}: all values to train on are {mean:g}: nothing to learn")
    return mean, deviation


def _read_rows(rows: Reader, path: str) -> Series:
    try:
        header = [name.strip() for name in next(rows, [])]
        timed = header[:1] != [] and header[0].lower() in TIME_COLUMNS
        names = header[int(timed) :]
        check(bool(names), f"{path}, line 1: must be a header with the name of each sensor")
        semicolons = f"{path}, line 1: cells must have commas between them, not semicolons"
        check(len(header) > 1 or ";" not in header[0], semicolons)
        check(all(names), f"{path}, line 1: a sensor has no name; is there a comma too many?")
        twice = next((name for name in names if names.count(name) > 1), None)
        check(twice is None, f"{path}, line 1: two sensors have the name {twice!r:.40}; is the header missing?")
        times: list[datetime] = []
        clocks: set[timedelta | None] = set()
        values: list[list[float]] = []
        for row in rows:
            if not row:
                continue
            place = f"{path}, line {rows.line_num}"
            check(len(row) == len(header), f"{place}: has {len(row)} cells, but the header has {len(header)}")
            if timed:
                time = _time(row[0], place)
                clocks.add(time.utcoffset())
                check(len(clocks) == 1, f"{place}: its time has another offset from UTC than those before; use one")
                times.append(time.replace(tzinfo=None))
                ascends = len(times) < 2 or times[-2] < times[-1]
                check(ascends, f"{place}: its time {row[0]!r:.40} is not later than that of the row before")
            values.append([_number(cell, place) for cell in row[int(timed) :]])
    except csv.Error as error:
        raise UserError(f"{path}, line {rows.line_num}: cannot be read as CSV ({error})") from None
    return Series(names, np.array(values, np.float64).reshape(-1, len(names)), times)


def _number(cell: str, place: str) -> float:
    if cell.strip().lower() in MISSING:
        return math.nan
    try:
        number = written_number(cell)
        check(math.isfinite(number), "infinite")
    except ValueError:
        raise UserError(f"{place}: must be numbers, or empty where a value is missing, got {cell!r:.40}") from None
    check(abs(number) <= LARGEST, f"{place}: {number:g} is beyond {LARGEST:,.0f}; give values in a larger unit")
    return number


def _time(cell: str, place: str) -> datetime:
    try:
        return datetime.fromisoformat(cell.strip())
    except ValueError:
        raise UserError(f"{place}: must begin with a time such as 2014-07-01 00:30:00, got {cell!r:.40}") from None
