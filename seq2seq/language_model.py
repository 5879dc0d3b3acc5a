"""A recurrent language model: the next token from those before it (Mikolov et al. 2010). Samples, scores, and joins in
the beam search of other models (shallow fusion)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seq2seq.config import (
    COUNTS_OR_NONE,
    DROPOUT,
    LAYERS,
    SEEDS,
    SIZES,
    Real,
    UserError,
    check,
    check_number,
    check_numbers,
)
from seq2seq.encoder import SequenceDropout
from seq2seq.files import write_atomically
from seq2seq.inputs import check_text
from seq2seq.loading import load_model
from seq2seq.memory import length_mask
from seq2seq.model import initialise_model
from seq2seq.recurrent import Cell, build_recurrent
from seq2seq.search import StepFn
from seq2seq.vocabulary import BOS_ID, PAD_ID, UNK_ID

CHARACTERS_FILE = "characters.json"
FIRST_CHARACTER_ID = 4
"""Ids below are padding, unknown, beginning and end, as in every vocabulary here."""
LEAST_TEMPERATURE = 1e-30
"""Long before it the most probable character is certain; log-probabilities divided by less leave the range of fp32."""


@dataclass(frozen=True)
class LanguageModelConfig:
    """Sizes and structure of a language model."""

    cell: Cell = "lstm"
    """Recurrent cell: lstm, gru, rnn (plain tanh), or peephole."""
    hidden_size: int = 256
    """Units per layer."""
    layers: int = 1
    """Number of stacked layers."""
    embedding_size: int = 64
    """Width of the token embedding."""
    dropout: float = 0.1
    """Probability of dropping a unit between layers; one mask per sequence."""

    def __post_init__(self) -> None:
        check_numbers(self, "model", hidden_size=SIZES, layers=LAYERS, embedding_size=SIZES, dropout=DROPOUT)


class LanguageState(NamedTuple):
    """Where reading stands, of N sequences."""

    hidden: Tensor
    """[N, L, H]"""
    cell: Tensor
    """[N, L, H]"""

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> LanguageState:
        """The state of these rows."""
        return LanguageState(self.hidden.index_select(0, hypotheses), self.cell.index_select(0, hypotheses))


class LanguageModel(nn.Module):
    """Embedding, recurrent layers, output layer."""

    def __init__(self, vocabulary_size: int, config: LanguageModelConfig) -> None:
        super().__init__()
        sizes = [config.embedding_size] + [config.hidden_size] * (config.layers - 1)
        self.embedding = nn.Embedding(vocabulary_size, config.embedding_size, padding_idx=PAD_ID)
        self.layers = nn.ModuleList(build_recurrent(config.cell, size, config.hidden_size) for size in sizes)
        self.dropout = SequenceDropout(config.dropout)
        self.output = nn.Linear(config.hidden_size, vocabulary_size)

    def forward(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """tokens [B, T] int64, lengths [B] -> logits of each next token [B, T, V], mask of the real steps [B, T]."""
        states = self.embedding(tokens)
        for layer in self.layers:
            states, _, _ = layer(self.dropout(states), lengths)
        return self.output(self.dropout(states)), length_mask(lengths, tokens.shape[1])

    def start(self, rows: int) -> LanguageState:
        """The state before the first token."""
        size: int = self.output.in_features
        nothing = self.output.weight.new_zeros(rows, len(self.layers), size)
        return LanguageState(nothing, nothing)

    def step(self, token: Tensor, state: LanguageState) -> tuple[Tensor, LanguageState]:
        """The StepFn of this model (see search.py)."""
        below = self.embedding(token)
        hidden, cell = [], []
        layers: list[Any] = list(self.layers)
        for number, layer in enumerate(layers):
            below, new_cell = layer.step(below, state.hidden[:, number], state.cell[:, number])
            hidden.append(below)
            cell.append(new_cell)
        log_probs = self.output(below).float().log_softmax(-1)
        return log_probs, LanguageState(torch.stack(hidden, 1), torch.stack(cell, 1))


class FusedState(NamedTuple):
    """The states of a model and of the language model that joins in."""

    model: Any
    language: LanguageState

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> FusedState:
        """As `DecoderState.reorder`."""
        return FusedState(self.model.reorder(hypotheses, sentences), self.language.reorder(hypotheses))


def shallow_fusion(
    step: StepFn[Any], language_model: LanguageModel, weight: float
) -> Callable[[Tensor, FusedState], tuple[Tensor, FusedState]]:
    """A StepFn that scores log P(model) + weight x log P(language model) (Gulcehre et al. 2015, section 4.1).

    Both must share one vocabulary. Start it from FusedState(state of the model, language_model.start(rows)).
    """

    def fused(token: Tensor, state: FusedState) -> tuple[Tensor, FusedState]:
        scores, inner = step(token, state.model)
        log_probs, language = language_model.step(token, state.language)
        return scores + weight * log_probs, FusedState(inner, language)

    return fused


class Characters:
    """Characters as tokens, line feeds among them; those not in the table are unknown."""

    def __init__(self, symbols: str) -> None:
        self.symbols = symbols
        self._ids = {symbol: number for number, symbol in enumerate(symbols, FIRST_CHARACTER_ID)}

    @classmethod
    def of(cls, texts: Iterable[str]) -> Characters:
        """The table of all characters that occur."""
        return cls("".join(sorted(set().union(*texts))))

    def __len__(self) -> int:
        return FIRST_CHARACTER_ID + len(self.symbols)

    def encode(self, text: str) -> list[int]:
        """Ids of a text."""
        return [self._ids.get(symbol, UNK_ID) for symbol in text]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; special ones are left out."""
        return "".join(self.symbols[token - FIRST_CHARACTER_ID] for token in ids if token >= FIRST_CHARACTER_ID)

    def save(self, directory: Path) -> None:
        """Writes characters.json."""
        write_atomically(directory / CHARACTERS_FILE, json.dumps({"symbols": self.symbols}) + "\n")

    @classmethod
    def load(cls, directory: Path) -> Characters:
        """Reads characters.json. Raises UserError where it is missing or damaged."""
        path = directory / CHARACTERS_FILE
        try:
            symbols = json.loads(path.read_text(encoding="utf-8"))["symbols"]
            check(isinstance(symbols, str) and len(set(symbols)) == len(symbols), "symbols")
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(f"{path}: not a table of characters; restore it or train again") from None
        return cls(symbols)


class CharacterModel:
    """A trained language model over characters."""

    def __init__(self, model: LanguageModel, config: LanguageModelConfig, characters: Characters) -> None:
        self.model, self.config, self.characters = model.eval(), config, characters

    @torch.inference_mode()
    def sample(self, seed_text: str, length: int, temperature: float = 1.0, seed: int = 1) -> str:
        """Goes on from seed_text by `length` random characters. temperature: above 0; below 1 keeps to the likely ones.
        seed: from 0 to 2^63 - 1; the same one gives the same text."""
        check_text(seed_text, "seed_text")
        check_number("length", length, COUNTS_OR_NONE)
        check_number("temperature", temperature, Real(0, 1_000, without=(0,)))
        check_number("seed", seed, SEEDS)
        temperature = max(temperature, LEAST_TEMPERATURE)
        random = torch.Generator().manual_seed(seed)
        state = self.model.start(1)
        drawn: list[int] = []
        log_probs = torch.empty(0)
        for token in [BOS_ID, *self.characters.encode(seed_text)]:
            log_probs, state = self.model.step(self._token(token), state)
        while len(drawn) < length:
            likely = (log_probs[0, FIRST_CHARACTER_ID:].cpu() / temperature).softmax(-1)
            drawn.append(FIRST_CHARACTER_ID + int(torch.multinomial(likely, 1, generator=random)))
            log_probs, state = self.model.step(self._token(drawn[-1]), state)
        return self.characters.decode(drawn)

    @torch.inference_mode()
    def bits_per_character(self, text: str) -> float:
        """Mean of -log2 P(character | those before it) over a text."""
        check_text(text, "text")
        check(bool(text), "the text to score is empty")
        ids = self.characters.encode(text)
        state, total = self.model.start(1), 0.0
        for before, token in zip([BOS_ID, *ids], ids, strict=False):
            log_probs, state = self.model.step(self._token(before), state)
            total -= float(log_probs[0, token])
        return total / len(ids) / math.log(2)

    def _token(self, token: int) -> Tensor:
        return torch.tensor([token], device=self.model.output.weight.device)


def build_language_model(config: LanguageModelConfig, vocabulary_size: int) -> LanguageModel:
    """The model, freshly initialised from torch's global random state."""
    return initialise_model(LanguageModel(vocabulary_size, config))


def load_character_model(directory: Path, config: LanguageModelConfig, device: str = "cpu") -> CharacterModel:
    """A run's language model. Raises UserError where a file is missing or damaged."""
    characters = Characters.load(directory)
    model = load_model(directory, lambda: LanguageModel(len(characters), config))
    return CharacterModel(model.to(device), config, characters)
