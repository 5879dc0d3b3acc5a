"""A recurrent language model: the next token from those before it (Mikolov et al. 2010). Samples, scores, and joins in
the beam search of other models (shallow fusion)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seq2seq.config import DROPOUT, LAYERS, SIZES, check_fields, check_numbers
from seq2seq.data.symbols import PAD_ID
from seq2seq.model.dropout import SequenceDropout
from seq2seq.model.initialisation import initialise_model
from seq2seq.model.memory import length_mask
from seq2seq.model.recurrent import Cell, build_recurrent

LEAST_TEMPERATURE = 1e-30
"""Long before it the most probable character is certain; log-probabilities divided by less leave the range of fp32."""


@dataclass(frozen=True)
class LanguageModelConfig:
    """Sizes and structure of a language model."""

    cell: Cell = "lstm"
    """Recurrent cell: lstm, gru, rnn (plain tanh), peephole, or layer_norm_lstm."""
    hidden_size: int = 256
    """Units per layer."""
    layers: int = 1
    """Number of stacked layers."""
    embedding_size: int = 64
    """Width of the token embedding."""
    dropout: float = 0.1
    """Probability of dropping a unit between layers; one mask per sequence."""

    def __post_init__(self) -> None:
        check_fields(self, "model")
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


def build_language_model(config: LanguageModelConfig, vocabulary_size: int) -> LanguageModel:
    """The model, freshly initialised from torch's global random state."""
    return initialise_model(assemble_language_model(config, vocabulary_size))


def assemble_language_model(config: LanguageModelConfig, vocabulary_size: int) -> LanguageModel:
    """The same with weights of no meaning, for those about to load trained ones."""
    return LanguageModel(vocabulary_size, config)
