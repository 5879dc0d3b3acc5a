"""A recurrent language model: the next token from those before it (Mikolov et al. 2010), or, of both directions, also
each token from those after it (Peters et al. 2018). Samples, scores, and joins in the beam search of other models
(shallow fusion)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from seq2seq.config import DROPOUT, LAYERS, SIZES, check_fields, check_numbers
from seq2seq.data.symbols import PAD_ID
from seq2seq.errors import check
from seq2seq.model.cells import build_recurrent, check_projection, check_weights_stay
from seq2seq.model.dropout import SequenceDropout
from seq2seq.model.encoder import reversal_index
from seq2seq.model.initialisation import initialise_model
from seq2seq.model.losses import LossSum, cross_entropy
from seq2seq.model.memory import length_mask
from seq2seq.model.recurrent import Cell

LEAST_TEMPERATURE = 1e-30
"""Long before it the most probable character is certain; log-probabilities divided by less leave the range of fp32."""


@dataclass(frozen=True)
class LanguageModelConfig:
    """Sizes and structure of a language model."""

    cell: Cell = "lstm"
    """Recurrent cell: lstm, gru, rnn (plain tanh), peephole, layer_norm_lstm, rhn (a recurrent highway network), or
    qrnn."""
    hidden_size: int = 256
    """Units per layer."""
    layers: int = 1
    """Number of stacked layers."""
    embedding_size: int = 64
    """Width of the token embedding."""
    dropout: float = 0.1
    """Probability of dropping a unit between layers; one mask per sequence."""
    recurrent_dropout: float = 0.0
    """Probability of dropping a recurrent weight, the same ones in a whole batch (Merity et al. 2018)."""
    zoneout: float = 0.0
    """Probability that a unit of a layer keeps its last value for a step (Krueger et al. 2017); layers then are loops
    over time, without a kernel of torch's."""
    direction: Literal["forward", "both"] = "forward"
    """forward, or both: further layers read the text backwards, with the same embedding and output layer (Peters et al.
    2018, section 3.1). Neither direction sees what the other has read."""
    tie: bool = False
    """Whether embedding and output layer share their weights, which needs an embedding as wide as a layer's states."""
    proj_size: int = 0
    """Width that an LSTM's states are projected to before they are handed on and fed back (Sak et al. 2014), less than
    hidden_size; 0: none."""

    def __post_init__(self) -> None:
        check_fields(self, "model")
        check_numbers(self, "model", hidden_size=SIZES, layers=LAYERS, embedding_size=SIZES)
        check_numbers(self, "model", dropout=DROPOUT, recurrent_dropout=DROPOUT, zoneout=DROPOUT)
        check_projection(self, "model")
        check_weights_stay(self.cell, self.proj_size, self.recurrent_dropout, self.zoneout, "model.")
        name = "proj_size" if self.proj_size else "hidden_size"
        check(
            not self.tie or self.embedding_size == self.state_size,
            f"model.tie needs a model.embedding_size of {self.state_size}, as model.{name} has it",
        )

    @property
    def state_size(self) -> int:
        """Width of a layer's h."""
        return self.proj_size or self.hidden_size


class LanguageState(NamedTuple):
    """Where reading stands, of N sequences."""

    hidden: Tensor
    """[N, L, H], or P numbers where h is projected"""
    cell: Tensor
    """[N, L, H]"""

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> LanguageState:
        """The state of these rows."""
        return LanguageState(self.hidden.index_select(0, hypotheses), self.cell.index_select(0, hypotheses))


class LanguageModel(nn.Module):
    """Embedding, recurrent layers, output layer."""

    def __init__(self, vocabulary_size: int, config: LanguageModelConfig) -> None:
        super().__init__()
        sizes = [config.embedding_size] + [config.state_size] * (config.layers - 1)

        def stack() -> nn.ModuleList:
            widths = config.hidden_size, config.recurrent_dropout, config.proj_size, config.zoneout
            return nn.ModuleList(build_recurrent(config.cell, size, *widths) for size in sizes)

        self.embedding = nn.Embedding(vocabulary_size, config.embedding_size, padding_idx=PAD_ID)
        self.layers = stack()
        self.backward_layers = stack() if config.direction == "both" else None
        self.dropout = SequenceDropout(config.dropout)
        self.output = nn.Linear(config.state_size, vocabulary_size)
        if config.tie:
            self.output.weight = self.embedding.weight

    def forward(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """tokens [B, T] int64, lengths [B] -> logits of each next token [B, T, V], mask of the real steps [B, T]."""
        return self.output(self._features(tokens, lengths, self.layers)), length_mask(lengths, tokens.shape[1])

    def loss(self, tokens: Tensor, lengths: Tensor, following: Tensor) -> LossSum:
        """Cross-entropy of the tokens that follow each of `tokens`, both [B, T] int64 of those lengths [B], PAD_ID
        after them; of both directions the mean of the two, per token."""
        forward = self._loss(tokens, lengths, following, self.layers)
        if self.backward_layers is None:
            return forward
        backward = self._loss(*backwards(tokens, lengths, following), self.backward_layers)
        return LossSum((forward.total + backward.total) / 2, forward.tokens)

    def start(self, rows: int) -> LanguageState:
        """The state before the first token."""
        layers: list[Any] = list(self.layers)
        hidden = self.output.weight.new_zeros(rows, len(layers), self.output.in_features)
        cell = hidden.new_zeros(rows, len(layers), layers[0].hidden_size)  # wider than h where that is projected
        return LanguageState(hidden, cell)

    def step(self, token: Tensor, state: LanguageState) -> tuple[Tensor, LanguageState]:
        """The StepFn of this model (see search.py), of its forward direction."""
        return self._step(token, state, self.layers)

    def step_back(self, token: Tensor, state: LanguageState) -> tuple[Tensor, LanguageState]:
        """The same of its backward direction: log-probabilities of what stands before a token."""
        assert self.backward_layers is not None
        return self._step(token, state, self.backward_layers)

    def _step(self, token: Tensor, state: LanguageState, layers: Any) -> tuple[Tensor, LanguageState]:
        below = self.embedding(token)
        hidden, cell = [], []
        for number, layer in enumerate(layers):
            below, new_cell = layer.step(below, state.hidden[:, number], state.cell[:, number])
            hidden.append(below)
            cell.append(new_cell)
        log_probs = self.output(below).float().log_softmax(-1)
        return log_probs, LanguageState(torch.stack(hidden, 1), torch.stack(cell, 1))

    def _features(self, tokens: Tensor, lengths: Tensor, layers: nn.ModuleList) -> Tensor:
        """[B, T], [B] -> the output layer's input [B, T, H]."""
        states = self.embedding(tokens)
        for layer in layers:
            states, _, _ = layer(self.dropout(states), lengths)
        return self.dropout(states)

    def _loss(self, tokens: Tensor, lengths: Tensor, following: Tensor, layers: nn.ModuleList) -> LossSum:
        features, targets = self._features(tokens, lengths, layers).flatten(0, 1), following.flatten()
        total = cross_entropy(features, self.output.weight, self.output.bias, targets, ignored=PAD_ID)
        return LossSum(total, (targets != PAD_ID).sum())


def backwards(tokens: Tensor, lengths: Tensor, following: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same pairs of neighbours, [B, T] each, as a reader from right to left meets them: what follows is given, what
    stood before it is wanted."""
    index = reversal_index(lengths, tokens.shape[1])
    return following.gather(1, index), lengths, tokens.gather(1, index)


def build_language_model(config: LanguageModelConfig, vocabulary_size: int) -> LanguageModel:
    """The model, freshly initialised from torch's global random state."""
    return initialise_model(assemble_language_model(config, vocabulary_size))


def assemble_language_model(config: LanguageModelConfig, vocabulary_size: int) -> LanguageModel:
    """The same with weights of no meaning, for those about to load trained ones."""
    return LanguageModel(vocabulary_size, config)
