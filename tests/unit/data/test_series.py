"""Time series in CSV files."""

import math
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from seq2seq.data.series import Series, mean_and_deviation, read_series, time_step
from seq2seq.errors import UserError


def written(folder: Path, text: str) -> Path:
    path = folder / "series.csv"
    path.write_text(text)
    return path


def test_a_column_of_times_is_no_sensor_and_an_empty_cell_is_missing(tmp_path: Path) -> None:
    series = read_series(written(tmp_path, 'timestamp,"a,b",c\n2014-07-01 00:00:00,1.5,\n2014-07-01 00:30:00,-2,NaN\n'))
    assert series.names == ["a,b", "c"]
    assert series.times == [datetime(2014, 7, 1), datetime(2014, 7, 1, 0, 30)]
    assert series.values[:, 0].tolist() == [1.5, -2.0]
    assert all(map(math.isnan, series.values[:, 1]))


def test_times_are_those_of_one_clock(tmp_path: Path) -> None:
    """Where summer time begins, or only some rows say their offset, wall clocks are not equally far apart."""
    rows = "time,a\n2026-03-29T00:00+01:00,1\n2026-03-29T01:00+01:00,2\n"
    for other in ("2026-03-29T03:00+02:00", "2026-03-29T02:00"):
        with pytest.raises(
            UserError, match=r"series\.csv, line 4: its time has another offset from UTC than those before"
        ):
            read_series(written(tmp_path, f"{rows}{other},3\n"))
    series = read_series(written(tmp_path, rows))
    assert series.times == [datetime(2026, 3, 29), datetime(2026, 3, 29, 1)]
    assert time_step(series, "a.csv") == timedelta(hours=1)
    with pytest.raises(UserError, match=r"^a\.csv: has no times; its first column must be named timestamp"):
        time_step(Series(["a"], np.zeros((2, 1)), []), "a.csv")
    with pytest.raises(UserError, match=r"^a\.csv: has one row; give two"):
        time_step(Series(["a"], np.zeros((1, 1)), series.times[:1]), "a.csv")


def test_without_a_column_of_times_all_columns_are_sensors(tmp_path: Path) -> None:
    series = read_series(written(tmp_path, "\ufeff773869,767541\r\n64.375,67.625\r\n\r\n62,0\r\n"))
    assert (series.names, series.times) == (["773869", "767541"], [])
    assert series.values.tolist() == [[64.375, 67.625], [62.0, 0.0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: must be a header"),
        ("a;b\n1;2\n", "line 1: cells must have commas between them, not semicolons"),
        ("time,a,b,\n2026-01-05,1,2,\n", "line 1: a sensor has no name; is there a comma too many"),
        ("a,b\n1,2\n3\n", "line 3: has 1 cells, but the header has 2"),
        ("a,b\n1,two\n", "line 2: must be numbers, or empty where a value is missing, got 'two'"),
        ("a\n1\ninf\n", "line 3: must be numbers"),
        ("a\n1\n1e300\n", "line 3: 1e+300 is beyond 1,000,000,000; give values in a larger unit"),
        ("a\n1\n-1e12\n", "line 3: -1e+12 is beyond"),
        ("a,b,a\n1,2,3\n", "line 1: two sensors have the name 'a'"),
        ("a\n1_000\n", "line 2: must be numbers"),
        ("time,a\n2014-07-01,1\nyesterday,1\n", "line 3: must begin with a time"),
        ("time,a\n2014-07-02,1\n2014-07-01,1\n", "line 3: its time '2014-07-01' is not later"),
        ("a\n", "has 0 rows of values, but at least 1 are needed"),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line(text: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UserError) as caught:
        read_series(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_text_file_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "series.csv"
    path.write_bytes(b"a,b\n\xff\xfe,1\n")
    with pytest.raises(UserError, match="not a CSV file of numbers"):
        read_series(path)
    for other, message in ((tmp_path, "is a folder"), (tmp_path / "none.csv", "no such file")):
        with pytest.raises(UserError, match=message):
            read_series(other)


def test_standardising_needs_values_that_differ(tmp_path: Path) -> None:
    assert mean_and_deviation(np.array([[1.0, np.nan], [3.0, 2.0]]), tmp_path) == pytest.approx((2, (2 / 3) ** 0.5))
    for values, message in (([np.nan, np.nan], "no value"), ([60.0, 60.0], "are 60"), ([0.1] * 3, "are 0.1")):
        with pytest.raises(UserError, match=f"s.csv: .*{message}"):
            mean_and_deviation(np.array(values), "s.csv")
