"""Labels per frame to smooth feature vectors, for a talking head: deep BiLSTM, BiLSTM, LSTM (Fan et al. 2015).

python recipes/talking_head.py [--output DIR] [--quick] [--any.config.field VALUE]

Generated: a row of phoneme-like labels, each lasting some frames, drives the targets of a mouth; the mouth's four
numbers follow them like damped springs and lean towards the next target before its label begins (co-articulation).
So a frame depends on what comes after it as well as on what came before.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from seq2seq.cli import script
from seq2seq.config import COUNTS, check_numbers
from seq2seq.data.bucketing import BatchingConfig
from seq2seq.evaluation import plotting
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.frontends import FrontEndConfig
from seq2seq.model.sequence_model import PredictorConfig
from seq2seq.tasks.configs import PredictorTask
from seq2seq.tasks.prediction import train_predictor
from seq2seq.training.objectives import regression
from seq2seq.training.optimizer import OptimizerConfig
from seq2seq.training.trainer import TrainerConfig

LABELS, VALUES = 20, 4
LOOK_AHEAD = 4
"""Frames by which the mouth leans towards what comes."""
ENCODERS = {
    "LSTM": EncoderConfig(hidden_size=64, direction="forward"),
    "BiLSTM": EncoderConfig(hidden_size=48),
    "deep BiLSTM": EncoderConfig(hidden_size=48, layers=3),
}


@dataclass(frozen=True)
class Config(PredictorTask):
    """Choices of this script."""

    training_utterances: int = 1_500
    """Utterances to train on."""
    held_out_utterances: int = 200
    """Utterances to choose the best model on, and as many to test on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "", training_utterances=COUNTS, held_out_utterances=COUNTS)


CONFIG = Config(
    model=PredictorConfig(FrontEndConfig("features", LABELS), size=32, dropout=0.0, outputs=VALUES),
    batching=BatchingConfig(max_tokens_per_batch=2_000, length_step=16),
    optimizer=OptimizerConfig(learning_rate=0.004, warmup_steps=50),
    trainer=TrainerConfig(epochs=8, best_metric="loss", average_decay=0.98),
)


def utterances(count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
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


def main(config: Config) -> None:
    """Trains each encoder, prints the errors, and draws one utterance with what each of them made of it."""
    training = utterances(config.count(config.training_utterances), seed=1)
    validation, held_out = (utterances(config.count(config.held_out_utterances), seed) for seed in (2, 3))
    predictors = {}
    for name, encoder in ENCODERS.items():
        chosen = replace(config, model=replace(config.model, encoder=encoder))
        chosen = replace(chosen, output=str(Path(config.output) / name.replace(" ", "-").lower()))
        predictors[name] = train_predictor(chosen, training, validation, regression())
    script.end_other_processes()
    curves = {"true": list(enumerate(held_out[0][1][:, 0].tolist()))}
    for name, predictor in predictors.items():
        outputs = predictor.predict([frames for frames, _ in held_out])
        errors = np.concatenate([found - wanted for found, (_, wanted) in zip(outputs, held_out, strict=True)])
        print(f"{name:<12} root mean squared error {np.sqrt((errors**2).mean()):.4f}")
        curves[name] = list(enumerate(outputs[0][:, 0].tolist()))
    plotting.plot_lines(curves, Path(config.output) / "trajectories.png", "frame", "first value")


if __name__ == "__main__":
    script.run_task(CONFIG, main)
