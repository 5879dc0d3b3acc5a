"""Sequence labelling: when does the running sum of random numbers pass a quarter of the sequence's length?

python recipes/cumulative_sum_labels.py [--output DIR] [--steps N] [--quick]

A label per step, 0 until the sum has passed the threshold and 1 from there on. Encoders of the same size learn it: an
LSTM, one that reads the sequence backwards, and the BiLSTM with each of the ways of joining its directions. Their
log-losses while training go into one plot, curves.png.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

LSTM = seq2seq.EncoderConfig(hidden_size=20, direction="forward")
ENCODERS = {
    "LSTM": LSTM,
    "LSTM, reversed input": replace(LSTM, direction="backward"),
    "BiLSTM, concat": seq2seq.EncoderConfig(hidden_size=20),
    "BiLSTM, sum": seq2seq.EncoderConfig(hidden_size=20, merge="sum"),
    "BiLSTM, multiply": seq2seq.EncoderConfig(hidden_size=20, merge="multiply"),
    "BiLSTM, average": seq2seq.EncoderConfig(hidden_size=20, merge="average"),
}


@dataclass(frozen=True)
class Config(seq2seq.PredictorTask):
    """Choices of this script."""

    steps: int = 10
    """Length of the sequences."""
    training_sequences: int = 32_000
    """Sequences to train on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        seq2seq.check_numbers(self, "", steps=seq2seq.Whole(1, 10_000), training_sequences=seq2seq.COUNTS)


CONFIG = Config(
    model=seq2seq.PredictorConfig(seq2seq.FrontEndConfig(input_size=1), size=8, dropout=0.0, outputs=2),
    batching=seq2seq.BatchingConfig(max_tokens_per_batch=640, length_step=1),
    optimizer=seq2seq.OptimizerConfig(learning_rate=0.01, schedule="constant", warmup_steps=0),
    trainer=seq2seq.TrainerConfig(epochs=1, log_every_steps=10, best_metric="loss", average_decay=0.0),
)


def sequences(count: int, steps: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random numbers [steps, 1] in [0, 1) and labels [steps]."""
    numbers = np.random.default_rng(seed).random((count, steps, 1), np.float32)
    labels = (numbers[..., 0].cumsum(1) > steps / 4).astype(np.int64)
    return list(zip(numbers, labels, strict=True))


def main(config: Config) -> None:
    """Trains each encoder, prints losses and accuracies, and draws the curves."""
    training = sequences(config.count(config.training_sequences), config.steps, seed=1)
    validation, test = (sequences(config.count(2_000), config.steps, seed) for seed in (2, 3))
    variants = {name: replace(config, model=replace(config.model, encoder=each)) for name, each in ENCODERS.items()}

    def train(_name: str, variant: Config) -> seq2seq.Predictor:
        return seq2seq.train_predictor(variant, training, validation, seq2seq.labelling(), labels=["0", "1"])

    predictors = seq2seq.train_variants(variants, train)
    curves = {}
    for name, predictor in predictors.items():
        outputs = np.concatenate(predictor.predict([numbers for numbers, _ in test]))
        labels = np.concatenate([labels for _, labels in test])
        log_probs = outputs - np.logaddexp.reduce(outputs, axis=-1, keepdims=True)
        loss = -np.take_along_axis(log_probs, labels[:, None], axis=-1).mean()
        right = np.mean(outputs.argmax(-1) == labels)
        entries = seq2seq.read_journal(seq2seq.variant_folder(config, name))
        curves[name] = [(entry["step"], entry["train_loss"]) for entry in entries if "train_loss" in entry]
        print(f"{name:<22} held-out log-loss {loss:.4f}, accuracy {100 * right:.2f} % of labels")
    seq2seq.plot_lines(curves, Path(config.output) / "curves.png", "step", "log-loss per label")


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
