"""What the recipes on series and pen strokes make of the data that is given to them."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import cumulative_sum_labels
import handwriting
import numpy as np
import pytest
import rides_forecast
import sequence_autoencoder
import talking_head
import traffic_forecast
from handwritten import hmm, pen

import seq2seq
from seq2seq.cli.exit_status import guarded
from seq2seq.errors import UserError
from tests.forking import run_script

RECIPES = Path(__file__).parents[2] / "recipes"
HOUR = timedelta(hours=1)
MONDAY = datetime(2026, 1, 5)
GOOD_DIGIT = ",".join(["0", "100"] * 8) + ",0000000010"


def test_readings_are_removed_and_what_is_missing_is_read_as_masked() -> None:
    config = replace(traffic_forecast.CONFIG, quick=True, missing=0.4)
    values = traffic_forecast.read(config)
    assert 0.3 < np.isnan(values).mean() < 0.5
    inputs = traffic_forecast.features(values, 300, 288)
    assert not np.isnan(inputs).any()
    own, known = inputs[..., 0], inputs[..., 1 + traffic_forecast.NEIGHBOURS]
    assert np.array_equal(known == 0, np.isnan(values))
    assert not own[np.isnan(values)].any()


def test_neighbours_are_the_most_correlated_sensors() -> None:
    random = np.random.default_rng(1)
    base = random.normal(size=(200, 4))
    values = np.concatenate([base, base + random.normal(0, 0.1, base.shape)], 1)
    inputs = traffic_forecast.features(values, 200, 288)
    for sensor in range(8):
        assert np.allclose(inputs[:, sensor, 1], values[:, (sensor + 4) % 8])


def test_windows_reach_into_no_other_part_and_targets_end_with_it() -> None:
    values = np.arange(60.0)[:, None].repeat(2, 1)
    where = traffic_forecast.places(0, 40, 2, 2)
    assert {step for step, _ in where} == set(range(12, 38))
    true = traffic_forecast.targets(values, where, 40)
    assert np.nanmax(true) == 39
    assert true[0].tolist() == list(range(12, 24))
    assert np.isfinite(true[-1]).sum() == 3


def test_the_last_known_value_stays_where_the_last_ones_are_missing() -> None:
    values = np.arange(40.0)[:, None]
    values[18:20] = np.nan
    values[24:40] = np.nan
    forecasts = traffic_forecast.baselines(values, [(20, 0), (37, 0)], 12)
    assert forecasts["last value"].tolist() == [[17.0], [5.5]]
    assert forecasts["mean of the window"][0, 0] == np.mean(np.arange(8, 18))


def test_a_day_reads_only_what_lies_a_day_or_more_before() -> None:
    hours = np.arange(24 * 21)
    times = [MONDAY + int(hour) * HOUR for hour in hours]
    days = rides_forecast.examples(hours.astype(float), times, 8 * 24, 10 * 24, 24)
    assert len(days) == 25
    inputs, target = days[3]
    assert target[:, 0].tolist() == list(range(8 * 24 + 3, 9 * 24 + 3))
    for column, shift in enumerate((24, 168, 192)):
        assert np.array_equal(inputs[:, column], target[:, 0] - shift)


def test_alarms_less_than_a_day_apart_are_one() -> None:
    errors = np.zeros(100)
    errors[[10, 11, 30, 80]] = 2
    ends = [MONDAY + hour * HOUR for hour in range(100)]
    spans = rides_forecast.alarms(errors, ends, 1.0)
    assert spans == [(ends[10], ends[30]), (ends[80], ends[80])]
    assert rides_forecast.overlap((ends[30], ends[31]), spans)
    assert not rides_forecast.overlap((ends[31], ends[79]), spans)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,a\n2026-01-05,1\n2026-01-06,1\n2026-01-08,1\n", "2026-01-08 00:00:00 does not follow"),
        ("time,a\n2026-01-05,1\n2026-01-06,\n2026-01-07,1\n", "the value at 2026-01-06 00:00:00 is missing"),
        ("time,a\n2026-01-05,1\n2026-01-06,1\n", "shorter than four weeks"),
        ("time,a,b\n2026-01-05,1,1\n2026-01-06,1,1\n", "2 columns of values"),
        ("a\n1\n1\n", "has no times"),
    ],
)
def test_a_series_that_is_none_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rides.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        rides_forecast.read(replace(rides_forecast.CONFIG, data=str(path)))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ['[["2026-01-05"]]', '[["2026-01-05", "soon"]]', "[1]", "[\n[}", "7"])
def test_malformed_windows_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "windows.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"windows\.json(, line 2)?: "):
        rides_forecast.read_windows(str(path))
    path.write_text(json.dumps([["2026-01-05 10:00:00", "2026-01-06"]]))
    assert rides_forecast.read_windows(str(path)) == [(datetime(2026, 1, 5, 10), datetime(2026, 1, 6))]
    path.write_text(json.dumps([["2026-01-05T10:00:00+00:00", "2026-01-06T00:00:00+00:00"]]))
    assert rides_forecast.read_windows(str(path)) == [(datetime(2026, 1, 5, 10), datetime(2026, 1, 6))], "as the series"


def test_windows_outside_of_the_test_or_turned_around_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "windows.json"
    path.write_text(json.dumps([["2026-01-05", "2026-01-06"], ["2026-01-08", "2026-01-07"]]))
    with pytest.raises(UserError, match=r"windows\.json: window 2 ends at 2026-01-07 00:00:00, before it begins"):
        rides_forecast.read_windows(str(path))
    windows = [(MONDAY + 9 * HOUR, MONDAY + 11 * HOUR), (MONDAY, MONDAY + 9 * HOUR)]
    tested = MONDAY + 10 * HOUR, MONDAY + 90 * HOUR
    rides_forecast.refuse_strays(windows[:1], tested, "w.json")
    with pytest.raises(
        UserError, match=r"w\.json: window 2, .* is outside of the test, 2026-.* 10:00:00 to .*; leave it"
    ):
        rides_forecast.refuse_strays(windows, tested, "w.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.__setitem__((slice(280), 1), np.nan), "in the first 280 rows, of sensor b; leave its"),
        (
            lambda values: values.__setitem__(slice(280, 320), np.nan),
            "rows 281 to 320, to choose the best model on, hold no",
        ),
        (
            lambda values: values.__setitem__(slice(332, 400), np.nan),
            "rows 321 to 400, to test on, hold no value to forecast",
        ),
    ],
)
def test_parts_without_a_value_are_refused(change: Callable[[np.ndarray], None], message: str) -> None:
    values = np.random.default_rng(1).random((400, 2))
    traffic_forecast.refuse_gaps(values, ["a", "b"], "t.csv")
    change(values)
    with pytest.raises(UserError, match=f"^t.csv: .*{message}"):
        traffic_forecast.refuse_gaps(values, ["a", "b"], "t.csv")


def test_rows_are_as_far_apart_as_is_said(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [f"{MONDAY + row * HOUR / 4},{row % 7},{row % 5}\n" for row in range(240)]
    path.write_text("".join(["time,a,b\n", *rows]))
    config = replace(traffic_forecast.CONFIG, data=str(path))
    with pytest.raises(UserError, match=r"t\.csv: its rows are 15 minutes apart, not 5; give --minutes 15"):
        traffic_forecast.read(config)
    assert traffic_forecast.read(replace(config, minutes=15)).shape == (240, 2)
    path.write_text("".join(["time,a,b\n", *rows[:99], *rows[100:], f"{MONDAY + 90 * HOUR},1,2\n"]))
    with pytest.raises(UserError, match=f"{MONDAY + 25 * HOUR} does not follow"):
        traffic_forecast.read(replace(config, minutes=15))


def test_a_digit_that_no_training_shows_is_named(tmp_path: Path) -> None:
    def lines(labels: list[int]) -> str:
        return "".join(
            ",".join(map(str, [*range(16), *(int(label == each) for each in range(10))])) + "\n" for label in labels
        )

    config = replace(handwriting.CONFIG, data=str(tmp_path))
    (tmp_path / "pendigits.tes").write_text(lines([1, 2, 3, 7] * 5))
    (tmp_path / "pendigits.tra").write_text(lines([1, 2, 3] * 10))
    with pytest.raises(
        UserError, match=r"pendigits\.tes: holds the digit 7, but not the first 24 rows of pendigits\.tra, to"
    ):
        handwriting.read(config)
    (tmp_path / "pendigits.tra").write_text(lines([1, 2, 3] * 8 + [7] * 6))
    with pytest.raises(
        UserError, match=r"pendigits\.tra: holds the digit 7, but not the first 24 rows of pendigits\.tra, to"
    ):
        handwriting.read(config)
    (tmp_path / "pendigits.tra").write_text(lines([1, 2, 3, 7] * 8))
    assert [len(part.labels) for part in handwriting.read(config)] == [25, 7, 20]


def test_readings_come_so_many_times_a_day() -> None:
    with pytest.raises(UserError, match="minutes must divide a day's 1,440, not be 7"):
        replace(traffic_forecast.CONFIG, minutes=7)


@pytest.mark.parametrize(
    "line",
    ["1,2,3", GOOD_DIGIT.replace("100", "101", 1), GOOD_DIGIT.replace("100", "x", 1), GOOD_DIGIT[:-3] + "110", ""],
)
def test_a_malformed_digit_is_named_by_file_and_line(line: str, tmp_path: Path) -> None:
    path = tmp_path / "pendigits.tra"
    path.write_text("\n".join([GOOD_DIGIT] * 20 + [line] + [GOOD_DIGIT]))
    with pytest.raises(UserError, match=r"pendigits\.tra, line 21: must be 16 numbers from 0 to 100"):
        pen.read_digits(path)


def test_a_digit_is_read_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "pendigits.tes"
    path.write_text("\n".join([GOOD_DIGIT, GOOD_DIGIT.replace(",0000000010", ",1,0,0,0,0,0,0,0,0,0")] * 10))
    digits = pen.read_digits(path)
    assert digits.labels[:2].tolist() == [8, 0]
    assert digits.points.shape == (20, 8, 2)
    assert digits.points[0, 3].tolist() == [0.0, 100.0]


def test_a_resampled_digit_goes_the_same_way_at_equal_distances() -> None:
    corner = np.array([[0.0, 0.0], [0.0, 30.0], [60.0, 30.0]])
    assert np.allclose(pen.resampled(corner, 4), [[0, 0], [0, 30], [30, 30], [60, 30]])


def test_every_digit_is_tested_once_and_strips_say_how_the_pen_moved() -> None:
    digits = pen.generated_digits(60, 1)
    strips = list(pen.strips_of_all(digits, 1))
    labels = np.concatenate([strip.labels for strip in strips])
    assert sorted(labels) == sorted(digits.labels)
    for strip in strips:
        assert strip.features[:, 2].sum() == len(strip.labels) <= 6
        assert len(strip.features) == strip.lengths.sum()
        assert set(strip.lengths) <= set(range(6, 15))
        places = np.cumsum(strip.features[:, 0])
        parts = np.split(places, np.cumsum(strip.lengths)[:-1])
        assert all(left.max() < right.min() for left, right in itertools.pairwise(parts))


def test_hidden_markov_models_read_digits_that_differ_little() -> None:
    """Fixed zigzags with noise: what is wrong in joining or decoding the models would break nearly all of them."""
    training = list(pen.drawn_strips(pen.generated_digits(100, 1), 60, 1))
    strips = list(pen.strips_of_all(pen.generated_digits(40, 2), 2))
    texts = hmm.read_strips(training, strips)
    assert seq2seq.error_rates(texts, [[strip.text] for strip in strips]).token < 20


def test_hidden_markov_models_read_the_digits_that_they_know() -> None:
    """Where training has no 0 and no 4, the others keep their names."""
    digits = pen.generated_digits(100, 1)
    known = digits.part(np.flatnonzero(~np.isin(digits.labels, (0, 4))))
    strips = list(pen.strips_of_all(pen.generated_digits(40, 2), 2))
    texts = hmm.read_strips(list(pen.drawn_strips(known, 60, 1)), strips)
    read = [
        (one, true)
        for text, strip in zip(texts, strips, strict=True)
        for one, true in zip(text.split(), strip.labels, strict=False)
    ]
    assert {one for one, _ in read} <= set("12356789")
    right = [one == str(true) for one, true in read if true not in (0, 4)]
    assert np.mean(right) > 0.7


@pytest.mark.parametrize(
    ("name", "file", "text", "message"),
    [
        ("traffic_forecast", "speeds.csv", "a,b\n1,2\n3\n", "speeds.csv, line 3: has 1 cells"),
        ("rides_forecast", "rides.csv", "time,a\n2026-01-05,x\n", "rides.csv, line 2: must be numbers"),
        ("handwriting", "pendigits.tra", "1,2\n", "pendigits.tra, line 1: must be 16 numbers"),
    ],
)
def test_a_malformed_file_ends_a_recipe_with_one_line(
    name: str, file: str, text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / file
    path.write_text(text)
    given = tmp_path if name == "handwriting" else path
    ended = run_script(RECIPES / f"{name}.py", ["--data", given, "--output", tmp_path / "run"], tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert message in ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("slot_filling", "nowhere", "nowhere: no such folder"),
        ("slot_filling", "rows.csv", "rows.csv: a file, not a folder"),
        ("handwriting", ".", "pendigits.tra: is a folder, not a file"),
    ],
)
def test_a_folder_in_place_of_a_file_is_named(name: str, given: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "pendigits.tra").mkdir()
    (tmp_path / "rows.csv").write_text("1")
    ended = run_script(RECIPES / f"{name}.py", ["--data", tmp_path / given, "--output", tmp_path / "run"], tmp_path)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert message in ended.stderr


@pytest.mark.parametrize("name", ["traffic_forecast", "rides_forecast", "handwriting"])
def test_without_data_they_ask_for_it(name: str, tmp_path: Path) -> None:
    ended = run_script(RECIPES / f"{name}.py", ["--output", tmp_path / "run"], tmp_path)
    assert ended.returncode == 2
    assert "give --data" in ended.stderr


def write_pairs(folder: Path, count: int, values: np.ndarray) -> None:
    """Sequences of six steps of two numbers, each with the same targets [6, D], in folders of .csv and .npy files."""
    for side in ("inputs", "targets"):
        (folder / side).mkdir(parents=True)
    for number in range(count):
        inputs = np.random.default_rng(number).random((6, 2))
        np.savetxt(folder / "inputs" / f"{number}.csv", inputs, delimiter=",")
        np.savetxt(folder / "targets" / f"{number}.csv", values, delimiter=",", fmt="%g")


def test_sequences_of_ones_own_train_their_recipes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "clips.npy", np.random.default_rng(1).random((20, 6, 3)))
    write_pairs(tmp_path / "values", 20, np.arange(18).reshape(6, 3) / 10)
    write_pairs(tmp_path / "labels", 20, np.array([[3], [3], [7], [7], [5], [5]]))
    for recipe, data, variant, outputs in (
        (sequence_autoencoder, "clips.npy", "conditioned", 3),
        (talking_head, "values", "bilstm", 3),
    ):
        output = tmp_path / recipe.__name__
        recipe.main(replace(recipe.CONFIG, data=str(tmp_path / data), output=str(output), quick=True))
        assert seq2seq.load(output / variant).config.outputs == outputs
    printed = capsys.readouterr().out
    assert printed.count("prediction") == 4
    assert "clips.png" not in printed  # a frame of three numbers is no picture
    assert seq2seq.load(tmp_path / "sequence_autoencoder" / "unconditioned").config.rollout_steps == 3
    parts = cumulative_sum_labels.read(replace(cumulative_sum_labels.CONFIG, data=str(tmp_path / "labels")))
    assert [len(part) for part in parts] == [16, 2, 2]
    numbers, labels = cumulative_sum_labels.numbered(parts[0], [3, 5, 7], "here")[0]
    assert numbers.shape == (6, 2) and labels.tolist() == [0, 0, 2, 2, 1, 1]
    with pytest.raises(
        UserError, match=r"^here: label 5 occurs in the last two tenths .* but in none before, to train on"
    ):
        cumulative_sum_labels.numbered(parts[0], [3, 7], "here")


def test_a_long_series_is_cut_into_clips(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("".join(f"{row}\n" for row in range(410)))
    parts = sequence_autoencoder.read(replace(sequence_autoencoder.CONFIG, data=str(tmp_path / "a.csv")))
    assert [len(part) for part in parts] == [16, 2, 2]
    read, wanted = parts[0][1]
    assert read[:, 0].tolist() == list(range(20, 30))
    assert wanted[:, 0].tolist() == [*range(29, 19, -1), *range(30, 40)]


def only(folder: Path, text: str) -> None:
    """One file in place of all that lie there."""
    for path in folder.iterdir():
        path.unlink()
    (folder / "all.csv").write_text(text)


@pytest.mark.parametrize(
    ("recipe", "spoil", "told"),
    [
        (
            sequence_autoencoder,
            lambda f: (f / "inputs" / "3.csv").write_text("1,2\n1,2\n"),
            "3.csv: has 2 frames; clips",
        ),
        (
            sequence_autoencoder,
            lambda f: only(f / "inputs", "1,2\n1,2\n"),
            "has 2 frames; a clip alone has 20",
        ),
        (
            sequence_autoencoder,
            lambda f: (f / "inputs" / "3.csv").write_text("1,2\n1\n"),
            "3.csv, line 2: has 1 numbers",
        ),
        (talking_head, lambda f: (f / "targets" / "3.csv").write_text("1\nx\n"), "3.csv, line 2: must be numbers"),
        (talking_head, lambda f: (f / "targets" / "3.csv").write_text("1\n"), "3.csv: has 1 steps, but"),
        (cumulative_sum_labels, lambda f: (f / "inputs" / "3.csv").unlink(), "3.csv: has no counterpart in"),
        (
            cumulative_sum_labels,
            lambda f: (f / "targets" / "3.csv").write_text("1\n0\n0.5\n1\n1\n1\n"),
            "3.csv: must have one whole number per step",
        ),
    ],
)
def test_malformed_sequences_end_their_recipes_with_one_line(
    recipe: Any, spoil: Callable[[Path], object], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pairs(tmp_path, 10, np.array([[0], [0], [1], [1], [1], [1]]))
    spoil(tmp_path)
    data = tmp_path / "inputs" if recipe is sequence_autoencoder else tmp_path
    config = replace(recipe.CONFIG, data=str(data), output=str(tmp_path / "run"))
    assert guarded(f"{recipe.__name__}.py", lambda: recipe.main(config)) == 2
    ended = capsys.readouterr().err
    assert ended.count("\n") == 1
    assert told in ended
    assert not (tmp_path / "run").exists()
