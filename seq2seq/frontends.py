"""Source front ends other than token ids: feature vectors, images, sound."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from seq2seq.config import COUNTS, UserError, Whole, check, check_numbers
from seq2seq.encoder import SequenceDropout
from seq2seq.inputs import items_of
from seq2seq.model import TokenEmbedding
from seq2seq.vocabulary import PAD_ID

Array = np.ndarray
GROUPS = 4
"""Of channels, normalised together."""
MOST_BLOCKS = 16
"""Each halves height and width: more would leave nothing of any picture."""


@dataclass(frozen=True)
class FrontEndConfig:
    """What the source is made of, and its shape."""

    kind: Literal["features", "image", "tokens"] = "features"
    """features: a vector per step; image: a picture, read through a small convolutional net; tokens: ids."""
    input_size: int = 1
    """Numbers per step (features), channels (image) or different ids (tokens)."""
    height: int = 0
    """Pixels (image)."""
    width: int = 0
    """Pixels (image)."""
    blocks: int = 3
    """Convolutional blocks (image); each halves height and width."""
    normalise: bool = False
    """Bring each step's numbers to mean 0 and deviation 1 (features), where their level means nothing: loudness."""

    def __post_init__(self) -> None:
        pixels = Whole(1 if self.kind == "image" else 0, 100_000)
        check_numbers(self, "model.front_end", input_size=COUNTS, height=pixels, width=pixels, blocks=Whole(1, 16))

    @property
    def image_steps(self) -> int:
        """Length of the sequence that an image becomes."""
        return ConvFeatures.steps(self.height, self.width, self.blocks)

    @property
    def size_step(self) -> int:
        """What the width of its vectors must be a multiple of: each block but the last has half the next one's
        channels, in GROUPS."""
        return GROUPS * 2 ** (self.blocks - 1) if self.kind == "image" else 1

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of an input; None is its number of steps."""
        match self.kind:
            case "features":
                return (None, self.input_size)
            case "image":
                return (self.input_size, self.height, self.width)
            case "tokens":
                return (None,)


def build_front_end(config: FrontEndConfig, size: int, dropout: float) -> nn.Module:
    """The front end of that kind, giving vectors of `size`."""
    match config.kind:
        case "features":
            return FeatureProjection(config.input_size, size, dropout, config.normalise)
        case "image":
            return ConvFeatures(config.input_size, config.height, config.width, size, config.blocks, dropout)
        case "tokens":
            return TokenEmbedding(nn.Embedding(config.input_size, size, padding_idx=PAD_ID), dropout)


def read_inputs(config: FrontEndConfig, inputs: Any) -> list[Array]:
    """Inputs as the front end reads them: [S, F] or [C, height, width] float32 (bytes become 0 to 1), or ids [S] int64.

    Raises UserError where they are no list, and, with the input's number, where one is of another shape, has no steps,
    or holds no numbers.
    """
    return [_read_input(config, one, number) for number, one in enumerate(items_of(inputs, "arrays", "input"), 1)]


def _read_input(config: FrontEndConfig, one: Any, number: int) -> Array:
    wanted = config.input_shape
    shown = ", ".join("S" if size is None else str(size) for size in wanted)
    refusal = f"input {number}: this model reads arrays [{shown}], not {type(one).__name__}"
    if config.kind == "image" and hasattr(one, "convert"):  # a Pillow image
        resized = one.convert("RGB").resize((config.width, config.height))
        one = np.asarray(resized, np.float32).transpose(2, 0, 1) / 255
    elif config.kind == "image" and getattr(one, "dtype", None) == np.uint8:
        one = one / np.float32(255)
    try:
        array = np.asarray(one, np.int64 if config.kind == "tokens" else np.float32)
    except (TypeError, ValueError):  # no numbers, or rows of unequal length
        raise UserError(refusal) from None
    fits = array.ndim == len(wanted) and all(
        size in (None, found) for size, found in zip(wanted, array.shape, strict=True)
    )
    check(fits, f"{refusal} of shape {list(array.shape)}")
    check(len(array) > 0, f"input {number} has no steps; leave it out")
    check(bool(np.isfinite(array).all()), f"input {number} holds infinite or undefined values")
    return array


class FeatureProjection(nn.Module):
    """Feature vectors of any kind, projected to the model's width."""

    def __init__(self, input_size: int, output_size: int, dropout: float, normalise: bool = False) -> None:
        super().__init__()
        self.normalise = nn.LayerNorm(input_size) if normalise else nn.Identity()
        self.project = nn.Linear(input_size, output_size)
        self.dropout = SequenceDropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """[B, S, F] of any float type -> [B, S, E]."""
        return self.dropout(self.project(self.normalise(features.to(self.project.weight.dtype))))


class ConvFeatures(nn.Module):
    """A small convolutional net; its feature map, read row by row, is the sequence (Xu et al. 2015, section 3.1.1).

    Each block halves height and width. Position embeddings tell a recurrent reader where in the picture it is.
    """

    def __init__(self, channels: int, height: int, width: int, output_size: int, blocks: int, dropout: float) -> None:
        super().__init__()
        sizes = [channels, *(output_size // 2 ** (blocks - 1 - block) for block in range(blocks))]
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(GROUPS, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.positions = nn.Parameter(torch.randn(self.steps(height, width, blocks), output_size) * 0.1)
        self.dropout = SequenceDropout(dropout)

    @staticmethod
    def steps(height: int, width: int, blocks: int) -> int:
        """Number of cells of the feature map, which is the length of the sequence."""
        return math.ceil(height / 2**blocks) * math.ceil(width / 2**blocks)

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, height, width] of any float type -> [B, S, E]."""
        cells = self.layers(images.to(self.positions.dtype)).flatten(2).transpose(1, 2)
        return self.dropout(cells + self.positions)


class LogMel(nn.Module):
    """Log energies of mel bands: what speech recognisers read (Davis & Mermelstein 1980, with O'Shaughnessy's mel
    scale)."""

    window: Tensor
    filters: Tensor

    def __init__(self, rate: int, bands: int = 40, window_seconds: float = 0.025, step_seconds: float = 0.01) -> None:
        super().__init__()
        self.size, self.step = round(rate * window_seconds), round(rate * step_seconds)
        self.register_buffer("window", torch.hann_window(self.size), persistent=False)
        self.register_buffer("filters", mel_filters(rate, self.size, bands), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        """[..., n] samples -> [..., frames, bands]; frames = 1 + n // step, each centred on its time."""
        spectrum = torch.stft(samples, self.size, self.step, window=self.window, return_complex=True)
        return torch.log(self.filters @ spectrum.abs().square() + 1e-6).transpose(-1, -2)


def mel_filters(rate: int, size: int, bands: int) -> Tensor:
    """Triangular filters, evenly spaced in mel = 2595 log10(1 + Hz / 700): [bands, size // 2 + 1]."""
    highest = 2595 * math.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, highest, bands + 2) / 2595) - 1)
    bins = torch.linspace(0, rate / 2, size // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0)
