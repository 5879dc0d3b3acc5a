"""Rides of the next day from those of the last week, and the days that were not as forecast: one series, BiLSTM.

python recipes/rides_forecast.py --data FILE.csv [--windows FILE.json] [--output DIR] [--quick] [--any.option VALUE]

FILE.csv has a header, times at equal intervals in a column `timestamp`, and one column of values, such as New York's
taxi rides per half hour in the Numenta Anomaly Benchmark (Ahmad et al. 2017). For each step of the next day the model
reads the value a day before, that of a week before, and the time. It is trained on the first three sevenths of the
series; the fourteenth behind them chooses the best model and sets the threshold of alarms; the second half is for the
test. An alarm, a row of alarms.csv, is raised when a day ends whose forecast was worse than that of any day that set
the threshold. With `--windows`, times [begin, end] in which something did happen, those found are counted; nothing is
set by them.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

DAY, WEEK = timedelta(days=1), timedelta(days=7)
INPUTS = 7
"""Numbers per step: the values a day, a week, and a week and a day before; time of day and of the week on circles."""

Examples = list[tuple[np.ndarray, np.ndarray]]
Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Config(seq2seq.PredictorTask):
    """Choices of this script."""

    data: str = ""
    """CSV file of the series; must be given."""
    windows: str = ""
    """JSON file of a list of [begin, end], of times in which something is known to have happened; empty: none."""


CONFIG = Config(
    model=seq2seq.PredictorConfig(
        seq2seq.FrontEndConfig("features", INPUTS),
        size=32,
        dropout=0.1,
        encoder=seq2seq.EncoderConfig(hidden_size=48, layers=2),
        outputs=1,
    ),
    batching=seq2seq.BatchingConfig(max_tokens_per_batch=3_200, length_step=1),
    optimizer=seq2seq.OptimizerConfig(learning_rate=0.003, warmup_steps=50),
    trainer=seq2seq.TrainerConfig(epochs=12, best_metric="loss", average_decay=0.99),
)


def read(config: Config) -> seq2seq.Series:
    """The series; of a smoke run without data, a generated one of four weeks by the hour."""
    if not config.data:
        seq2seq.check(config.quick, "give --data FILE.csv, with columns timestamp and value, such as New York's rides")
        hours = np.arange(4 * 7 * 24)
        values = 100 + 50 * np.sin(2 * np.pi * hours / 24) + np.random.default_rng(1).normal(0, 5, len(hours))
        times = [datetime(2026, 1, 5) + timedelta(hours=int(hour)) for hour in hours]
        return seq2seq.Series(["value"], values[:, None], times)
    series = seq2seq.read_series(Path(config.data), least=2)
    place, times = config.data, series.times
    seq2seq.check(bool(times), f"{place}: has no times; its first column must be named timestamp")
    seq2seq.check(len(series.names) == 1, f"{place}: has {len(series.names)} columns of values; leave one")
    step = seq2seq.time_step(series, place)
    missing = np.isnan(series.values[:, 0])
    seq2seq.check(not missing.any(), f"{place}: the value at {times[int(missing.argmax())]} is missing; fill it in")
    seq2seq.check(DAY % step == timedelta(0), f"{place}: a day is no whole number of its steps of {step}")
    seq2seq.check(times[-1] - times[0] > 4 * WEEK - DAY, f"{place}: is shorter than four weeks")
    return series


def read_windows(path: str) -> list[Span]:
    """The times [begin, end] of a file. Raises UserError naming it where it holds anything else."""
    if not path:
        return []
    try:
        given = json.loads(Path(path).read_text(encoding="utf-8"))
        times = [[datetime.fromisoformat(each).replace(tzinfo=None) for each in span] for span in given]
        spans = [(begin, end) for begin, end in times]
    except OSError:
        raise seq2seq.UserError(f"{path}: no such file, or it cannot be read") from None
    except json.JSONDecodeError as error:
        raise seq2seq.UserError(f"{path}, line {error.lineno}: not JSON ({error.msg})") from None
    except (ValueError, TypeError):
        raise seq2seq.UserError(f"{path}: must be a list of [begin, end], times such as 2014-10-30 15:30:00") from None
    for number, (begin, end) in enumerate(spans, 1):
        seq2seq.check(
            begin <= end, f"{path}: window {number} ends at {end}, before it begins at {begin}; turn them round"
        )
    return spans


def refuse_strays(windows: list[Span], tested: Span, path: str) -> None:
    """Raises UserError, naming the file, where a window is outside of the time that is tested."""
    for number, window in enumerate(windows, 1):
        where = f"window {number}, {window[0]} to {window[1]}, is outside of the test, {tested[0]} to {tested[1]}"
        seq2seq.check(overlap(window, [tested]), f"{path}: {where}; leave it out")


def examples(scaled: np.ndarray, times: list[datetime], first: int, last: int, day: int) -> Examples:
    """Days [day, INPUTS] and [day, 1] float32 that begin and end in rows [first, last); the values before them are
    read, too."""
    seconds = np.array([(time - times[0].replace(hour=0, minute=0, second=0)).total_seconds() for time in times])
    circles = [2 * np.pi * seconds / each.total_seconds() for each in (DAY, WEEK)]
    rows = np.arange(first, last)
    before = [scaled[rows - shift] for shift in (day, 7 * day, 8 * day)]
    clock = [turn(angle[rows]) for angle in circles for turn in (np.sin, np.cos)]
    inputs, target = np.stack([*before, *clock], 1).astype(np.float32), scaled[rows, None].astype(np.float32)
    return [(inputs[row : row + day], target[row : row + day]) for row in range(last - first - day + 1)]


def alarms(errors: np.ndarray, ends: list[datetime], threshold: float) -> list[Span]:
    """Spans in which the mean absolute errors of days, given with the time of each one's end, are above the threshold;
    spans less than a day apart are one."""
    spans: list[Span] = []
    for error, end in zip(errors, ends, strict=True):
        if error > threshold:
            if spans and end - spans[-1][1] < DAY:
                spans[-1] = spans[-1][0], end
            else:
                spans.append((end, end))
    return spans


def overlap(one: Span, others: list[Span]) -> bool:
    """Whether a span shares a time with any of the others."""
    return any(one[0] <= end and begin <= one[1] for begin, end in others)


def describe(error: np.ndarray) -> str:
    """Root mean squared and mean absolute error."""
    return f"RMSE {np.sqrt(np.mean(error**2)):,.1f}, MAE {np.mean(np.abs(error)):,.1f}"


def main(config: Config) -> None:
    """Trains, prints the errors of the forecast and of the week before, reports alarms, and draws all of them."""
    series, windows = read(config), read_windows(config.windows)
    values, times = series.values[:, 0], series.times
    day = DAY // (times[1] - times[0])
    middle = len(values) // 2
    refuse_strays(windows, (times[middle], times[-1]), config.windows)
    fitted = middle * 6 // 7
    mean, deviation = seq2seq.mean_and_deviation(values[:fitted], config.data)
    config = replace(config, reader=seq2seq.ReaderConfig("array", scale=deviation, offset=mean))
    scaled = (values - mean) / deviation
    spans = ((8 * day, fitted), (fitted, middle), (middle, len(values)))
    training, validation, test = (examples(scaled, times, *span, day) for span in spans)
    predictor = seq2seq.train_predictor(config, training, validation, seq2seq.regression())
    seq2seq.end_other_processes()

    def forecast(days: Examples) -> tuple[np.ndarray, np.ndarray]:
        true = np.stack([target for _, target in days])[..., 0] * deviation + mean
        return true, np.stack(predictor.answer([inputs for inputs, _ in days]))[..., 0]

    true, answers = forecast(test)
    error = answers - true
    week_before = np.stack([inputs[:, 1] - target[:, 0] for inputs, target in test]) * deviation
    print(f"{'same time last week':<20} {describe(week_before)}")
    print(f"{'BiLSTM':<20} {describe(error)}")
    expected, answered = forecast(validation)
    threshold = np.abs(answered - expected).mean(1).max()
    ends = times[middle + day - 1 :]
    raised = alarms(np.abs(error).mean(1), ends, threshold)
    rows = [f"{begin},{end},{overlap((begin, end), windows)}\n" for begin, end in raised]
    (Path(config.output) / "alarms.csv").write_text("".join(["begin,end,known\n", *rows]), encoding="utf-8")
    found = sum(overlap(window, raised) for window in windows)
    false = sum(not overlap(alarm, windows) for alarm in raised)
    print(f"windows found: {found} of {len(windows)}, false alarms: {false}" if windows else f"alarms: {false}")
    curves = {"measured, mean of a day": true.mean(1), "forecast": answers.mean(1)}
    draw(config, times[0], ends, curves, {"alarms": raised, "known windows": windows})


def draw(
    config: Config, start: datetime, ends: list[datetime], curves: dict[str, np.ndarray], spans: dict[str, list[Span]]
) -> None:
    """Writes forecast.png: values at the ends of days, and spans of time as bars below them."""

    def day(time: datetime) -> float:
        return (time - start) / DAY

    lines = {name: list(zip(map(day, ends), values.tolist(), strict=True)) for name, values in curves.items()}
    low = min(values.min() for values in curves.values())
    for row, (name, each) in enumerate(spans.items(), 1):
        level = low * (1 - 0.1 * row)
        bars = [(day(begin), max(day(end), day(begin) + 0.5)) for begin, end in each]  # short ones can be seen, too
        lines[name] = [(x, y) for first, last in bars for x, y in ((first, level), (last, level), (last, np.nan))]
    seq2seq.plot_lines(lines, Path(config.output) / "forecast.png", "days", "value")


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
