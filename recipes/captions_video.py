"""Video captions: frames to a sentence, by a BiLSTM over the frames and an attention decoder (Venugopalan et al. 2015).

python recipes/captions_video.py [--output DIR] [--quick] [--any.config.field VALUE]

Each clip shows a shape that moves one way and then another; the captions say which, in order. To show that the model
reads the order of frames, the test clips are described again played backwards and with their frames shuffled.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from dataclasses import dataclass
from pathlib import Path

import numpy as np
from generated.moving_shapes import FREE, SHAPES, SIDE, clip

DIRECTIONS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}
OPPOSITE = {"left": "right", "right": "left", "up": "down", "down": "up"}

Motion = tuple[str, str, str]
"""Shape, first direction, second direction."""


@dataclass(frozen=True)
class Config(seq2seq.GeneratorTask):
    """Choices of this script."""

    training_clips: int = 4_000
    """Clips to train on, with three captions each."""
    held_out_clips: int = 300
    """Clips to choose the best model on, and as many to test on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        seq2seq.check_numbers(self, "", training_clips=seq2seq.COUNTS, held_out_clips=seq2seq.COUNTS)


CONFIG = Config(
    model=seq2seq.GeneratorConfig(
        seq2seq.FrontEndConfig("features", SIDE * SIDE),
        embedding_size=96,
        dropout=0.1,
        encoder=seq2seq.EncoderConfig(hidden_size=96),
        decoder=seq2seq.DecoderConfig(hidden_size=128, layers=1, coupling="none"),
    ),
    batching=seq2seq.BatchingConfig(max_tokens_per_batch=1_600),
    optimizer=seq2seq.OptimizerConfig(learning_rate=0.003, warmup_steps=100),
    trainer=seq2seq.TrainerConfig(epochs=5, average_decay=0.99),
    search=seq2seq.SearchConfig(max_length=24),
)


def clips(count: int, seed: int) -> tuple[list[np.ndarray], list[Motion]]:
    """Frames [S, SIDE * SIDE] of each clip, and what moves in it and how."""
    random = np.random.default_rng(seed)
    inputs, motions = [], []
    for _ in range(count):
        shape = list(SHAPES)[random.integers(len(SHAPES))]
        first, second = (list(DIRECTIONS)[way] for way in random.choice(len(DIRECTIONS), 2, replace=False))
        steps = [DIRECTIONS[way] for way in (first, second) for _ in range(random.integers(4, 8))]
        path = np.cumsum([(0, 0), *steps], 0)
        lowest, highest = path.min(0), path.max(0)
        inputs.append(clip(shape, path - lowest + random.integers(0, FREE + 1 - (highest - lowest)), random))
        motions.append((shape, first, second))
    return inputs, motions


def captions(motion: Motion) -> list[str]:
    """Three ways to say it."""
    shape, first, second = motion
    return [
        f"a {shape} moves {first} and then {second}",
        f"the {shape} goes {first} , then {second}",
        f"first {first} , then {second} : that is how the {shape} moves",
    ]


def backwards(motion: Motion) -> Motion:
    """The motion of a clip played backwards."""
    shape, first, second = motion
    return shape, OPPOSITE[second], OPPOSITE[first]


def main(config: Config) -> None:
    """Trains, and prints the scores of the test clips as they are, played backwards, and shuffled."""
    count = config.count(config.held_out_clips, quick=16)
    training, validation = (
        seq2seq.Captioned(inputs, [captions(motion) for motion in motions])
        for inputs, motions in (clips(config.count(config.training_clips), seed=1), clips(count, seed=2))
    )
    generator = seq2seq.train_generator(config, training, validation)
    seq2seq.end_other_processes()
    inputs, motions = clips(count, seed=3)
    random = np.random.default_rng(4)
    true, reversed_true = ([captions(motion) for motion in each] for each in (motions, map(backwards, motions)))
    played_backwards = generator.generate([frames[::-1] for frames in inputs])
    shuffled = generator.generate([random.permutation(frames) for frames in inputs])
    print(f"as they are                     {seq2seq.caption_scores(generator.generate(inputs), true).describe()}")
    print(f"backwards, against the captions {seq2seq.caption_scores(played_backwards, true).describe()}")
    print(f"backwards, against the reverse  {seq2seq.caption_scores(played_backwards, reversed_true).describe()}")
    print(f"frames shuffled                 {seq2seq.caption_scores(shuffled, true).describe()}")
    seq2seq.draw_attention(generator, inputs, Path(config.output))


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
