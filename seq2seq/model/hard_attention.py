"""Decoders that look at one step of the source for each token, of which the likelihood sums over all: hard attention
without sampling (Wu et al. 2018), and the same going forwards only (Wu & Cotterell 2019)."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from seq2seq.data.symbols import PAD_ID
from seq2seq.model.attention import Attention, MemoryKeys, ScoredAttention
from seq2seq.model.decoder import DecoderConfig, RecurrentDecoder
from seq2seq.model.decoder_state import DecoderState, Dropouts, Output
from seq2seq.model.dropout import DropoutRates
from seq2seq.model.losses import LossSum
from seq2seq.model.memory import Memory
from seq2seq.runtime.device import at_least_fp32

AlignmentKind = Literal["soft", "hard", "monotonic"]

IMPOSSIBLE = -1e9
"""Log-probability of a step that is padding, or lies behind: finite, so that a row of none but such is defined."""


class StepScores(Attention):
    """Scores of all steps of the source in place of attention weights; contexts have no width."""

    context_size = 0

    def __init__(self, scored: ScoredAttention) -> None:
        super().__init__()
        self.scored = scored

    def start(self, memory: Memory) -> MemoryKeys:
        """Keys of every sentence."""
        return self.scored.start(memory)

    def forward(self, query: Tensor, state: MemoryKeys) -> tuple[Tensor, Tensor, MemoryKeys]:
        """query [N, H] -> nothing [N, 0], scores [N, S], fp32 at least, the same state."""
        nothing, scores = self.unroll(query.view(len(state.keys), -1, query.shape[-1]), state)
        return nothing.flatten(0, 1), scores.flatten(0, 1), state

    def unroll(self, queries: Tensor, state: MemoryKeys) -> tuple[Tensor, Tensor]:
        """queries [B, T, H] -> nothing [B, T, 0], scores [B, T, S], fp32 at least."""
        return queries[..., :0], at_least_fp32(self.scored.scores(queries, state.keys))


class Alignments(NamedTuple):
    """What search knows of the alignments of each hypothesis. The first three belong to the sentences."""

    keys: MemoryKeys
    """The state of `StepScores`; values are the memory's states."""
    values: Tensor
    """[B, S, E] their part of the attentional vector."""
    moves: Tensor
    """[B, S', S] scores of going from one step to the next; [B, 1, 1] zero where they do not depend on it."""
    prior: Tensor
    """[N, S] log-probability of having been at each step, given the tokens before the last one."""
    read: Tensor
    """[N, S, E] what the output layer read at each step to write the last token."""
    normaliser: Tensor
    """[N, S] the logarithm of the sum of the output layer's exponentials then."""

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> Alignments:
        """As `DecoderState.reorder`."""
        keys, values, moves = self[:3]
        if sentences is not None:
            values, moves = (each.index_select(0, sentences) for each in (values, moves))
        changing = (each.index_select(0, hypotheses) for each in self[3:])
        return Alignments(keys.reorder(hypotheses, sentences), values, moves, *changing)


class HardAttentionDecoder(RecurrentDecoder):
    """p(y | x) = sum over alignments a of prod over t of p(a_t | a_t-1, y_<t, x) p(y_t | a_t, y_<t, x).

    p(y_t | a_t) is the softmax of the output layer of tanh(W [h_t; memory at a_t]). p(a_t) is the softmax over the
    source of the attention's score of h_t and the step; monotonic: with a part of its own for where a_t-1 was (a first
    order hidden Markov model), over the steps from there on. The first token may be written from anywhere. What is
    written does not depend on where earlier tokens were written from, so the forward algorithm sums over all
    alignments, in O(T S^2) for a sentence; its matrices have T x S x vocabulary numbers, meant for words.

    `Output.features` are the log-probabilities [B, T, V], `Output.attention` the probabilities of the steps given the
    tokens before.
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        memory_size: int,
        config: DecoderConfig,
        dropout: float | DropoutRates,
        tied: bool,
        alignment: AlignmentKind,
    ) -> None:
        super().__init__(embedding, memory_size, config, dropout, tied)
        scored = self.attention
        assert isinstance(scored, ScoredAttention) and config.coupling == "none"
        self.query_size = config.hidden_size
        self.attention = StepScores(scored)
        key_size = memory_size if config.attention == "dot" else config.hidden_size
        self.move = nn.Linear(memory_size, key_size, bias=False) if alignment == "monotonic" else None

    def start(self, memory: Memory, source: Tensor | None = None) -> DecoderState:
        """As RecurrentDecoder's; as though the begin of the sentence had been written from the first step."""
        state = super().start(memory, source)
        keys: MemoryKeys = state.attention
        rows, steps = memory.mask.shape
        by_memory = self.readout.weight[:, self.query_size : self.query_size + memory.states.shape[2]]
        values = functional.linear(memory.states, by_memory)
        moves = values.new_zeros(rows, 1, 1)
        if self.move is not None:
            moves = self.move(memory.states) @ keys.keys.transpose(1, 2)
        prior = at_least_fp32(values.new_zeros(())).new_full((rows, steps), IMPOSSIBLE)
        prior[:, 0] = 0.0
        read, normaliser = torch.zeros_like(values), torch.zeros_like(prior)
        return state._replace(attention=Alignments(keys, values, at_least_fp32(moves), prior, read, normaliser))

    def step(self, token: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """As RecurrentDecoder's."""
        past: Alignments = state.attention
        weight, bias = self.output_weights()
        written = at_least_fp32((past.read * weight[token][:, None]).sum(-1) + bias[token][:, None]) - past.normaliser
        query, scores, after = self.advance(token, state._replace(attention=past.keys))
        values, moves, mask = (
            each.repeat_interleave(len(token) // len(each), 0) for each in (past.values, past.moves, past.keys.mask)
        )
        transitions = self._transitions(scores[:, None], moves, mask)[:, 0]
        prior = _forward(past.prior, written, transitions)
        read = torch.tanh(query[:, None] + values)
        logits = at_least_fp32(self.logits(read))
        normaliser = logits.logsumexp(-1)
        log_probs = (logits + (prior - normaliser)[..., None]).logsumexp(1)
        alignments = past._replace(prior=prior, read=read, normaliser=normaliser)
        return log_probs, after._replace(feed=state.feed, attention=alignments)

    def unroll(self, tokens: Tensor, memory: Memory, source: Tensor | None = None) -> Output:
        """As RecurrentDecoder's."""
        written, transitions = self._unrolled(tokens, memory)
        begun = written.new_full(transitions[:, 0, 0].shape, IMPOSSIBLE)
        begun[:, 0] = 0.0
        prior, priors = _forward(begun, torch.zeros_like(begun), transitions[:, 0]), []
        chosen = written[:, :-1].gather(3, tokens[:, 1:, None, None].expand(-1, -1, written.shape[2], 1))[..., 0]
        for step in range(tokens.shape[1]):
            priors.append(prior)
            if step + 1 < tokens.shape[1]:
                prior = _forward(prior, chosen[:, step], transitions[:, step + 1])
        by_step = torch.stack(priors, 1)
        return Output((by_step[..., None] + written).logsumexp(2), by_step.exp(), memory, source)

    def log_probs(self, output: Output) -> Tensor:
        """As RecurrentDecoder's."""
        return output.features

    def loss(self, output: Output, targets: Tensor, label_smoothing: float = 0.0) -> LossSum:
        """As RecurrentDecoder's: summed over the tokens of a target, the logarithm of its marginal likelihood."""
        losses = -(1 - label_smoothing) * output.features.gather(2, targets[..., None])[..., 0]
        if label_smoothing:
            losses = losses - label_smoothing * output.features.mean(2)
        real = targets != PAD_ID
        return LossSum((losses * real).sum(), real.sum())

    def best_alignment(self, tokens: Tensor, targets: Tensor, memory: Memory) -> Tensor:
        """The most probable alignment (Viterbi): tokens [B, T], bos first, targets [B, T], eos last -> [B, T, S], 1
        where a token is written from, else 0."""
        written, transitions = self._unrolled(tokens, memory)
        steps = written.shape[2]
        chosen = written.gather(3, targets[:, :, None, None].expand(-1, -1, steps, 1))[..., 0]
        chosen = chosen * (targets != PAD_ID)[..., None]  # behind the end, the best way there stays the best
        best = transitions[:, 0, 0] + chosen[:, 0]
        pointers = []
        for step in range(1, tokens.shape[1]):
            reached, pointer = (best[:, :, None] + transitions[:, step]).max(1)
            real = (targets[:, step] != PAD_ID)[:, None]
            best = torch.where(real, reached + chosen[:, step], best)
            pointers.append(torch.where(real, pointer, torch.arange(steps, device=pointer.device)))
        path = [best.argmax(1)]
        for pointer in reversed(pointers):
            path.append(pointer.gather(1, path[-1][:, None])[:, 0])
        return functional.one_hot(torch.stack(path[::-1], 1), steps).to(written.dtype)

    def _unrolled(self, tokens: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """tokens [B, T] -> log-probabilities of what is written from each step [B, T, S, V], and of going from step S'
        to step S [B, T, S', S] before."""
        state = self.start(memory)
        alignments: Alignments = state.attention
        query, scores = self.unroll_from(state._replace(attention=alignments.keys), tokens)
        read = torch.tanh(query[:, :, None] + alignments.values[:, None])
        read = self.output_dropout(read.flatten(1, 2)).unflatten(1, read.shape[1:3])
        written = at_least_fp32(self.logits(read)).log_softmax(-1)
        transitions = self._transitions(scores, alignments.moves, memory.mask)
        return written, transitions.expand(-1, -1, transitions.shape[3], -1)

    def _transitions(self, scores: Tensor, moves: Tensor, mask: Tensor) -> Tensor:
        """scores [B, T, S], moves [B, S', S], mask [B, S] -> log-probabilities [B, T, S', S]; S' is 1 where they do not
        depend on it."""
        allowed = mask[:, None]
        if self.move is not None:
            allowed = allowed & torch.ones_like(moves, dtype=torch.bool).triu()
        moving = (scores[:, :, None] + moves[:, None]).masked_fill(~allowed[:, None], IMPOSSIBLE)
        return moving.log_softmax(-1)

    def _read_out(self, hidden: Tensor, _context: Tensor, embedded: Tensor) -> Tensor:
        """[..., H], [..., E] -> the part of the attentional vector that is the same wherever one looks [..., E]."""
        weight, width = self.readout.weight, embedded.shape[-1]
        common = functional.linear(hidden, weight[:, : self.query_size], self.readout.bias)
        return common + functional.linear(embedded, weight[:, -width:]) if self.deep_output else common

    def _dropouts(self, rows: int) -> Dropouts:
        """Of the attentional vector units are dropped once it is complete."""
        return super()._dropouts(rows)._replace(readout=self.readout.weight.new_ones(()))


def _forward(prior: Tensor, written: Tensor, transitions: Tensor) -> Tensor:
    """One step of the forward algorithm: prior [B, S'] log-probabilities of having been at each step, given the tokens
    before the last one; written [B, S'] of the last one, from there; transitions [B, S', S] -> the next prior [B,
    S]."""
    posterior = (prior + written).log_softmax(-1)
    return (posterior[:, :, None] + transitions).logsumexp(1)
