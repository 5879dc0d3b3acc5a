"""Video captions: frames to a sentence, by a BiLSTM over the frames and an attention decoder (Venugopalan et al. 2015).

python recipes/captions_video.py [--attention false] [--data DIR] [--output DIR] [--quick] [--any.config.field VALUE]

Generated data: each clip shows a shape that moves one way and then another; the captions say which, in order. One test
is on such clips, the other one on combinations of shape and motion that no training clip shows. To show that the model
reads the order of frames, clips are described again played backwards and with their frames shuffled. Without attention
the decoder reads the encoder's summary once, before the first word (Venugopalan et al. 2015, Vinyals et al. 2015). DIR
holds folders of frames, or .npy arrays of features [frames, numbers], with captions.tsv or metadata.csv (columns
file_name and caption, a line per caption); see captions_images.py.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from generated.moving_shapes import FREE, SHAPES, SIDE, clip

DIRECTIONS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}
OPPOSITE = {"left": "right", "right": "left", "up": "down", "down": "up"}

Motion = tuple[str, str, str]
"""Shape, first direction, second direction."""
WAYS = list(itertools.permutations(DIRECTIONS, 2))
MOTIONS = [(shape, *way) for shape in SHAPES for way in WAYS]
UNSEEN = [motion for row, motion in enumerate(MOTIONS) if row % len(WAYS) % len(SHAPES) == row // len(WAYS)]
"""Combinations that no training clip shows: of each motion one shape, of each shape three motions."""
KNOWN = [motion for motion in MOTIONS if motion not in UNSEEN]


@dataclass(frozen=True)
class Config(seq2seq.CaptionTask):
    """Choices of this script."""

    training_clips: int = 4_000
    """Clips to train on, with three captions each."""
    held_out_clips: int = 300
    """Clips to choose the best model on, and as many for each test."""

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


def clips(count: int, known: Sequence[Motion], seed: int) -> tuple[list[np.ndarray], list[Motion]]:
    """Frames [S, SIDE * SIDE] of each clip, and what moves in it and how."""
    random = np.random.default_rng(seed)
    inputs, motions = [], []
    for _ in range(count):
        shape, first, second = known[int(random.integers(len(known)))]
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


def captioned(inputs: list[np.ndarray], motions: list[Motion]) -> seq2seq.Captioned:
    """Clips with what is to be said of each."""
    return seq2seq.Captioned(inputs, [captions(motion) for motion in motions])


def generated_tests(count: int) -> dict[str, seq2seq.Captioned]:
    """Clips with the captions that they are scored against, by what is tested."""
    inputs, motions = clips(count, KNOWN, seed=3)
    random = np.random.default_rng(4)
    reverse = [frames[::-1] for frames in inputs]
    return {
        "seen combinations": captioned(inputs, motions),
        "unseen combinations": captioned(*clips(count, UNSEEN, seed=5)),
        "backwards, against the captions": captioned(reverse, motions),
        "backwards, against the reverse": captioned(reverse, list(map(backwards, motions))),
        "frames shuffled": captioned([random.permutation(frames) for frames in inputs], motions),
    }


def main(config: Config) -> None:
    """Trains, and prints the scores of each test."""
    if config.data:
        ready, parts = seq2seq.read_captioned(config)
        training, validation, tests = parts.training, parts.validation, {"test": parts.test}
    else:
        ready, count = config.decoder_chosen(), config.count(config.held_out_clips, quick=16)
        training = captioned(*clips(config.count(config.training_clips), KNOWN, seed=1))
        validation, tests = captioned(*clips(count, KNOWN, seed=2)), generated_tests(count)
    generator = seq2seq.train_generator(ready, training, validation)
    seq2seq.end_other_processes()
    for name, test in tests.items():
        print(f"{name:<31} {seq2seq.caption_scores(generator.generate(test.inputs), test.references).describe()}")
    if ready.model.front_end.kind == "features":
        seq2seq.draw_attention(generator, next(iter(tests.values())).inputs, Path(config.output))


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
