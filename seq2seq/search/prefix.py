"""Outputs whose text has a given begin: a step function that forbids the tokens that would write another one.

The prefix is text, not tokens: "Ein Ma" may go on as "Ein Mann" by the piece "▁Mann", which the pieces of the prefix
alone would miss.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seq2seq.search.step import StepFn


class PieceTexts:
    """The texts that a vocabulary's pieces write."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        """pieces: UTF-8 of every id, empty for special symbols."""
        self.pieces = list(pieces)
        self.ordered = sorted((piece, token) for token, piece in enumerate(pieces) if piece)
        self.longest = max(map(len, self.pieces), default=0)
        self.allowed: dict[bytes, np.ndarray] = {}

    def writing(self, rest: bytes) -> np.ndarray:
        """[V] bool: the tokens by which a text goes on that must begin with `rest`: they write a part of it, or all
        and more."""
        if rest not in self.allowed:
            mask = np.zeros(len(self.pieces), bool)
            for size in range(1, min(len(rest), self.longest) + 1):
                mask[self._tokens(rest[:size], rest[:size] + b"\0")] = True
            mask[self._tokens(rest, rest + b"\xff")] = True  # no UTF-8 holds the byte 255
            self.allowed[rest] = mask
        return self.allowed[rest]

    def _tokens(self, first: bytes, end: bytes) -> list[int]:
        """Tokens of the pieces from `first` on, before `end`."""
        low, high = bisect_left(self.ordered, (first, -1)), bisect_left(self.ordered, (end, -1))
        return [token for _, token in self.ordered[low:high]]


class PrefixState(NamedTuple):
    """A model's state, and what each hypothesis must still write."""

    model: Any
    rest: list[bytes]
    begun: bool = False
    """Whether there is a token that has not been taken off `rest`."""

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> PrefixState:
        """As `SearchState.reorder`."""
        rest = [self.rest[row] for row in hypotheses.tolist()] if any(self.rest) else [b""] * len(hypotheses)
        return PrefixState(self.model.reorder(hypotheses, sentences), rest, self.begun)


def prefix_limits(limits: Tensor, prefixes: Sequence[bytes], further: Sequence[int] | None = None) -> Tensor:
    """The limits [B] of a search, where they leave room for the prefix, by whatever pieces, so many further tokens of
    each sentence, and its end."""
    lengths = [len(prefix) + 1 for prefix in prefixes]
    if further is not None:
        lengths = [length + more for length, more in zip(lengths, further, strict=True)]
    return torch.maximum(limits, torch.tensor(lengths, dtype=limits.dtype, device=limits.device))


def forced_prefix(step: StepFn[Any], pieces: PieceTexts) -> Callable[[Tensor, PrefixState], tuple[Tensor, PrefixState]]:
    """A StepFn that gives every token that does not go on with the prefix a probability of 0, and the others their own.

    So a search over it is the search over `step` among the outputs that begin with the prefix. Start it from
    `PrefixState(state, prefixes)`.
    """

    def forced(token: Tensor, state: PrefixState) -> tuple[Tensor, PrefixState]:
        log_probs, inner = step(token, state.model)
        rest = state.rest
        if not any(rest):
            return log_probs, PrefixState(inner, rest, True)
        if state.begun:
            rest = [each[len(pieces.pieces[last]) :] for each, last in zip(rest, token.tolist(), strict=True)]
        rows = [row for row, each in enumerate(rest) if each]
        if rows:
            wrong = torch.from_numpy(~np.stack([pieces.writing(rest[row]) for row in rows])).to(log_probs.device)
            chosen = torch.tensor(rows, device=log_probs.device)
            log_probs = log_probs.index_copy(0, chosen, log_probs[chosen].masked_fill(wrong, -math.inf))
        return log_probs, PrefixState(inner, rest, True)

    return forced
