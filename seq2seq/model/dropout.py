"""Dropout for recurrent nets: of units, with one mask per sequence; of whole tokens; of recurrent weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from seq2seq.data.symbols import EOS_ID, UNK_ID

DroppedTokens = Literal["zero", "unk", "random"]


@dataclass(frozen=True)
class DropoutRates:
    """Probabilities of being dropped while training, by what is dropped."""

    embedding: float
    """Units of embeddings."""
    states: float
    """Units of recurrent layers' states, as the next layer, attention and readout read them."""
    output: float
    """Units of the attentional vector, which the output layer reads."""
    weights: float = 0.0
    """Recurrent weights."""
    source_tokens: float = 0.0
    """Whole tokens of the source."""
    target_tokens: float = 0.0
    """Whole tokens of the decoder's input."""
    dropped_tokens: DroppedTokens = "zero"
    """What a dropped token becomes, see `TokenDropout`."""
    zoneout: float = 0.0
    """That a unit of a recurrent layer keeps its last value for a step."""

    @classmethod
    def of(cls, rates: float | DropoutRates) -> DropoutRates:
        """One probability for units of all three kinds; rates as they are."""
        return rates if isinstance(rates, DropoutRates) else cls(rates, rates, rates)


class SequenceDropout(nn.Module):
    """Dropout with one mask per sequence, shared by its time steps (variational dropout, Gal & Ghahramani 2016).

    It regularises recurrent nets better than a mask per step and draws T times fewer random numbers.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, T, H] -> [B, T, H]."""
        if not self.training or self.probability == 0.0:
            return inputs
        return inputs * self.mask(inputs)

    def mask(self, like: Tensor) -> Tensor:
        """A fresh scaled mask [B, 1, H] for sequences of like's batch size and width; ones when not training."""
        ones = torch.ones(like.shape[0], 1, like.shape[-1], dtype=like.dtype, device=like.device)
        return nn.functional.dropout(ones, self.probability, self.training)


class TokenDropout(nn.Module):
    """An embedding's lookup that loses whole tokens while training, each occurrence with the same probability. The
    symbols for padding, unknown, begin and end of a sentence stay.

    zero: a dropped token's embedding is 0, and the others are scaled up (the embeddings' dropout of Gal & Ghahramani
    2016, section 4.2, but for each occurrence rather than for all those of a word at once).
    unk: it is read as the unknown token, so that this one is learned too (Iyyer et al. 2015, section 3.2, leave words
    out; a masked token keeps the order and number of the others). random: another token is read, each one with the same
    probability (Wang et al. 2018, SwitchOut, with a fixed rate).
    """

    def __init__(self, probability: float = 0.0, dropped: DroppedTokens = "zero") -> None:
        super().__init__()
        self.probability = probability
        self.dropped: DroppedTokens = dropped

    def forward(self, tokens: Tensor, embedding: nn.Embedding) -> Tensor:
        """tokens [B, T] int64 -> [B, T, E]."""
        if not self.training or self.probability == 0.0:
            return embedding(tokens)
        lost = (torch.rand(tokens.shape, device=tokens.device) < self.probability) & (tokens > EOS_ID)
        if self.dropped == "unk":
            return embedding(tokens.masked_fill(lost, UNK_ID))
        if self.dropped == "random":
            others = torch.randint_like(tokens, EOS_ID + 1, embedding.num_embeddings)
            return embedding(torch.where(lost, others, tokens))
        kept = embedding(tokens).masked_fill(lost[..., None], 0.0)
        return torch.where((tokens > EOS_ID)[..., None], kept / (1 - self.probability), kept)
