"""Outputs drawn at random: with replacement (ancestral sampling), or without it (stochastic beam search).

Every sentence has its own source of chance, so what is drawn for it never depends on the sentences beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seq2seq.search.beam import Hypothesis, SearchConfig, rows_that_stay
from seq2seq.search.step import State, StepFn


class LimitedState(NamedTuple):
    """A model's state, and how many tokens may still come in each hypothesis."""

    model: Any
    left: Tensor
    """[N]"""

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> LimitedState:
        """As `SearchState.reorder`."""
        return LimitedState(self.model.reorder(hypotheses, sentences), self.left.index_select(0, hypotheses))


def ending_in_time(step: StepFn[Any], eos: int) -> Callable[[Tensor, LimitedState], tuple[Tensor, LimitedState]]:
    """A StepFn whose last token allowed is eos, or none, where eos is forbidden there: `tempered`, which forgets what
    was forbidden and what is only unlikely, goes around it. Start it from `LimitedState(state, limits)`."""

    def ending(token: Tensor, state: LimitedState) -> tuple[Tensor, LimitedState]:
        log_probs, inner = step(token, state.model)
        last = state.left <= 1
        if last.any():
            only_eos = torch.full_like(log_probs[0], -math.inf)
            only_eos[eos] = 0.0
            log_probs = torch.where(last[:, None], log_probs + only_eos, log_probs)
        return log_probs, LimitedState(inner, state.left - 1)

    return ending


def tempered(
    step: StepFn[Any], temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> Callable[[Tensor, Any], tuple[Tensor, Any]]:
    """A StepFn of the distribution to draw from: probabilities to the power of 1 / temperature; of these the top_k
    largest (0: all; Fan et al. 2018); of these the fewest largest that have top_p together (Holtzman et al. 2020).
    Where all tokens are forbidden, they stay so."""

    def shaped(token: Tensor, state: Any) -> tuple[Tensor, Any]:
        log_probs, state = step(token, state)
        nothing = log_probs.amax(-1, keepdim=True) == -math.inf
        log_probs = (log_probs / temperature).log_softmax(-1)
        if 0 < top_k < log_probs.shape[-1]:
            best, tokens = log_probs.topk(top_k)
            log_probs = torch.full_like(log_probs, -math.inf).scatter_(1, tokens, best.log_softmax(-1))
        if top_p < 1:
            ordered, tokens = log_probs.sort(dim=-1, descending=True, stable=True)
            probs = ordered.exp()
            outside = probs.cumsum(-1) - probs >= top_p  # of those before it
            outside[..., 0] = False  # also where top_p is so small that single precision rounds it to 0
            log_probs = torch.full_like(log_probs, -math.inf).scatter_(
                1, tokens, ordered.masked_fill(outside, -math.inf)
            )
            log_probs = log_probs.log_softmax(-1)
        return log_probs.masked_fill(nothing, -math.inf), state

    return shaped


@torch.inference_mode()
def sample(
    step: StepFn[State],
    state: State,
    limits: Tensor,
    config: SearchConfig,
    bos: int,
    eos: int,
    count: int,
    seeds: Sequence[int],
    row_step: int = 1,
) -> list[list[Hypothesis]]:
    """`count` outputs of each sentence, drawn independently of each other, in the order drawn; one that comes to where
    all tokens are forbidden is left out.

    limits [B]: most tokens, eos included; an output that gets there is ended. seeds: one for each sentence; with it the
    same outputs are drawn again, whatever the count. log_probability is of the distribution drawn from. row_step: as
    `beam_search` has it.
    """
    device = limits.device
    chance = _chance(limits.tolist(), count, seeds).to(device)
    sentences, tokens = torch.arange(len(limits), device=device), torch.full((len(limits), 1), bos, device=device)
    outputs = torch.full((len(limits), count, chance.shape[2]), eos, device=device)
    totals = torch.zeros((len(limits), count), device=device)
    ended = torch.zeros((len(limits), count), dtype=torch.bool, device=device)
    for position in range(chance.shape[2]):
        log_probs, state = step(tokens.flatten(), state)
        log_probs = log_probs.view(*tokens.shape, -1).expand(-1, count, -1)
        over = ended | (limits[sentences] <= position + 1)[:, None]
        stuck = (log_probs.amax(-1) == -math.inf) & ~ended
        drawn = _drawn(log_probs, chance[sentences, :, position]).masked_fill(over | stuck, eos)
        own = log_probs.gather(2, drawn[..., None])[..., 0]
        totals[sentences] += own.masked_fill(over, 0.0).masked_fill(stuck, -math.inf)
        outputs[sentences, :, position] = drawn
        ended = ended | (drawn == eos)
        keep = rows_that_stay(ended.all(1), row_step)
        if not len(keep):
            break
        rows = keep[:, None] * tokens.shape[1] + torch.arange(count, device=device) * (tokens.shape[1] > 1)
        state = state.reorder(rows.flatten(), keep)
        sentences, tokens, ended = sentences[keep], drawn[keep], ended[keep]
    return [
        _hypotheses(rows, of_rows, config, eos) for rows, of_rows in zip(outputs.tolist(), totals.tolist(), strict=True)
    ]


def _chance(limits: Sequence[int], count: int, seeds: Sequence[int]) -> Tensor:
    """[B, count, longest limit] numbers in [0, 1): a sentence's own, whatever the count and the other limits."""
    chance = np.zeros((len(limits), count, max(limits)))
    for row, (limit, seed) in enumerate(zip(limits, seeds, strict=True)):
        chance[row, :, :limit] = np.random.default_rng(seed).random((count, limit))
    return torch.from_numpy(chance)


def _drawn(log_probs: Tensor, chance: Tensor) -> Tensor:
    """log_probs [b, n, V], chance [b, n] in [0, 1) -> tokens [b, n], by the inverse of the distribution function."""
    sums = log_probs.double().exp().cumsum(-1)
    drawn = torch.searchsorted(sums, (chance * sums[..., -1])[..., None], right=True)[..., 0]
    return drawn.clamp(max=log_probs.shape[-1] - 1)


@torch.inference_mode()
def stochastic_beam_search(
    step: StepFn[State],
    state: State,
    limits: Tensor,
    config: SearchConfig,
    bos: int,
    eos: int,
    count: int,
    seeds: Sequence[int],
    row_step: int = 1,
) -> list[list[Hypothesis]]:
    """`count` different outputs of each sentence, drawn without replacement, in the order drawn (fewer where there are
    no more): a beam search by perturbed log-probabilities (Kool et al. 2019, algorithm 1).

    limits, seeds, row_step, log_probability: as `sample` has them; here the outputs change with the count. `step` must
    give log-probabilities that add up to 1, as `tempered` does.
    """
    beam = _PerturbedBeam(limits, bos, eos, count, seeds)
    while len(beam.sentences):
        slots = beam.tokens.shape[1]
        log_probs, state = step(beam.tokens.flatten(), state)
        origins = beam.advance(log_probs.view(*beam.tokens.shape, -1))
        keep = beam.drop_finished(row_step)
        rows = keep[:, None] * slots + origins[keep]
        state = state.reorder(rows.flatten(), keep)
    return [
        _hypotheses(*outputs, config, eos) if outputs else []
        for outputs in (beam.outputs[row] for row in range(len(limits)))
    ]


class _PerturbedBeam:
    """Slots of the sentences that are going on: b sentences by K slots."""

    def __init__(self, limits: Tensor, bos: int, eos: int, count: int, seeds: Sequence[int]) -> None:
        rows, device = len(limits), limits.device
        self.eos, self.count, self.limits = eos, count, limits
        self.chance = [np.random.default_rng(seed) for seed in seeds]
        self.sentences = torch.arange(rows, device=device)
        self.tokens = torch.full((rows, 1), bos, device=device)
        self.history = torch.empty((rows, 1, 0), dtype=torch.int64, device=device)
        self.totals = torch.zeros((rows, 1), dtype=torch.float64, device=device)
        self.perturbed = torch.zeros_like(self.totals)
        self.ended = torch.zeros((rows, 1), dtype=torch.bool, device=device)
        self.outputs: dict[int, tuple[list[list[int]], list[float]]] = {}

    def advance(self, log_probs: Tensor) -> Tensor:
        """log_probs [b, K', V]: fills K slots with the continuations whose perturbed log-probabilities are largest;
        returns the slot each came from [b, K]. An output that has ended goes on by eos, with probability 1."""
        size, length = log_probs.shape[2], self.history.shape[2] + 1
        only_eos = torch.full((size,), -math.inf, dtype=torch.float64, device=log_probs.device)
        only_eos[self.eos] = 0.0
        stuck = log_probs.amax(-1) == -math.inf
        over = self.ended | ((self.limits[self.sentences] <= length)[:, None] & ~stuck)
        totals = self.totals[..., None] + torch.where(over[..., None], only_eos, log_probs.double())
        perturbed = _conditioned(totals, totals + self._gumbels(totals), self.perturbed)
        self.perturbed, places = perturbed.flatten(1).topk(min(self.count, perturbed[0].numel()))
        origins, self.tokens = places // size, places % size
        self.totals = totals.flatten(1).gather(1, places)
        self.ended = (self.tokens == self.eos) | (self.perturbed == -math.inf)
        history = self.history.gather(1, origins[..., None].expand(-1, -1, length - 1))
        self.history = torch.cat((history, self.tokens[..., None]), 2)
        return origins

    def _gumbels(self, totals: Tensor) -> Tensor:
        drawn = [self.chance[each].random(totals.shape[1:], np.float32) for each in self.sentences.tolist()]
        uniform = torch.from_numpy(np.stack(drawn)).to(totals).clamp(min=1e-30)
        return -(-uniform.log()).log()

    def drop_finished(self, row_step: int) -> Tensor:
        """Takes down the outputs of sentences that have ended; returns the rows that stay, some of them as ballast."""
        done = self.ended.all(1)
        for row in done.nonzero()[:, 0].tolist():
            alive = self.perturbed[row] > -math.inf
            written = (self.history[row][alive].tolist(), self.totals[row][alive].tolist())
            self.outputs.setdefault(int(self.sentences[row]), written)
        keep = rows_that_stay(done, row_step)
        for name in ("sentences", "tokens", "history", "totals", "perturbed", "ended"):
            setattr(self, name, getattr(self, name)[keep])
        return keep


def _conditioned(totals: Tensor, gumbels: Tensor, largest: Tensor) -> Tensor:
    """Gumbel variables [b, K, V] at `totals`, given that the largest of each slot is `largest` [b, K] (Kool et al.
    2019, appendix B.3)."""
    maxima = gumbels.amax(-1, keepdim=True)
    gap = largest[..., None] - gumbels + torch.log1p(-(gumbels - maxima).exp())
    given = largest[..., None] - gap.clamp(min=0) - torch.log1p((-gap.abs()).exp())
    return given.masked_fill((totals == -math.inf) | given.isnan(), -math.inf)


def _hypotheses(rows: list[list[int]], totals: list[float], config: SearchConfig, eos: int) -> list[Hypothesis]:
    """rows: tokens, eos from the end of each output on; those of a total of -inf are none."""
    possible = [total > -math.inf for total in totals]
    rows, totals = list(compress(rows, possible)), list(compress(totals, possible))
    outputs = [row[: row.index(eos)] if eos in row else row for row in rows]
    lengths = torch.tensor([len(each) + 1 for each in outputs])
    scores = config.normalise(torch.tensor(totals), lengths).tolist()
    return list(map(Hypothesis, outputs, totals, scores))
