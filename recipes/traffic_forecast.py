"""Traffic forecast: past speeds of all road sensors to the next ones, with gaps in the data (Cui et al. 2018).

python recipes/traffic_forecast.py [--output DIR] [--quick] [--any.config.field VALUE]

Stacked BiLSTM and LSTM read windows of a generated road network: sensors along a few roads, with daily and weekly
rhythm, jams that travel upstream, noise, and gaps. Missing values are masked: the model reads 0 there and a second
channel that says so, and those to be forecast do not count. Compared with the last value seen, with the mean of the
hour of the week, and with the same model without the backward direction.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

ROADS, SENSORS_PER_ROAD = 4, 6
SENSORS = ROADS * SENSORS_PER_ROAD
STEPS_PER_DAY, DAYS = 96, 140
"""A value every 15 minutes."""
WEEK = 7 * STEPS_PER_DAY
WINDOW, AHEAD = 16, 2
"""Steps that are read, and how far after them the forecast lies."""
FREE_SPEED = 100.0
"""km/h"""
STACKED = seq2seq.EncoderConfig(hidden_size=64, layers=1, forward_layers=1)
ENCODERS = {
    "BiLSTM + LSTM": STACKED,
    "LSTM + LSTM": replace(STACKED, direction="forward", hidden_size=96),
}


@dataclass(frozen=True)
class Config(seq2seq.PredictorTask):
    """Choices of this script."""

    days: int = DAYS
    """Length of the series; the last fifth is held out, half of it to choose the best model and half to test."""

    def __post_init__(self) -> None:
        super().__post_init__()
        seq2seq.check_numbers(self, "", days=seq2seq.Whole(1, 100_000))


CONFIG = Config(
    model=seq2seq.PredictorConfig(
        seq2seq.FrontEndConfig("features", 2 * SENSORS + 4), size=64, dropout=0.1, answer="last", outputs=SENSORS
    ),
    batching=seq2seq.BatchingConfig(max_tokens_per_batch=1_024, length_step=1),
    optimizer=seq2seq.OptimizerConfig(learning_rate=0.003, warmup_steps=50),
    trainer=seq2seq.TrainerConfig(epochs=8, best_metric="loss", average_decay=0.99),
    reader=seq2seq.ReaderConfig("array", scale=FREE_SPEED, offset=FREE_SPEED / 2),
)


def network(days: int, seed: int = 1) -> np.ndarray:
    """Speeds [days * STEPS_PER_DAY, SENSORS] in km/h, NaN in the gaps."""
    random = np.random.default_rng(seed)
    steps = days * STEPS_PER_DAY
    time = np.arange(steps)
    hour, weekday = time % STEPS_PER_DAY / STEPS_PER_DAY * 24, time // STEPS_PER_DAY % 7 < 5
    slowing = np.zeros((steps, SENSORS))
    for sensor in range(SENSORS):
        for peak, width in ((random.normal(8, 0.4), 1.2), (random.normal(17.5, 0.4), 1.6)):
            rush = random.uniform(15, 40) * np.where(weekday, 1.0, 0.3)
            slowing[:, sensor] += rush * np.exp(-0.5 * ((hour - peak) / width) ** 2)
    for _ in range(6 * days):  # jams: begin somewhere, grow, travel against the traffic, a sensor per step
        road, place, begin = random.integers(ROADS), random.integers(SENSORS_PER_ROAD), random.integers(steps)
        depth, duration = random.uniform(20, 60), random.integers(4, 12)
        for delay in range(place + 1):
            first = begin + delay
            shape = np.sin(np.linspace(0, np.pi, duration)) * depth * 0.9**delay
            part = slowing[first : first + duration, road * SENSORS_PER_ROAD + place - delay]
            part += shape[: len(part)]
    speeds = FREE_SPEED - slowing + random.normal(0, 1.5, slowing.shape)
    speeds = np.clip(speeds, 5, None)
    for _ in range(4 * days):  # a sensor is silent for up to five hours
        begin = random.integers(steps)
        speeds[begin : begin + random.integers(1, 20), random.integers(SENSORS)] = np.nan
    speeds[random.random(speeds.shape) < 0.03] = np.nan
    return speeds


def windows(speeds: np.ndarray, first: int, last: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Windows that end in [first, last): inputs [WINDOW, 2 * SENSORS + 4] float32, targets [SENSORS] float32, both as
    parts of the free speed below or above half of it; NaN where the target is not known."""
    scaled = (speeds / FREE_SPEED - 0.5).astype(np.float32)
    known = ~np.isnan(scaled)
    time = np.arange(len(speeds))
    day, week = (2 * np.pi * (time % period) / period for period in (STEPS_PER_DAY, WEEK))
    clock = np.stack([np.sin(day), np.cos(day), np.sin(week), np.cos(week)], 1)
    rows = np.concatenate([np.nan_to_num(scaled), known, clock], 1).astype(np.float32)
    ends = range(max(first, WINDOW), last - AHEAD)
    return [(rows[end - WINDOW : end], scaled[end - 1 + AHEAD]) for end in ends]


def last_values(speeds: np.ndarray, first: int, last: int) -> np.ndarray:
    """Forecast by the last value known at the end of each window."""
    filled = speeds.copy()
    filled[0] = np.where(np.isnan(filled[0]), FREE_SPEED, filled[0])
    for step in range(1, len(filled)):
        filled[step] = np.where(np.isnan(filled[step]), filled[step - 1], filled[step])
    return filled[first - 1 : last - AHEAD - 1]


def seasonal_means(speeds: np.ndarray, cut: int, first: int, last: int) -> np.ndarray:
    """Forecast by the mean of the same time of the week before `cut`."""
    times = np.arange(cut) % WEEK
    known = ~np.isnan(speeds[:cut])
    sums, counts = np.zeros((WEEK, SENSORS)), np.zeros((WEEK, SENSORS))
    np.add.at(sums, times, np.nan_to_num(speeds[:cut]))
    np.add.at(counts, times, known)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), FREE_SPEED)
    return means[np.arange(first - 1 + AHEAD, last - 1) % WEEK]


def describe(forecast: np.ndarray, true: np.ndarray) -> str:
    """Mean absolute and root mean squared error over the known values."""
    difference = forecast - true
    return f"mean absolute error {np.nanmean(np.abs(difference)):.2f} km/h, root mean squared error " + (
        f"{np.sqrt(np.nanmean(difference**2)):.2f} km/h"
    )


def main(config: Config) -> None:
    """Trains, prints the errors of all forecasts, and draws two days of one sensor."""
    speeds = network(21 if config.quick else config.days)
    steps = len(speeds)
    cut, middle = steps * 8 // 10, steps * 9 // 10
    training, validation, test = (windows(speeds, *span) for span in ((0, cut), (cut, middle), (middle, steps)))
    variants = {name: replace(config, model=replace(config.model, encoder=each)) for name, each in ENCODERS.items()}

    def train(_name: str, variant: Config) -> seq2seq.Predictor:
        return seq2seq.train_predictor(variant, training, validation, seq2seq.regression())

    predictors = seq2seq.train_variants(variants, train)
    true = np.stack([target for _, target in test]).astype(float) * FREE_SPEED + FREE_SPEED / 2
    forecasts = {
        "last value": last_values(speeds, middle, steps),
        "mean of the week's hour": seasonal_means(speeds, cut, middle, steps),
    }
    for name, predictor in predictors.items():
        forecasts[name] = np.stack(predictor.answer([inputs for inputs, _ in test]))
    for name, forecast in forecasts.items():
        print(f"{name:<24} {describe(forecast, true)}")
    shown = {"measured": true, **{name: forecasts[name] for name in ("mean of the week's hour", "BiLSTM + LSTM")}}
    curves = {name: list(enumerate(values[: 2 * STEPS_PER_DAY, 2].tolist())) for name, values in shown.items()}
    seq2seq.plot_lines(curves, Path(config.output) / "forecast.png", "quarters of an hour", "km/h")


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
