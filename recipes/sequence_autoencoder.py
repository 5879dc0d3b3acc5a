"""A sequence to itself, reversed, and to its future: the composite LSTM autoencoder of Srivastava et al. (2015).

python recipes/sequence_autoencoder.py [--output DIR] [--quick] [--any.config.field VALUE]

Clips of two shapes that drift and bounce off the edges. The encoder reads ten frames; from its last state alone one
decoder tells them again, the last one first, and another tells the ten frames to come. Nothing is labelled.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from dataclasses import dataclass
from pathlib import Path

import numpy as np
from generated.moving_shapes import FREE, SHAPES, SIDE, clip

FRAMES = 10
"""Frames that are read, and as many that are told."""


@dataclass(frozen=True)
class Config(seq2seq.PredictorTask):
    """Choices of this script."""

    training_clips: int = 8_000
    """Clips to train on."""
    held_out_clips: int = 300
    """Clips to test on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        seq2seq.check_numbers(self, "", training_clips=seq2seq.COUNTS, held_out_clips=seq2seq.COUNTS)


CONFIG = Config(
    model=seq2seq.PredictorConfig(
        seq2seq.FrontEndConfig("features", SIDE * SIDE),
        size=192,
        dropout=0.0,
        encoder=seq2seq.EncoderConfig(hidden_size=256, direction="forward"),
        answer="rollout",
        outputs=SIDE * SIDE,
        rollouts=2,
        rollout_steps=FRAMES,
    ),
    batching=seq2seq.BatchingConfig(max_tokens_per_batch=640, length_step=1),
    optimizer=seq2seq.OptimizerConfig(learning_rate=0.002, warmup_steps=100),
    trainer=seq2seq.TrainerConfig(epochs=20, best_metric="loss", average_decay=0.99),
)


def clips(count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Frames read [FRAMES, SIDE * SIDE], and frames to be told: the same reversed, then those to come."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        shapes = random.choice(list(SHAPES), 2)
        frames = np.maximum(*(clip(str(shape), bouncing(random), random) for shape in shapes))
        made.append((frames[:FRAMES], np.concatenate((frames[FRAMES - 1 :: -1], frames[FRAMES:]))))
    return made


def bouncing(random: np.random.Generator) -> np.ndarray:
    """Places [2 * FRAMES, 2] of a shape that flies straight until it hits an edge."""
    start = random.integers(0, FREE + 1, 2)
    speed = random.integers(1, 3, 2) * random.choice([-1, 1], 2)
    flown = start + speed * np.arange(2 * FRAMES)[:, None]
    return FREE - np.abs(flown % (2 * FREE) - FREE)


def error(told: np.ndarray, true: np.ndarray) -> float:
    """Mean squared error per pixel."""
    return float(np.square(told - true).mean())


def main(config: Config) -> None:
    """Trains, prints the errors beside those of simple guesses, and draws clips with what was made of them."""
    training = clips(config.count(config.training_clips), seed=1)
    validation, held_out = (clips(config.count(config.held_out_clips), seed) for seed in (2, 3))
    predictor = seq2seq.train_predictor(config, training, validation, seq2seq.regression())
    seq2seq.end_other_processes()
    read, true = (np.stack(each) for each in zip(*held_out, strict=True))
    told = np.stack(predictor.predict(list(read)))
    mean = np.mean([frames for _, frames in training], axis=(0, 1))
    past, future = slice(FRAMES), slice(FRAMES, None)
    print(f"reconstruction, reversed: {error(told[:, past], true[:, past]):.4f} per pixel, squared")
    print(f"prediction:               {error(told[:, future], true[:, future]):.4f}")
    print(f"the last frame stays:     {error(np.repeat(read[:, -1:], FRAMES, 1), true[:, future]):.4f}")
    print(f"the mean frame:           {error(mean, true[:, future]):.4f}")
    rows = {}
    for number in range(3):
        for name, frames in (("true", true[number]), ("told", told[number])):
            rows[f"{name} {number + 1}"] = frames.reshape(-1, SIDE, SIDE)
    path = Path(config.output) / "clips.png"
    seq2seq.plot_frames(rows, path)
    print(f"{path}: left the frames read, last first; right the frames to come")


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
