"""Traffic forecast: the last hour of each road sensor to its next hour, with gaps in the data (Cui et al. 2018).

python recipes/traffic_forecast.py --data FILE.csv [--missing SHARE] [--output DIR] [--quick] [--any.option VALUE]

FILE.csv has a header and a row per time step, a column per sensor; a first column `timestamp` may stand there, of
times --minutes apart (5), and a value that is not known is left empty. Stacked BiLSTM and LSTM read a window of one
sensor beside its most correlated neighbours and the mean of all. Missing values are masked, not filled in: the model
reads 0 there and a second number that says so, and those to be forecast do not count. The last fifth of the rows is for
the test, the eighth before it chooses the best model. Compared with the last known value, the mean of the window, and
an encoder of one direction.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np

WINDOW = AHEAD = 12
"""Steps that are read, and steps that are forecast."""
HORIZONS = (3, 6, 9, 12)
"""Each figure is over all steps up to one of them, as Zhao et al. (2019) have it."""
NEIGHBOURS = 4
HUBER = 0.5
"""Standard deviations beyond which an error counts by its size, not its square: speeds collapse at once."""
INPUTS = 2 * (1 + NEIGHBOURS) + 3
"""Numbers per step: values and whether they are known, the mean of all sensors, the time of day on a circle."""
STACKED = seq2seq.EncoderConfig(hidden_size=48, layers=1, forward_layers=1)
ENCODERS = {"BiLSTM + LSTM": STACKED, "LSTM + LSTM": replace(STACKED, direction="forward", hidden_size=64)}
Examples = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Config(seq2seq.PredictorTask):
    """Choices of this script."""

    data: str = ""
    """CSV file of the sensors; must be given."""
    minutes: int = 5
    """From one row to the next."""
    missing: float = 0.0
    """Share of the values that are removed, by trainer.seed, before anything else is done."""
    sensors_per_window: int = 30
    """Sensors, drawn by trainer.seed, whose values are read and forecast at each time step of the training part."""

    def __post_init__(self) -> None:
        super().__post_init__()
        minutes, share = seq2seq.Whole(1, 1_440), seq2seq.Real(0, 1, without=(1,))
        seq2seq.check_numbers(self, "", minutes=minutes, missing=share, sensors_per_window=seq2seq.COUNTS)
        seq2seq.check(1_440 % self.minutes == 0, f"minutes must divide a day's 1,440, not be {self.minutes}")


CONFIG = Config(
    model=seq2seq.PredictorConfig(
        seq2seq.FrontEndConfig("features", INPUTS), size=64, dropout=0.1, answer="last", outputs=AHEAD
    ),
    batching=seq2seq.BatchingConfig(max_tokens_per_batch=6_144, length_step=1),
    optimizer=seq2seq.OptimizerConfig(learning_rate=0.003, warmup_steps=50),
    trainer=seq2seq.TrainerConfig(epochs=4, best_metric="loss", average_decay=0.99),
)


def read(config: Config) -> np.ndarray:
    """Values [T, D], NaN where they are not known or were removed; of a smoke run without data, generated ones."""
    random = np.random.default_rng(config.trainer.seed)
    if config.data:
        series = seq2seq.read_series(Path(config.data), least=20 * WINDOW)
        apart = seq2seq.time_step(series, config.data) / timedelta(minutes=1) if series.times else config.minutes
        wrong = f"{config.data}: its rows are {apart:g} minutes apart, not {config.minutes}"
        seq2seq.check(apart == config.minutes, f"{wrong}; give --minutes {apart:g}, which must be a whole number")
    else:
        seq2seq.check(config.quick, "give --data FILE.csv, with a header and a row per time step, such as METR-LA's")
        values = 50 + 10 * np.sin(np.arange(480)[:, None] / 30 + np.arange(6)) + random.normal(0, 2, (480, 6))
        series = seq2seq.Series(list("abcdef"), values, [])
    values = series.values[:480, :6] if config.quick else series.values
    values[random.random(values.shape) < config.missing] = np.nan
    refuse_gaps(values, series.names, f"{config.data}, --missing {config.missing}")
    return values


def bounds(steps: int) -> tuple[int, int]:
    """The row behind those to train on, and behind those to choose the best model on."""
    return steps * 8 // 10 * 7 // 8, steps * 8 // 10


def refuse_gaps(values: np.ndarray, names: list[str], place: str) -> None:
    """Raises UserError, beginning with the place, where a sensor has no value to train on, or a part none at all."""
    (fitted, test_from), unknown = bounds(len(values)), np.isnan(values)
    untrained = [name for name, never in zip(names, unknown[:fitted].all(0), strict=False) if never]
    sensors = f"{place}: no value to train on, in the first {fitted} rows, of sensor {', '.join(untrained[:5])}"
    seq2seq.check(not untrained, f"{sensors}; leave its column out, or remove less")
    for purpose, first, last in (("choose the best model", fitted, test_from), ("test", test_from, len(values))):
        rows = f"{place}: rows {first + 1} to {last}, to {purpose} on, hold no value to forecast"
        seq2seq.check(not unknown[first + WINDOW : last].all(), f"{rows}; give more, or remove less")


def features(scaled: np.ndarray, fitted: int, steps_per_day: int) -> np.ndarray:
    """What is read of each sensor at each step: scaled values [T, D] -> [T, D, INPUTS] float32. The neighbours are
    those whose first `fitted` rows are most correlated; a network of fewer sensors repeats them."""
    filled, known = np.nan_to_num(scaled), ~np.isnan(scaled)
    means = filled[:fitted].sum(0) / known[:fitted].sum(0).clip(min=1)
    centred = np.where(known, scaled - means, 0)[:fitted]
    norms = np.sqrt((centred**2).sum(0)).clip(min=1e-9)
    similarity = centred.T @ centred / norms / norms[:, None]
    nearest = np.resize(np.argsort(3 * np.eye(len(norms)) - similarity)[:, :NEIGHBOURS], (len(norms), NEIGHBOURS))
    read = np.concatenate([np.arange(len(norms))[:, None], nearest], 1)
    angle = 2 * np.pi * (np.arange(len(scaled)) % steps_per_day) / steps_per_day
    mean = filled.sum(1) / known.sum(1).clip(min=1)
    shared = np.stack([mean, np.sin(angle), np.cos(angle)], 1)[:, None]
    shared = np.broadcast_to(shared, (len(scaled), len(norms), 3))
    return np.concatenate([filled[:, read], known[:, read], shared], 2).astype(np.float32)


def places(first: int, last: int, sensors: int, drawn: int, seed: int = 0) -> list[tuple[int, int]]:
    """(step, sensor) of windows that lie in rows [first, last) with at least HORIZONS[0] of their next steps: of all
    sensors, or of `drawn` of them at each step."""
    random = np.random.default_rng(seed)
    every = np.arange(sensors)
    steps = range(first + WINDOW, last - HORIZONS[0] + 1)
    chosen = (every if drawn >= sensors else random.choice(every, drawn, replace=False) for _ in steps)
    return [(step, int(sensor)) for step, each in zip(steps, chosen, strict=True) for sensor in each]


def targets(values: np.ndarray, where: list[tuple[int, int]], last: int) -> np.ndarray:
    """The next AHEAD values [n, AHEAD] behind each place; NaN from row `last` on."""
    padded = np.concatenate([values[:last], np.full((AHEAD, values.shape[1]), np.nan)])
    return np.stack([padded[step : step + AHEAD, sensor] for step, sensor in where])


def baselines(values: np.ndarray, where: list[tuple[int, int]], fitted: int) -> dict[str, np.ndarray]:
    """Forecasts [n, 1] from the known values of each window; where it has none, the sensor's mean in the first `fitted`
    rows."""
    means = np.nanmean(values[:fitted], 0)
    windows = [values[step - WINDOW : step, sensor] for step, sensor in where]
    known = [window[~np.isnan(window)] for window in windows]
    known = [each if len(each) else means[[sensor]] for each, (_, sensor) in zip(known, where, strict=True)]
    return {
        "last value": np.array([[each[-1]] for each in known]),
        "mean of the window": np.array([[each.mean()] for each in known]),
    }


def main(config: Config) -> None:
    """Trains, prints the errors of all forecasts, and draws the test part of one sensor."""
    values = read(config)
    (fitted, test_from), sensors = bounds(len(values)), values.shape[1]
    mean, deviation = seq2seq.mean_and_deviation(values[:fitted], config.data)
    config = replace(config, reader=seq2seq.ReaderConfig("array", scale=deviation, offset=mean))
    scaled = (values - mean) / deviation
    inputs = features(scaled, fitted, 1_440 // config.minutes)

    def examples(where: list[tuple[int, int]], last: int) -> Examples:
        windows = (inputs[step - WINDOW : step, sensor] for step, sensor in where)
        return list(zip(windows, targets(scaled, where, last).astype(np.float32), strict=True))

    training = examples(places(0, fitted, sensors, config.sensors_per_window, config.trainer.seed), fitted)
    validation = examples(places(fitted, test_from, sensors, config.sensors_per_window), test_from)
    where = places(test_from, len(values), sensors, sensors)
    test = examples(where, len(values))
    variants = {name: replace(config, model=replace(config.model, encoder=each)) for name, each in ENCODERS.items()}

    def train(_name: str, variant: Config) -> seq2seq.Predictor:
        return seq2seq.train_predictor(variant, training, validation, seq2seq.regression(HUBER))

    predictors = seq2seq.train_variants(variants, train)
    true = targets(values, where, len(values))
    forecasts = baselines(values, where, fitted)
    for name, predictor in predictors.items():
        forecasts[name] = np.stack(predictor.answer([window for window, _ in test]))
    minutes = ", ".join(str(steps * config.minutes) for steps in HORIZONS)
    print(f"RMSE (MAE) over the next {minutes} minutes")
    for name, forecast in forecasts.items():
        errors = [(forecast - true)[:, :steps] for steps in HORIZONS]
        figures = [f"{np.sqrt(np.nanmean(each**2)):.3f} ({np.nanmean(np.abs(each)):.3f})" for each in errors]
        print(f"{name:<18} {', '.join(figures)}")
    draw(config, true, forecasts["BiLSTM + LSTM"], where, int(np.nanargmax(np.nanstd(values[:fitted], 0))))


def draw(config: Config, true: np.ndarray, forecast: np.ndarray, where: list[tuple[int, int]], shown: int) -> None:
    """Writes forecast.png: a sensor's values, and what was forecast for the same time before."""
    rows = [row for row, (_, sensor) in enumerate(where) if sensor == shown]
    hours = np.arange(len(rows)) * config.minutes / 60
    lines = {"measured": list(zip(hours, true[rows, 0], strict=True))}
    for steps in (HORIZONS[0], HORIZONS[-1]):
        later = hours + (steps - 1) * config.minutes / 60
        ahead = zip(later, forecast[rows, steps - 1], strict=True)
        lines[f"forecast, {steps * config.minutes} minutes before"] = list(ahead)
    seq2seq.plot_lines(lines, Path(config.output) / "forecast.png", "hours", "value")


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
