"""Labels per frame to smooth feature vectors, for a talking head: deep BiLSTM, BiLSTM, LSTM (Fan et al. 2015).

python recipes/talking_head.py [--data DIR] [--output DIR] [--quick] [--any.config.field VALUE]

Generated: a row of phoneme-like labels, each lasting some frames, drives the targets of a mouth; the mouth's four
numbers follow them like damped springs and lean towards the next target before its label begins (co-articulation).
So a frame depends on what comes after it as well as on what came before. Or DIR holds folders `inputs` and `targets`
of .npy or .csv files of the same names, a row per frame (or files inputs.npy and targets.npy, [n, S, F]); the targets'
numbers are best about as large as 1. The last tenth, by name, is for the test, and the one before it chooses the best
model.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

LABELS, VALUES = 20, 4
LOOK_AHEAD = 4
"""Frames by which the mouth leans towards what comes."""
ENCODERS = {
    "LSTM": seq2seq.EncoderConfig(hidden_size=64, direction="forward"),
    "BiLSTM": seq2seq.EncoderConfig(hidden_size=48),
    "deep BiLSTM": seq2seq.EncoderConfig(hidden_size=48, layers=3),
}

Utterances = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Config(seq2seq.PredictorTask):
    """Choices of this script."""

    data: str = ""
    """Folder of inputs and targets; empty: generated ones."""
    training_utterances: int = 1_500
    """Utterances to train on."""
    held_out_utterances: int = 200
    """Utterances to choose the best model on, and as many to test on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        seq2seq.check_numbers(self, "", training_utterances=seq2seq.COUNTS, held_out_utterances=seq2seq.COUNTS)


CONFIG = Config(
    model=seq2seq.PredictorConfig(seq2seq.FrontEndConfig("features", LABELS), size=32, dropout=0.0, outputs=VALUES),
    batching=seq2seq.BatchingConfig(max_tokens_per_batch=2_000, length_step=16),
    optimizer=seq2seq.OptimizerConfig(learning_rate=0.004, warmup_steps=50),
    trainer=seq2seq.TrainerConfig(epochs=8, best_metric="loss", average_decay=0.98),
)


def utterances(count: int, seed: int) -> Utterances:
    """Frames [S, LABELS] of one-hot labels and the mouth's trajectory [S, VALUES], both float32."""
    shapes = np.random.default_rng(0).normal(size=(LABELS, VALUES))
    stiffness = np.random.default_rng(0).uniform(0.15, 0.6, (LABELS, 1))
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        lengths = random.integers(3, 10, random.integers(6, 16))
        labels = np.repeat(random.integers(LABELS, size=len(lengths)), lengths)
        coming = np.concatenate((labels[LOOK_AHEAD:], np.repeat(labels[-1:], LOOK_AHEAD)))
        targets = 0.6 * shapes[labels] + 0.4 * shapes[coming]
        place, speed = np.zeros(VALUES), np.zeros(VALUES)
        trajectory = np.empty((len(labels), VALUES), np.float32)
        for frame, target in enumerate(targets):
            speed = 0.6 * speed + stiffness[labels[frame]] * (target - place)
            place = place + speed
            trajectory[frame] = place
        made.append((np.eye(LABELS, dtype=np.float32)[labels], trajectory))
    return made


def read(config: Config) -> tuple[Utterances, Utterances, Utterances]:
    """Utterances to train on, to choose the best model on, and to test on."""
    if not config.data:
        held_out = config.count(config.held_out_utterances)
        return (
            utterances(config.count(config.training_utterances), seed=1),
            utterances(held_out, seed=2),
            utterances(held_out, seed=3),
        )
    pairs = [(inputs.values, targets.values) for inputs, targets in seq2seq.read_answered(Path(config.data))]
    return seq2seq.parts_in_order(pairs[:64] if config.quick else pairs, config.data)


def main(config: Config) -> None:
    """Trains each encoder, prints the errors, and draws one utterance with what each of them made of it."""
    training, validation, held_out = read(config)
    inputs, outputs = (each.shape[1] for each in training[0])
    front_end = replace(config.model.front_end, input_size=inputs)
    model = replace(config.model, front_end=front_end, outputs=outputs)
    variants = {name: replace(config, model=replace(model, encoder=each)) for name, each in ENCODERS.items()}

    def train(_name: str, variant: Config) -> seq2seq.Predictor:
        return seq2seq.train_predictor(variant, training, validation, seq2seq.regression())

    predictors = seq2seq.train_variants(variants, train)
    curves = {"true": list(enumerate(held_out[0][1][:, 0].tolist()))}
    for name, predictor in predictors.items():
        found = predictor.predict([frames for frames, _ in held_out])
        errors = np.concatenate([one - wanted for one, (_, wanted) in zip(found, held_out, strict=True)])
        print(f"{name:<12} root mean squared error {np.sqrt((errors**2).mean()):.4f}")
        curves[name] = list(enumerate(found[0][:, 0].tolist()))
    seq2seq.plot_lines(curves, Path(config.output) / "trajectories.png", "frame", "first value")


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
