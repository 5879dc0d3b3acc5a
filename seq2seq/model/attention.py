"""Attention of queries over an encoder's states: dot, general (Luong et al. 2015) and additive (Bahdanau et al. 2015).

A scorer projects the memory once per sentence (`keys`) and scores any number of queries against it, so one code path
serves training (Q = T target steps), greedy search (Q = 1) and beam search (Q = beam). Nothing is cached on a module.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from seq2seq.errors import check
from seq2seq.model.loop_autograd import loop_over_rows
from seq2seq.runtime.device import at_least_fp32

AttentionKind = Literal["dot", "general", "additive"]


class DotAttention(nn.Module):
    """score(q, k) = q . k (Luong et al. 2015, eq. 8, "dot"); query and memory need the same width.

    Whoever overrides `scores` overrides `loop_scores` too: input feeding trains by it.
    """

    def keys(self, states: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H]."""
        return states

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """queries [B, Q, H], keys [B, S, H] -> [B, Q, S]."""
        return queries @ keys.transpose(1, 2)

    def loop_scores(self, keys: Tensor, steps: int) -> Callable[[Tensor], Tensor]:
        """`scores` for a training loop over so many steps with one query each, [B, 1, H]."""
        return loop_over_rows(keys.transpose(1, 2), steps)


class GeneralAttention(DotAttention):
    """score(q, k) = q . W k (Luong et al. 2015, eq. 8, "general"); W is applied to the memory, once per sentence."""

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.project = nn.Linear(memory_size, query_size, bias=False)

    def keys(self, states: Tensor) -> Tensor:
        """[B, S, H_memory] -> [B, S, H_query]."""
        return self.project(states)


class AdditiveAttention(nn.Module):
    """score(q, k) = v . tanh(W q + U k) (Bahdanau et al. 2015, appendix A.1.2)."""

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.project = nn.Linear(memory_size, query_size, bias=False)
        self.project_query = nn.Linear(query_size, query_size)
        self.energy = nn.Parameter(torch.empty(query_size).uniform_(-1, 1) / math.sqrt(query_size))

    def keys(self, states: Tensor) -> Tensor:
        """[B, S, H_memory] -> [B, S, H_query]."""
        return self.project(states)

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """queries [B, Q, H], keys [B, S, H] -> [B, Q, S]; holds a [B, Q, S, H] tensor on the way."""
        return torch.tanh(self.project_query(queries)[:, :, None] + keys[:, None]) @ self.energy

    def loop_scores(self, keys: Tensor, steps: int) -> Callable[[Tensor], Tensor]:
        """`scores` for a training loop over so many steps with one query each, [B, 1, H]."""
        return functools.partial(self.scores, keys=keys)


Attention = DotAttention | AdditiveAttention


def check_sizes(kind: AttentionKind, query_size: int, memory_size: int) -> None:
    """Raises UserError where that scorer cannot compare queries and memory of these widths."""
    check(
        kind != "dot" or query_size == memory_size,
        f"decoder.attention dot needs decoder.hidden_size ({query_size}) equal to the encoder's output width "
        f"({memory_size}); choose general or additive for unequal ones",
    )


def build_attention(kind: AttentionKind, query_size: int, memory_size: int) -> Attention:
    """The scorer of that name. Raises UserError where the sizes do not fit it."""
    check_sizes(kind, query_size, memory_size)
    match kind:
        case "dot":
            return DotAttention()
        case "general":
            return GeneralAttention(query_size, memory_size)
        case "additive":
            return AdditiveAttention(query_size, memory_size)


def attend(scores: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax over the real source steps and the weighted mean of the values.

    scores [B, Q, S], values [B, S, H], mask [B, S] bool -> context [B, Q, H], weights [B, Q, S] (0 on padding).
    """
    weights = attention_weights(scores, mask, values.dtype)
    return weights @ values, weights


def attention_weights(scores: Tensor, mask: Tensor, dtype: torch.dtype) -> Tensor:
    """scores [B, Q, S], mask [B, S] bool -> softmax over the real source steps [B, Q, S], 0 on padding.

    It runs in fp32 at least: bf16 has 8 bits of mantissa and long sources lose weights.
    """
    return at_least_fp32(scores).masked_fill(~mask[:, None, :], -math.inf).softmax(-1).to(dtype)
