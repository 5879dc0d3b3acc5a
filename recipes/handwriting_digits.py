"""Handwritten digits in a strip, read column by column, to their names (after Graves et al. 2009): BiLSTM and LSTM.

python recipes/handwriting_digits.py [--output DIR] [--quick] [--any.config.field VALUE]

The digits are real, 8 x 8 pixels in 17 shades, and ship inside scikit-learn. Four to eight of them are joined to a
strip, with gaps, small shifts up and down, and overlaps; a test strip holds no digit that training or the choice of the
best model has seen. Those to train on are turned, slanted and stretched a little, each time anew, for there are few of
them. The same model is trained with an encoder of one direction for comparison. Both learn by attention and CTC
together.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from seq2seq.cli import script
from seq2seq.config import COUNTS, check_numbers
from seq2seq.data.bucketing import BatchingConfig
from seq2seq.evaluation.error_rates import error_rates
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import Direction, EncoderConfig
from seq2seq.model.frontends import FrontEndConfig
from seq2seq.model.seq2seq import GeneratorConfig
from seq2seq.search.beam import SearchConfig
from seq2seq.tasks.configs import GeneratorTask
from seq2seq.tasks.transcription import Captioned, decode_every_way, draw_attention, train_generator
from seq2seq.training.config import TrainerConfig
from seq2seq.training.optimizer import OptimizerConfig

HEIGHT = 12
"""Pixels of a strip: the digits' 8 and room to shift."""
SPLITS = {"train": slice(1_300), "validation": slice(1_300, 1_450), "test": slice(1_450, None)}
"""Places of the 1,797 digits once shuffled; they do not say who wrote them, so a writer may be on both sides."""

DIRECTIONS: dict[str, Direction] = {"BiLSTM": "both", "LSTM, one direction": "forward"}


@dataclass(frozen=True)
class Config(GeneratorTask):
    """Choices of this script."""

    training_strips: int = 10_000
    """Strips to train on."""
    held_out_strips: int = 500
    """Strips to choose the best model on, and as many to test on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_numbers(self, "", training_strips=COUNTS, held_out_strips=COUNTS)


CONFIG = Config(
    model=GeneratorConfig(
        FrontEndConfig("features", HEIGHT),
        embedding_size=64,
        dropout=0.1,
        encoder=EncoderConfig(hidden_size=96, layers=2, subsampling=2),
        decoder=DecoderConfig(hidden_size=128, layers=1, attention="additive", coupling="none"),
        ctc=True,
    ),
    batching=BatchingConfig(max_tokens_per_batch=2_000, length_step=8),
    optimizer=OptimizerConfig(learning_rate=0.004, warmup_steps=100),
    trainer=TrainerConfig(epochs=7, best_metric="error_rate", average_decay=0.99),
    search=SearchConfig(max_length_ratio=0.3),
)


def distorted(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A digit [8, 8] as another hand, or the same at another time, might have written it."""
    from scipy.ndimage import affine_transform  # scikit-learn needs scipy

    angle, slant = random.uniform(-0.2, 0.2), random.uniform(-0.2, 0.2)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turned @ np.array([[1, 0], [slant, 1]]) @ np.diag(random.uniform(0.85, 1.2, 2))
    centre = np.array([3.5, 3.5])
    return affine_transform(image, matrix, centre - matrix @ centre, order=1)


def strips(
    images: np.ndarray, labels: np.ndarray, count: int, seed: int, most: int = 8, distort: bool = False
) -> Captioned:
    """Columns [S, HEIGHT] float32 in [0, 1] of joined digits, each strip with its digits as text."""
    random = np.random.default_rng(seed)
    inputs, references = [], []
    for _ in range(count):
        chosen = random.integers(len(images), size=random.integers(most // 2, most + 1))
        strip = np.zeros((9 * len(chosen) + 12, HEIGHT), np.float32)
        column = int(random.integers(0, 4))
        for row in chosen:
            top = random.integers(0, HEIGHT - 7)
            place = strip[column : column + 8, top : top + 8]
            image = distorted(images[row], random) if distort else images[row]
            np.maximum(place, image.T / 16, out=place)
            column += int(random.integers(7, 10))  # an overlap, none, or a gap, of one column
        inputs.append(strip[: column + int(random.integers(1, 4))])
        references.append([" ".join(map(str, labels[chosen]))])
    return Captioned(inputs, references)


def main(config: Config) -> None:
    """Trains both encoders and prints the error rates of each way of decoding."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))

    def joined(split: str, count: int, seed: int, most: int = 8) -> Captioned:
        rows = order[SPLITS[split]]
        return strips(digits.images[rows], digits.target[rows], count, seed, most, distort=split == "train")

    number = config.count(config.training_strips)
    # An epoch of short strips first: where to look is learned on them in half the time.
    training = [joined("train", number, seed, most) for seed, most in ((1, 3), (4, 8))]
    count = config.count(config.held_out_strips, quick=16)
    validation, test = joined("validation", count, 2), joined("test", count, 3)
    generators = {}
    for name, direction in DIRECTIONS.items():
        encoder = replace(config.model.encoder, direction=direction)
        chosen = replace(config, model=replace(config.model, encoder=encoder))
        chosen = replace(chosen, output=str(Path(config.output) / direction))
        generators[name] = train_generator(chosen, training, validation)
    script.end_other_processes()
    for name, generator in generators.items():
        for way, texts in decode_every_way(generator, test.inputs, config.ctc_weight).items():
            print(f"{name:<20} {way:<20} {error_rates(texts, test.references).describe('character')}")
        draw_attention(generator, test.inputs, Path(config.output) / DIRECTIONS[name])


if __name__ == "__main__":
    script.run_task(CONFIG, main)
