"""Source front ends other than token ids: feature vectors, images, sound."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from seq2seq.config import COUNTS, DROPOUT, SIZES, Whole, check_fields, check_numbers
from seq2seq.data.symbols import PAD_ID, UNK_ID
from seq2seq.errors import check
from seq2seq.model.dropout import SequenceDropout, TokenDropout
from seq2seq.runtime.pictures import as_rgb

Array = np.ndarray

GROUPS = 4
"""Of channels, normalised together."""
MOST_BLOCKS = 16
"""Each halves height and width: more would leave nothing of any picture."""


@dataclass(frozen=True)
class FrontEndConfig:
    """What the source is made of, and its shape: options of all kinds side by side, as config.json stores them.

    `form` hands over to `Features`, `Image`, `Tokens` or `Words`.
    """

    kind: Literal["features", "image", "tokens", "words"] = "features"
    """features: a vector per step; image: a picture, read through a small convolutional net; tokens: ids; words: ids of
    words, each with those of its characters."""
    input_size: int = 1
    """Numbers per step (features), channels (image) or different ids (tokens, words)."""
    height: int = 0
    """Pixels (image)."""
    width: int = 0
    """Pixels (image)."""
    blocks: int = 3
    """Convolutional blocks (image); each halves height and width."""
    normalise: bool = False
    """Bring each step's numbers to mean 0 and deviation 1 (features), where their level means nothing: loudness."""
    characters: int = 0
    """Different ids of characters (words)."""
    word_length: int = 16
    """Characters of a word that are read; of a longer one its begin and its end (words)."""
    character_size: int = 32
    """How many of a word's numbers come from its characters (words)."""
    character_span: int = 3
    """Neighbouring characters that are read together (words)."""
    word_dropout: float = 0.0
    """Probability in training that a word is read as an unknown one, so that these are learned too (words)."""

    def __post_init__(self) -> None:
        check_fields(self, "model.front_end")
        pixels = Whole(1 if self.kind == "image" else 0, 100_000)
        check_numbers(self, "model.front_end", input_size=COUNTS, height=pixels, width=pixels, blocks=Whole(1, 16))
        check_numbers(
            self,
            "model.front_end",
            characters=Whole(1 if self.kind == "words" else 0, 1_114_200),
            word_length=Whole(1, 100),
            character_size=SIZES,
            character_span=Whole(1, 100),
            word_dropout=DROPOUT,
        )

    def form(self) -> FrontEnd:
        """The front end of that kind: all else that depends on the kind is in its class."""
        match self.kind:
            case "features":
                return Features(self.input_size, self.normalise)
            case "image":
                return Image(self.input_size, self.height, self.width, self.blocks)
            case "tokens":
                return Tokens(self.input_size)
            case "words":
                return Words(
                    self.input_size,
                    self.characters,
                    self.word_length,
                    self.character_size,
                    self.character_span,
                    self.word_dropout,
                )


class FrontEnd(Protocol):
    """What is read, by which module."""

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of an input; None is its number of steps."""

    @property
    def steps(self) -> int | None:
        """Length of the sequence that every input becomes; None where it is the input's own."""

    @property
    def size_step(self) -> int:
        """What the width of its vectors must be a multiple of."""

    def read(self, one: Any) -> Array:
        """An input as an array of the right type, whatever its shape. Raises TypeError or ValueError where that cannot
        be."""

    def build(self, size: int, dropout: float) -> nn.Module:
        """The module: inputs [B, ...] -> vectors [B, S, size]."""


@dataclass(frozen=True)
class Features:
    """A vector of `input_size` numbers per step."""

    input_size: int
    normalise: bool
    steps: ClassVar[None] = None
    size_step: ClassVar[int] = 1

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """[S, F]"""
        return (None, self.input_size)

    def read(self, one: Any) -> Array:
        """Numbers, as float32. Raises UserError for texts, dates and complex numbers, which NumPy would convert."""
        given = np.asarray(one)
        check(given.dtype.kind not in "USmMc", f"the values must be numbers, not {given.dtype}")
        return np.asarray(given, np.float32)

    def build(self, size: int, dropout: float) -> nn.Module:
        """A projection."""
        return FeatureProjection(self.input_size, size, dropout, self.normalise)


@dataclass(frozen=True)
class Image:
    """A picture of a fixed size, read through a small convolutional net."""

    channels: int
    height: int
    width: int
    blocks: int

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """[C, height, width]"""
        return (self.channels, self.height, self.width)

    @property
    def steps(self) -> int:
        """Cells of the feature map."""
        return ConvFeatures.steps(self.height, self.width, self.blocks)

    @property
    def size_step(self) -> int:
        """Each block but the last has half the next one's channels, in GROUPS."""
        return GROUPS * 2 ** (self.blocks - 1)

    def read(self, one: Any) -> Array:
        """A Pillow image, resized to fit; bytes, which become 0 to 1; or numbers, as float32."""
        if hasattr(one, "convert"):
            resized = as_rgb(one).resize((self.width, self.height))
            one = np.asarray(resized, np.float32).transpose(2, 0, 1) / 255
        elif getattr(one, "dtype", None) == np.uint8:
            one = one / np.float32(255)
        return np.asarray(one, np.float32)

    def build(self, size: int, dropout: float) -> nn.Module:
        """The convolutional net."""
        return ConvFeatures(self.channels, self.height, self.width, size, self.blocks, dropout)


@dataclass(frozen=True)
class Tokens:
    """Ids of a vocabulary."""

    vocabulary_size: int
    steps: ClassVar[None] = None
    size_step: ClassVar[int] = 1
    input_shape: ClassVar[tuple[int | None, ...]] = (None,)

    @property
    def id_limit(self) -> Array:
        """What ids are less than."""
        return np.array(self.vocabulary_size)

    def read(self, one: Any) -> Array:
        """Ids, as int64."""
        return np.asarray(one, np.int64)

    def build(self, size: int, dropout: float) -> nn.Module:
        """An embedding."""
        return TokenEmbedding(nn.Embedding(self.vocabulary_size, size, padding_idx=PAD_ID), dropout)


@dataclass(frozen=True)
class Words:
    """Ids of words, each with those of its characters."""

    vocabulary_size: int
    characters: int
    word_length: int
    character_size: int
    character_span: int
    word_dropout: float
    steps: ClassVar[None] = None
    size_step: ClassVar[int] = 1

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """[S, 1 + word_length]"""
        return (None, 1 + self.word_length)

    @property
    def id_limit(self) -> Array:
        """[1 + word_length] what ids are less than."""
        return np.array([self.vocabulary_size, *[self.characters] * self.word_length])

    def read(self, one: Any) -> Array:
        """Ids, as int64."""
        return np.asarray(one, np.int64)

    def build(self, size: int, dropout: float) -> nn.Module:
        """Embeddings of words and of their characters."""
        return WordEmbedding(self, size, dropout)


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

    Each block halves height and width. Position embeddings say where in the picture a cell lies.
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


class TokenEmbedding(nn.Module):
    """Source front end for token ids: embedding lookup, and dropout of units and of whole tokens."""

    def __init__(self, embedding: nn.Embedding, dropout: float, token_dropout: TokenDropout | None = None) -> None:
        super().__init__()
        self.embedding = embedding
        self.dropout = SequenceDropout(dropout)
        self.token_dropout = token_dropout or TokenDropout()

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, S] int64 -> [B, S, E]."""
        return self.dropout(self.token_dropout(tokens, self.embedding))


class FactoredEmbedding(nn.Module):
    """A token's embedding and those of its factors, which are added to it or stand beside it (Sennrich & Haddow 2016).
    Several factors, such as the features of a word, are a set: their embeddings are added up."""

    def __init__(self, embedding: nn.Embedding, factor_size: int, dropout: float) -> None:
        """embedding: of tokens and factors alike, whose ids differ. factor_size: numbers that stand for the factors, of
        another embedding; 0: they are added."""
        super().__init__()
        self.embedding = embedding
        ids = embedding.num_embeddings
        self.factors = nn.Embedding(ids, factor_size, padding_idx=PAD_ID) if factor_size else embedding
        self.dropout = SequenceDropout(dropout)

    def forward(self, ids: Tensor) -> Tensor:
        """[B, S, 1 + F] int64: a token, then its factors, PAD_ID after the last -> [B, S, E]. Where all rows are empty
        but for their end, [B, S]."""
        ids = ids if ids.dim() > 2 else ids[..., None]
        if self.factors is self.embedding:
            return self.dropout(self.embedding(ids).sum(-2))
        return self.dropout(torch.cat((self.embedding(ids[..., 0]), self.factors(ids[..., 1:]).sum(-2)), -1))


class WordEmbedding(nn.Module):
    """A word's own embedding, and beside it the maximum over a convolution of its characters (Ma & Hovy 2016, section
    2.1), so that words never seen are read by their spelling."""

    SIZE = 32
    """Of a character's embedding."""

    def __init__(self, form: Words, size: int, dropout: float) -> None:
        super().__init__()
        self.words = nn.Embedding(form.vocabulary_size, size - form.character_size, padding_idx=PAD_ID)
        self.characters = nn.Embedding(form.characters, self.SIZE, padding_idx=PAD_ID)
        self.span = form.character_span
        self.convolution = nn.Linear(self.span * self.SIZE, form.character_size)
        self.word_dropout = form.word_dropout
        self.dropout = SequenceDropout(dropout)

    def forward(self, ids: Tensor) -> Tensor:
        """[B, S, 1 + C] int64: a word, then its characters, PAD_ID after the last -> [B, S, E]."""
        words, characters = ids[..., 0], ids[..., 1:]
        if self.training and self.word_dropout:
            unknown = torch.rand(words.shape, device=words.device) < self.word_dropout
            words = words.masked_fill(unknown & (words != PAD_ID), UNK_ID)
        return self.dropout(torch.cat((self.words(words), self._spelled(characters)), -1))

    def _spelled(self, characters: Tensor) -> Tensor:
        """[B, S, C] int64 -> [B, S, F]."""
        before = (self.span - 1) // 2
        embedded = nn.functional.pad(self.characters(characters), (0, 0, before, self.span - 1 - before))
        length = characters.shape[-1]
        beside = torch.cat([embedded[..., begin : begin + length, :] for begin in range(self.span)], -1)
        found = self.convolution(beside).masked_fill((characters == PAD_ID)[..., None], -torch.inf).amax(-2)
        return torch.where(characters[..., :1] == PAD_ID, 0.0, found).tanh()
