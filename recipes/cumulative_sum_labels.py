"""Sequence labelling: when does the running sum of random numbers pass a quarter of the sequence's length?

python recipes/cumulative_sum_labels.py [--data DIR] [--output DIR] [--steps N] [--quick]

A label per step, 0 until the sum has passed the threshold and 1 from there on. Encoders of the same size learn it: an
LSTM, one that reads the sequence backwards, and the BiLSTM with each of the ways of joining its directions. Their
log-losses while training go into one plot, curves.png. DIR holds sequences of one's own: files inputs.npy [n, S, F] and
targets.npy [n, S] (or .csv, a row per sequence), or folders `inputs` and `targets` of .npy or .csv files of the same
names, a row per step; a label is a whole number. Of these, the last tenth is for the test, and the one before it
chooses the best model.
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

Labelled = tuple[np.ndarray, np.ndarray]
"""Numbers [S, F] float32 and labels [S] int64."""


@dataclass(frozen=True)
class Config(seq2seq.PredictorTask):
    """Choices of this script."""

    data: str = ""
    """Folder of inputs and targets; empty: generated ones."""
    steps: int = 10
    """Length of the generated sequences."""
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


def sequences(count: int, steps: int, seed: int) -> list[Labelled]:
    """Random numbers [steps, 1] in [0, 1) and labels [steps]."""
    numbers = np.random.default_rng(seed).random((count, steps, 1), np.float32)
    labels = (numbers[..., 0].cumsum(1) > steps / 4).astype(np.int64)
    return list(zip(numbers, labels, strict=True))


def read(config: Config) -> tuple[list[Labelled], list[Labelled], list[Labelled]]:
    """Sequences with labels from the user's files, in three parts."""
    labelled = []
    for inputs, targets in seq2seq.read_answered(Path(config.data)):
        labels = targets.values.astype(np.int64)
        whole = labels.shape[1] == 1 and bool((labels == targets.values).all())
        seq2seq.check(whole, f"{targets.place}: must have one whole number per step, its label")
        labelled.append((inputs.values, labels[:, 0]))
    return seq2seq.parts_in_order(labelled[:64] if config.quick else labelled, config.data)


def generated(config: Config) -> tuple[list[Labelled], list[Labelled], list[Labelled]]:
    """Generated sequences in three parts."""
    training = sequences(config.count(config.training_sequences), config.steps, seed=1)
    held_out = config.count(2_000)
    return training, sequences(held_out, config.steps, seed=2), sequences(held_out, config.steps, seed=3)


def numbered(examples: list[Labelled], names: list[int], place: str) -> list[Labelled]:
    """The same with the places of labels among the names. Raises UserError, beginning with the place, for a label that
    is none of these."""
    unknown = {int(label) for _, labels in examples for label in labels} - set(names)
    rare = f"label {min(unknown, default=0)} occurs in the last two tenths of the sequences"
    seq2seq.check(not unknown, f"{place}: {rare}, but in none before, to train on; shuffle them")
    return [(numbers, np.searchsorted(names, labels)) for numbers, labels in examples]


def main(config: Config) -> None:
    """Trains each encoder, prints losses and accuracies, and draws the curves."""
    parts = read(config) if config.data else generated(config)
    names = sorted({int(label) for _, labels in parts[0] for label in labels})
    seq2seq.check(len(names) > 1, f"{config.data or 'steps'}: one label alone occurs in what is trained on")
    training, validation, test = (numbered(part, names, config.data) for part in parts)
    front_end = replace(config.model.front_end, input_size=training[0][0].shape[1])
    model = replace(config.model, front_end=front_end, outputs=len(names))
    variants = {name: replace(config, model=replace(model, encoder=each)) for name, each in ENCODERS.items()}

    def train(_name: str, variant: Config) -> seq2seq.Predictor:
        return seq2seq.train_predictor(variant, training, validation, seq2seq.labelling(), labels=list(map(str, names)))

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
