"""A sequence to itself, reversed, and to its future: the composite LSTM autoencoder of Srivastava et al. (2015).

python recipes/sequence_autoencoder.py [--data PATH] [--output DIR] [--quick] [--any.config.field VALUE]

Clips of two shapes that drift and bounce off the edges. The encoder reads ten frames; from its last state alone one
decoder generates them again, the last one first, and another the ten frames to come. Nothing is labelled. Conditioned
decoders read the frame that they generated last, others see none. PATH is a file of one's own clips, .npy [n, T, ...],
of values about as large as 1, whose first half is read; a folder of .npy or .csv files of T rows each; or one such file
of many rows, which is cut into clips of twenty. The last tenth is for the test, and the one before it chooses the best
models.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from generated.moving_shapes import FREE, SHAPES, SIDE, clip

FRAMES = 10
"""Frames that are read, and as many that are to come, of generated clips."""
Clips = list[tuple[np.ndarray, np.ndarray]]
"""Frames that are read [S, F], and frames to be generated [2 S, F]: the same reversed, then those to come."""


@dataclass(frozen=True)
class Config(seq2seq.PredictorTask):
    """Choices of this script."""

    data: str = ""
    """File or folder of clips; empty: generated ones."""
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


def read(config: Config) -> tuple[Clips, Clips, Clips]:
    """Clips to train on, to choose the best models on, and to test on."""
    if not config.data:
        held_out = config.count(config.held_out_clips)
        return clips(config.count(config.training_clips), seed=1), clips(held_out, seed=2), clips(held_out, seed=3)
    sequences = seq2seq.read_sequences(Path(config.data))
    given = [each.values for each in sequences]
    if len(given) == 1:
        whole, place = len(given[0]) // (2 * FRAMES), sequences[0].place
        seq2seq.check(whole > 0, f"{place}: has {len(given[0])} frames; a clip alone has {2 * FRAMES}")
        given = list(given[0][: whole * 2 * FRAMES].reshape(whole, 2 * FRAMES, -1))
    for each, values in zip(sequences, given, strict=False):
        fits = len(values) == len(given[0]) and len(values) % 2 == 0
        wanted = f"clips need an even number of frames, the same in all, such as {max(2, len(given[0]) // 2 * 2)}"
        seq2seq.check(fits, f"{each.place}: has {len(values)} frames; {wanted}")
    return seq2seq.parts_in_order([halves(each) for each in given[: 64 if config.quick else None]], config.data)


def halves(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A clip [2 S, F] as what is read, and what is to be generated."""
    middle = len(frames) // 2
    return frames[:middle], np.concatenate((frames[:middle][::-1], frames[middle:]))


def clips(count: int, seed: int) -> Clips:
    """Generated clips."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        shapes = random.choice(list(SHAPES), 2)
        frames = np.maximum(*(clip(str(shape), bouncing(random), random) for shape in shapes))
        made.append(halves(frames))
    return made


def bouncing(random: np.random.Generator) -> np.ndarray:
    """Places [2 * FRAMES, 2] of a shape that flies straight until it hits an edge."""
    start = random.integers(0, FREE + 1, 2)
    speed = random.integers(1, 3, 2) * random.choice([-1, 1], 2)
    flown = start + speed * np.arange(2 * FRAMES)[:, None]
    return FREE - np.abs(flown % (2 * FREE) - FREE)


def error(generated: np.ndarray, true: np.ndarray) -> float:
    """Mean squared error per value."""
    return float(np.square(generated - true).mean())


def main(config: Config) -> None:
    """Trains, prints the errors beside those of simple guesses, and draws clips with what was made of them."""
    training, validation, held_out = read(config)
    read_frames, true = (np.stack(each) for each in zip(*held_out, strict=True))
    frames, width = read_frames.shape[1:]
    front_end = replace(config.model.front_end, input_size=width)
    model = replace(config.model, front_end=front_end, outputs=width, rollout_steps=frames)
    variants = {
        name: replace(config, model=replace(model, conditioned=conditioned))
        for name, conditioned in (("unconditioned", False), ("conditioned", True))
    }

    def train(_name: str, variant: Config) -> seq2seq.Predictor:
        return seq2seq.train_predictor(variant, training, validation, seq2seq.regression())

    past, future = slice(frames), slice(frames, None)
    rows = {f"true {number + 1}": true[number] for number in range(min(3, len(true)))}
    print("squared error per value")
    for name, predictor in seq2seq.train_variants(variants, train).items():
        generated = np.stack(predictor.predict(list(read_frames)))
        errors = [error(generated[:, part], true[:, part]) for part in (past, future)]
        print(f"{name:<22} reconstruction, reversed {errors[0]:.4f}, prediction {errors[1]:.4f}")
        rows |= {f"{name} {number + 1}": generated[number] for number in range(min(3, len(true)))}
    mean = np.mean([each for _, each in training], axis=(0, 1))
    last = np.repeat(read_frames[:, -1:], frames, 1)
    print(f"{'the last frame stays':<22} prediction {error(last, true[:, future]):.4f}")
    print(f"{'the mean frame':<22} prediction {error(mean, true[:, future]):.4f}")
    side = round(width**0.5)
    if side * side == width:
        path = Path(config.output) / "clips.png"
        pictures = {name: rows[name].reshape(-1, side, side) for name in sorted(rows, key=lambda name: name[-1])}
        seq2seq.plot_frames(pictures, path)
        print(f"{path}: left the frames read, last first; right the frames to come")


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
