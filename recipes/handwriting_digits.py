"""Handwritten digits in a strip, read column by column, to their names (after Graves et al. 2009): BiLSTM and LSTM.

python recipes/handwriting_digits.py [--output DIR] [--quick] [--any.config.field VALUE]

The digits are real, 8 x 8 pixels in 17 shades, and ship inside scikit-learn. Four to eight of them are joined to a
strip, with gaps, small shifts up and down, and overlaps; a test strip holds no digit that training or the choice of the
best model has seen. Those to train on are turned, slanted and stretched a little, each time anew, for there are few of
them. The same model is trained with an encoder of one direction for comparison. Both learn by attention and CTC
together.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from dataclasses import dataclass, replace

import numpy as np

HEIGHT = 12
"""Pixels of a strip: the digits' 8 and room to shift."""
SPLITS = {"train": slice(1_300), "validation": slice(1_300, 1_450), "test": slice(1_450, None)}
"""Places of the 1,797 digits once shuffled; they do not say who wrote them, so a writer may be on both sides."""

DIRECTIONS: dict[str, seq2seq.Direction] = {"BiLSTM": "both", "LSTM, one direction": "forward"}


@dataclass(frozen=True)
class Config(seq2seq.GeneratorTask):
    """Choices of this script."""

    training_strips: int = 10_000
    """Strips to train on."""
    held_out_strips: int = 500
    """Strips to choose the best model on, and as many to test on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        seq2seq.check_numbers(self, "", training_strips=seq2seq.COUNTS, held_out_strips=seq2seq.COUNTS)


CONFIG = Config(
    model=seq2seq.GeneratorConfig(
        seq2seq.FrontEndConfig("features", HEIGHT),
        embedding_size=64,
        dropout=0.1,
        encoder=seq2seq.EncoderConfig(hidden_size=96, layers=2, subsampling=2),
        decoder=seq2seq.DecoderConfig(hidden_size=128, layers=1, attention="additive", coupling="none"),
        ctc=True,
    ),
    batching=seq2seq.BatchingConfig(max_tokens_per_batch=2_000, length_step=8),
    optimizer=seq2seq.OptimizerConfig(learning_rate=0.004, warmup_steps=100),
    trainer=seq2seq.TrainerConfig(epochs=7, best_metric="error_rate", average_decay=0.99),
    search=seq2seq.SearchConfig(max_length_ratio=0.3),
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
) -> seq2seq.Captioned:
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
    return seq2seq.Captioned(inputs, references)


def main(config: Config) -> None:
    """Trains both encoders and prints the error rates of each way of decoding."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))

    def joined(split: str, count: int, seed: int, most: int = 8) -> seq2seq.Captioned:
        rows = order[SPLITS[split]]
        return strips(digits.images[rows], digits.target[rows], count, seed, most, distort=split == "train")

    number = config.count(config.training_strips)
    # An epoch of short strips first: where to look is learned on them in half the time.
    training = [joined("train", number, seed, most) for seed, most in ((1, 3), (4, 8))]
    count = config.count(config.held_out_strips, quick=16)
    validation, test = joined("validation", count, 2), joined("test", count, 3)
    encoders = {name: replace(config.model.encoder, direction=each) for name, each in DIRECTIONS.items()}
    variants = {name: replace(config, model=replace(config.model, encoder=each)) for name, each in encoders.items()}

    def train(_name: str, variant: Config) -> seq2seq.Generator:
        return seq2seq.train_generator(variant, training, validation)

    for name, generator in seq2seq.train_variants(variants, train).items():
        for way, texts in seq2seq.decode_every_way(generator, test.inputs, config.ctc_weight).items():
            print(f"{name:<20} {way:<20} {seq2seq.error_rates(texts, test.references).describe('character')}")
        seq2seq.draw_attention(generator, test.inputs, seq2seq.variant_folder(config, name))


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
