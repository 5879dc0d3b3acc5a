"""Attention of queries over an encoder's states: dot, general (Luong et al. 2015), additive (Bahdanau et al. 2015), or
none at all (Sutskever et al. 2014).

An attention is one object with a state. `start` makes the state of a memory, once per sentence; a call takes one query
per hypothesis and gives the context, the weights and the next state; `unroll` takes all queries of a training sequence
at once, where nothing is fed back; `loop` serves training with input feeding, one query after the other. One class thus
serves training (Q = T target steps), greedy search (Q = 1) and beam search (Q = beam). Nothing is cached on a module.

A new attention is a subclass of `Attention`, or of `ScoredAttention` where only the score differs, and a line in
`build_attention`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from seq2seq.errors import check
from seq2seq.model.loop_autograd import loop_over_rows
from seq2seq.model.memory import Memory
from seq2seq.model.normalizers import Normalizer, check_normalizers, probabilities
from seq2seq.runtime.device import at_least_fp32

AttentionKind = Literal["dot", "general", "additive", "none"]
AttendLoop = Callable[[Tensor], tuple[Tensor, Tensor]]
"""query [B, H] of the next step -> its context [B, C] and weights [B, S]."""


class Attention(nn.Module):
    """The interface, and what follows from `start` and `forward` alone. A subclass sets context_size.

    A state has `reorder(hypotheses, sentences)`, as `DecoderState` has.
    """

    context_size: int
    """C, the width of a context vector."""

    def start(self, memory: Memory) -> Any:
        """The state before the first query, of one hypothesis per sentence."""
        raise NotImplementedError

    def forward(self, query: Tensor, state: Any) -> tuple[Tensor, Tensor, Any]:
        """query [N, H] -> context [N, C], weights [N, S] (0 on padding), the next state."""
        raise NotImplementedError

    def unroll(self, queries: Tensor, state: Any) -> tuple[Tensor, Tensor]:
        """queries [B, T, H] -> contexts [B, T, C], weights [B, T, S]: here step by step, since a state may change."""
        attend_next = self.loop(state, queries.shape[1])
        contexts, weights = zip(*(attend_next(query) for query in queries.unbind(1)), strict=True)
        return torch.stack(contexts, 1), torch.stack(weights, 1)

    def loop(self, state: Any, steps: int) -> AttendLoop:
        """One call for each of so many training steps, in order; here the plain one."""

        def attend_next(query: Tensor) -> tuple[Tensor, Tensor]:
            nonlocal state
            context, weights, state = self(query, state)
            return context, weights

        return attend_next


class MemoryKeys(NamedTuple):
    """The state of an attention without feedback: a row per sentence, which its hypotheses share."""

    keys: Tensor
    """[B, S, K] projected memory."""
    values: Tensor
    """[B, S, H] the memory's states."""
    mask: Tensor
    """[B, S] bool, True = real."""

    def reorder(self, _hypotheses: Tensor, sentences: Tensor | None = None) -> MemoryKeys:
        """The state of these sentences, None where every sentence stays; it never depends on the hypotheses."""
        return self if sentences is None else MemoryKeys(*(field.index_select(0, sentences) for field in self))


class ScoredAttention(Attention):
    """Softmax (or a sparse map, see normalizers.py) over a score of query and key, and the mean of the values by it. A
    subclass defines `keys` and `scores`.

    Prepared search takes `projected` and `read` in place of `unroll`: a context's product with a matrix is the same
    mean of the values' products with it. Where a subclass overrides `unroll` without `read`, search is plain.

    A subclass that overrides `scores` must override `loop_scores` too where that is not made of `scores`: training with
    input feeding calls only the latter.
    """

    normalizer: Normalizer = "softmax"
    """How scores become weights."""

    def keys(self, states: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, K], what queries are compared with; computed once per sentence."""
        raise NotImplementedError

    def values(self, states: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H'], what contexts are means of; computed once per sentence."""
        return states

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """queries [B, Q, H], keys [B, S, K] -> [B, Q, S]."""
        raise NotImplementedError

    def loop_scores(self, keys: Tensor, steps: int) -> Callable[[Tensor], Tensor]:
        """`scores` for a training loop over so many steps with one query each, [B, 1, H] -> [B, 1, S]."""
        return functools.partial(self.scores, keys=keys)

    def start(self, memory: Memory) -> MemoryKeys:
        """Keys of every sentence."""
        return MemoryKeys(self.keys(memory.states), self.values(memory.states), memory.mask)

    def forward(self, query: Tensor, state: MemoryKeys) -> tuple[Tensor, Tensor, MemoryKeys]:
        """query [N, H], those of one sentence next to each other -> context [N, H'], weights [N, S], the same state."""
        context, weights = self.unroll(query.view(state.keys.shape[0], -1, query.shape[-1]), state)
        return context.flatten(0, 1), weights.flatten(0, 1), state

    def unroll(self, queries: Tensor, state: MemoryKeys) -> tuple[Tensor, Tensor]:
        """queries [B, Q, H] -> contexts [B, Q, H'], weights [B, Q, S]."""
        return attend(self.scores(queries, state.keys), state.values, state.mask, self.normalizer)

    def projected(self, values: Tensor, readers: Tensor) -> Tensor:
        """values [B, S, H'], a matrix that reads contexts [H', P] -> what `read` takes."""
        return values @ readers

    def read(self, queries: Tensor, keys: Tensor, projected: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """queries [B, Q, H], keys and mask of a state -> contexts' products [B, Q, P], weights [B, Q, S]."""
        return attend(self.scores(queries, keys), projected, mask, self.normalizer)

    def loop(self, state: MemoryKeys, steps: int) -> AttendLoop:
        """Products with keys and values whose gradient is one product over all steps (see loop_autograd)."""
        scores = self.loop_scores(state.keys, steps)
        contexts = loop_over_rows(state.values, steps)

        def attend_next(query: Tensor) -> tuple[Tensor, Tensor]:
            weights = attention_weights(scores(query[:, None]), state.mask, state.values.dtype, self.normalizer)
            return contexts(weights)[:, 0], weights[:, 0]

        return attend_next


class DotAttention(ScoredAttention):
    """score(q, k) = q . k (Luong et al. 2015, eq. 8, "dot"); query and memory need the same width."""

    def __init__(self, memory_size: int) -> None:
        super().__init__()
        self.context_size = memory_size

    def keys(self, states: Tensor) -> Tensor:
        """[B, S, H] -> [B, S, H], the states themselves."""
        return states

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """queries [B, Q, H], keys [B, S, H] -> [B, Q, S]."""
        return queries @ keys.transpose(1, 2)

    def loop_scores(self, keys: Tensor, steps: int) -> Callable[[Tensor], Tensor]:
        """`scores` for a training loop over so many steps with one query each, [B, 1, H] -> [B, 1, S]."""
        return loop_over_rows(keys.transpose(1, 2), steps)


class GeneralAttention(DotAttention):
    """score(q, k) = q . W k (Luong et al. 2015, eq. 8, "general"); W is applied to the memory, once per sentence."""

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__(memory_size)
        self.project = nn.Linear(memory_size, query_size, bias=False)

    def keys(self, states: Tensor) -> Tensor:
        """[B, S, H_memory] -> [B, S, H_query]."""
        return self.project(states)


class AdditiveAttention(ScoredAttention):
    """score(q, k) = v . tanh(W q + U k) (Bahdanau et al. 2015, appendix A.1.2)."""

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.context_size = memory_size
        self.project = nn.Linear(memory_size, query_size, bias=False)
        self.project_query = nn.Linear(query_size, query_size)
        self.energy = nn.Parameter(torch.empty(query_size).uniform_(-1, 1) / math.sqrt(query_size))

    def keys(self, states: Tensor) -> Tensor:
        """[B, S, H_memory] -> [B, S, H_query]."""
        return self.project(states)

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """queries [B, Q, H], keys [B, S, H] -> [B, Q, S]; holds a [B, Q, S, H] tensor on the way."""
        return torch.tanh(self.project_query(queries)[:, :, None] + keys[:, None]) @ self.energy


class MultiHeadAttention(ScoredAttention):
    """Several attentions side by side (Vaswani et al. 2017, section 3.2.2; over an encoder of LSTMs: Chen et al. 2018),
    each over its part of the projected values. The weights that are shown are the heads' mean.

    score(q, k) = W_q q . W_k k / sqrt(d) with d numbers per head.
    """

    def __init__(self, query_size: int, memory_size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.context_size = memory_size
        self.project = nn.Linear(memory_size, query_size, bias=False)
        self.project_query = nn.Linear(query_size, query_size)
        self.project_values = nn.Linear(memory_size, memory_size, bias=False)

    def keys(self, states: Tensor) -> Tensor:
        """[B, S, H_memory] -> [B, S, H_query]."""
        return self.project(states)

    def values(self, states: Tensor) -> Tensor:
        """[B, S, H_memory] -> [B, S, H_memory]."""
        return self.project_values(states)

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """queries [B, Q, H], keys [B, S, H] -> [B, heads, Q, S]."""
        asked, known = self._by_head(self.project_query(queries)), self._by_head(keys)
        return asked @ known.transpose(2, 3) / math.sqrt(asked.shape[-1])

    def unroll(self, queries: Tensor, state: MemoryKeys) -> tuple[Tensor, Tensor]:
        """queries [B, Q, H] -> contexts [B, Q, H'], weights [B, Q, S]."""
        scores = self.scores(queries, state.keys)
        weights = attention_weights(scores, state.mask[:, None], state.values.dtype, self.normalizer)
        return (weights @ self._by_head(state.values)).transpose(1, 2).flatten(2), weights.mean(1)

    def projected(self, values: Tensor, readers: Tensor) -> Tensor:
        """values [B, S, H'], a matrix that reads contexts [H', P] -> each head's part of their product, [B, heads S,
        P]."""
        return (self._by_head(values) @ readers.unflatten(0, (self.heads, -1))).flatten(1, 2)

    def read(self, queries: Tensor, keys: Tensor, projected: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """queries [B, Q, H], keys and mask of a state -> contexts' products [B, Q, P], weights [B, Q, S]."""
        weights = attention_weights(self.scores(queries, keys), mask[:, None], projected.dtype, self.normalizer)
        return weights.transpose(1, 2).flatten(2) @ projected, weights.mean(1)

    def loop(self, state: MemoryKeys, steps: int) -> AttendLoop:
        """Query by query."""
        return Attention.loop(self, state, steps)

    def _by_head(self, vectors: Tensor) -> Tensor:
        """[B, X, heads d] -> [B, heads, X, d]."""
        return vectors.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class MultiHeadAdditiveAttention(MultiHeadAttention):
    """The same with score(q, k) = v . tanh(W q + U k) over each head's units (Bahdanau et al. 2015)."""

    def __init__(self, query_size: int, memory_size: int, heads: int) -> None:
        super().__init__(query_size, memory_size, heads)
        self.energy = nn.Parameter(torch.empty(query_size).uniform_(-1, 1) / math.sqrt(query_size // heads))

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """queries [B, Q, H], keys [B, S, H] -> [B, heads, Q, S]; holds a [B, Q, S, H] tensor on the way."""
        units = torch.tanh(self.project_query(queries)[:, :, None] + keys[:, None]) * self.energy
        return units.unflatten(-1, (self.heads, -1)).sum(-1).permute(0, 3, 1, 2)


class NoState(NamedTuple):
    """The state of an attention that reads nothing."""

    def reorder(self, _hypotheses: Tensor, _sentences: Tensor | None = None) -> NoState:
        """The same: it holds nothing."""
        return self


class NoAttention(Attention):
    """No attention: the decoder knows the source by its first state alone (Sutskever et al. 2014). Its context has no
    width, and its weights have no steps."""

    context_size = 0

    def start(self, _memory: Memory) -> NoState:
        """Nothing to keep."""
        return NoState()

    def forward(self, query: Tensor, state: NoState) -> tuple[Tensor, Tensor, NoState]:
        """query [N, H] -> context [N, 0], weights [N, 0], the same state."""
        nothing = query.new_empty(query.shape[0], 0)
        return nothing, nothing, state

    def unroll(self, queries: Tensor, _state: NoState) -> tuple[Tensor, Tensor]:
        """queries [B, T, H] -> contexts [B, T, 0], weights [B, T, 0]."""
        nothing = queries.new_empty(*queries.shape[:2], 0)
        return nothing, nothing


def check_sizes(kind: AttentionKind, query_size: int, memory_size: int, heads: int = 1) -> None:
    """Raises UserError where that attention cannot compare queries and memory of these widths."""
    if heads > 1:
        check(
            kind in ("general", "additive"),
            f"decoder.heads {heads} is for decoder.attention general or additive, not {kind}",
        )
        check(
            query_size % heads == 0 and memory_size % heads == 0,
            f"decoder.heads ({heads}) must divide decoder.hidden_size ({query_size}) and the encoder's output width "
            f"({memory_size})",
        )
    check(
        kind != "dot" or query_size == memory_size,
        f"decoder.attention dot needs decoder.hidden_size ({query_size}) equal to the encoder's output width "
        f"({memory_size}); choose general or additive for unequal ones",
    )


def build_attention(
    kind: AttentionKind, query_size: int, memory_size: int, heads: int = 1, normalizer: Normalizer = "softmax"
) -> Attention:
    """The attention of that name. Raises UserError where the sizes do not fit it, or a package is missing."""
    check_sizes(kind, query_size, memory_size, heads)
    check_normalizers(normalizer)
    attention = _attention(kind, query_size, memory_size, heads)
    if isinstance(attention, ScoredAttention):
        attention.normalizer = normalizer
    return attention


def _attention(kind: AttentionKind, query_size: int, memory_size: int, heads: int) -> Attention:
    if heads > 1:
        several = MultiHeadAdditiveAttention if kind == "additive" else MultiHeadAttention
        return several(query_size, memory_size, heads)
    match kind:
        case "dot":
            return DotAttention(memory_size)
        case "general":
            return GeneralAttention(query_size, memory_size)
        case "additive":
            return AdditiveAttention(query_size, memory_size)
        case "none":
            return NoAttention()


def attend(scores: Tensor, values: Tensor, mask: Tensor, normalizer: Normalizer = "softmax") -> tuple[Tensor, Tensor]:
    """Softmax, or another map, over the real source steps and the weighted mean of the values.

    scores [B, Q, S], values [B, S, H], mask [B, S] bool -> context [B, Q, H], weights [B, Q, S] (0 on padding).
    """
    weights = attention_weights(scores, mask, values.dtype, normalizer)
    return weights @ values, weights


def attention_weights(scores: Tensor, mask: Tensor, dtype: torch.dtype, normalizer: Normalizer = "softmax") -> Tensor:
    """scores [B, Q, S], mask [B, S] bool -> softmax, or another map, over the real source steps [B, Q, S], 0 on
    padding.

    It runs in fp32 at least: bf16 has 8 bits of mantissa and long sources lose weights.
    """
    real = at_least_fp32(scores).masked_fill(~mask[:, None, :], -math.inf)
    return probabilities(real, normalizer).to(dtype)
