"""scikit-learn's digits, 8 x 8 pixels in 17 shades, joined to strips that are read column by column."""

import numpy as np

import seq2seq

HEIGHT = 12
"""Pixels of a strip: the digits' 8 and room to shift."""
SPLITS = {"train": slice(1_300), "validation": slice(1_300, 1_450), "test": slice(1_450, None)}
"""Places of the 1,797 digits in the order of the file, where later digits are by other writers."""


def distorted(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A digit [8, 8] as another hand, or the same at another time, might have written it."""
    from scipy.ndimage import affine_transform  # scikit-learn needs scipy

    angle, slant = random.uniform(-0.2, 0.2), random.uniform(-0.2, 0.2)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turned @ np.array([[1, 0], [slant, 1]]) @ np.diag(random.uniform(0.85, 1.2, 2))
    centre = np.array([3.5, 3.5])
    return affine_transform(image, matrix, centre - matrix @ centre, order=1)


def strips(split: str, count: int, seed: int, most: int = 8) -> seq2seq.Captioned:
    """Columns [S, HEIGHT] float32 in [0, 1] of joined digits, `most` / 2 to `most` of them, with gaps, small shifts up
    and down, and overlaps; each strip with its digits as text. Those to train on are distorted, each time anew."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = digits.images[SPLITS[split]], digits.target[SPLITS[split]]
    random = np.random.default_rng(seed)
    inputs, references = [], []
    for _ in range(count):
        chosen = random.integers(len(images), size=random.integers(most // 2, most + 1))
        strip = np.zeros((9 * len(chosen) + 12, HEIGHT), np.float32)
        column = int(random.integers(0, 4))
        for row in chosen:
            top = random.integers(0, HEIGHT - 7)
            place = strip[column : column + 8, top : top + 8]
            image = distorted(images[row], random) if split == "train" else images[row]
            np.maximum(place, image.T / 16, out=place)
            column += int(random.integers(7, 10))  # an overlap, none, or a gap, of one column
        inputs.append(strip[: column + int(random.integers(1, 4))])
        references.append([" ".join(map(str, labels[chosen]))])
    return seq2seq.Captioned(inputs, references)
