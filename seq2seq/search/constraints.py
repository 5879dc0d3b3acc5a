"""Phrases that every output must hold: dynamic beam allocation (Post & Vilar 2018), all sentences at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq.runtime.kernels import best_continuations
from seq2seq.search.beam import Beam, Hypothesis, SearchConfig, searched
from seq2seq.search.step import State, StepFn

NONE = -1
"""Stands in a phrase's row behind its last token."""


@torch.inference_mode()
def constrained_beam_search(
    step: StepFn[State],
    state: State,
    limits: Tensor,
    config: SearchConfig,
    bos: int,
    eos: int,
    n_best: int,
    phrases: Sequence[Sequence[Sequence[int]]],
    row_step: int = 1,
    falling: bool = True,
) -> list[list[Hypothesis]]:
    """Beam search among the outputs that hold all of their sentence's phrases, each a list of tokens; they may overlap.

    The slots are shared out between hypotheses by how many tokens of phrases they have written, so that those that have
    begun a phrase are not pushed out by those that have not. A sentence without phrases is searched as by
    `beam_search`. Limits leave room for the phrases.
    """
    longest = [sum(map(len, each)) + 1 for each in phrases]
    limits = torch.maximum(limits, torch.tensor(longest, dtype=limits.dtype, device=limits.device))
    return searched(_ConstrainedBeam(limits, config, bos, n_best, row_step, phrases, falling), step, state, eos)


class _Candidates(NamedTuple):
    """Continuations that may fill the slots, M for each sentence."""

    totals: Tensor
    """[b, M] log-probabilities, -inf where one is none."""
    places: Tensor
    """[b, M] in K' * V."""
    met: Tensor
    """[b, M, C] bool"""
    written: Tensor
    """[b, M] tokens of phrases: of those that are met, and of the unmet one that is furthest."""


class _ConstrainedBeam(Beam):
    """`met` [b, K, C] bool says which phrases a hypothesis holds. C phrases of P tokens at most."""

    by_sentence = (*Beam.by_sentence, "phrases", "lengths", "met")

    def __init__(
        self,
        limits: Tensor,
        config: SearchConfig,
        bos: int,
        n_best: int,
        row_step: int,
        phrases: Sequence[Sequence[Sequence[int]]],
        falling: bool,
    ) -> None:
        super().__init__(limits, config, bos, n_best, row_step, falling)
        most, longest = max(map(len, phrases)), max((len(each) for row in phrases for each in row), default=0)
        rows = [[[*each, *[NONE] * (longest - len(each))] for each in row] for row in phrases]
        rows = [[*row, *[[NONE] * longest] * (most - len(row))] for row in rows]
        self.phrases = torch.tensor(rows, dtype=torch.int64, device=limits.device).view(len(limits), most, longest)
        self.lengths = (self.phrases != NONE).sum(2)  # [b, C]; 0 of rows that fill up
        self.met = (self.lengths == 0)[:, None]

    def select(self, log_probs: Tensor, eos: int) -> tuple[Tensor, Tensor]:
        """As `Beam` has it, by shares."""
        complete = self.met.all(2)
        log_probs = log_probs.clone()
        log_probs[..., eos] = log_probs[..., eos].masked_fill(~complete, -math.inf)
        found = self._candidates(log_probs)
        width = self.config.beam_size
        chosen = self._shares(found)[:, :width]
        totals, places = found.totals.gather(1, chosen), found.places.gather(1, chosen)
        self.met = found.met.gather(1, chosen[..., None].expand(-1, -1, found.met.shape[2]))
        taken = torch.arange(totals.shape[1], device=totals.device) >= width - self.ended[:, None]
        return totals.masked_fill(taken, -math.inf), places

    def _candidates(self, log_probs: Tensor) -> _Candidates:
        """The best continuations of all slots, each slot's best, and those that go on with a phrase."""
        size = log_probs.shape[2]
        ends = self._ends()
        wanted = self._next_tokens(ends)
        tokens = torch.cat((wanted, log_probs.argmax(2, keepdim=True)), 2)
        offsets = size * torch.arange(log_probs.shape[1], device=tokens.device)[:, None]
        totals = self.totals[..., None] + log_probs.gather(2, tokens.clamp(min=0)).masked_fill(
            tokens == NONE, -math.inf
        )
        best, places = best_continuations(log_probs, self.totals, self.config.beam_size)
        places = torch.cat((places, (tokens.clamp(min=0) + offsets).flatten(1)), 1)
        totals = torch.cat((best, totals.flatten(1)), 1)
        same = (places[:, :, None] == places[:, None]) & totals.isfinite()[:, None]
        totals = totals.masked_fill(same.tril(-1).any(2), -math.inf)
        met, written = self._progress(ends, places // size, places % size)
        return _Candidates(totals, places, met, written)

    def _ends(self) -> Tensor:
        """[b, K', C, P] bool: whether the last p tokens of a hypothesis are the first p of a phrase, p from 0."""
        rows, slots, length = self.history.shape
        count, longest = self.phrases.shape[1:]
        ends = torch.zeros((rows, slots, count, longest), dtype=torch.bool, device=self.history.device)
        ends[..., :1] = True
        for size in range(1, min(length + 1, longest)):
            last = self.history[:, :, None, length - size :]
            ends[..., size] = (last == self.phrases[:, None, :, :size]).all(3)
        return ends

    def _next_tokens(self, ends: Tensor) -> Tensor:
        """[b, K', C] the token by which a hypothesis goes on with each phrase; NONE where it holds it."""
        if not self.phrases.numel():
            return torch.empty(ends.shape[:3], dtype=torch.int64, device=ends.device)
        begun = self._furthest(ends)
        after = self.phrases[:, None].expand(-1, ends.shape[1], -1, -1).gather(3, begun[..., None])[..., 0]
        return after.masked_fill(self.met, NONE)

    def _furthest(self, ends: Tensor) -> Tensor:
        """[..., P] bool -> [...] the last place that is true."""
        steps = torch.arange(ends.shape[-1], device=ends.device)
        return (ends * steps).amax(-1) if ends.shape[-1] else ends.sum(-1)

    def _progress(self, ends: Tensor, slots: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """slots, tokens [b, M] of continuations -> what they hold [b, M, C], how much of phrases is written [b, M]."""
        count, longest = self.phrases.shape[1:]
        before = ends.gather(1, slots[..., None, None].expand(-1, -1, count, longest))
        grown = before & (self.phrases[:, None] == tokens[..., None, None])  # [b, M, C, P]: p + 1 tokens
        whole = grown & (torch.arange(1, longest + 1, device=tokens.device) == self.lengths[:, None, :, None])
        met = self.met.gather(1, slots[..., None].expand(-1, -1, count)) | whole.any(3)
        steps = torch.arange(1, longest + 1, device=tokens.device)
        begun = (grown * steps).amax(3) if longest else grown.sum(3)
        written = (met * self.lengths[:, None]).sum(2)
        return met, written + (begun.masked_fill(met, 0).amax(2) if count else 0)

    def _shares(self, found: _Candidates) -> Tensor:
        """[b, M] the candidates, first those that get slots. First comes the best candidate of each amount of written
        tokens, from the largest amount down, then the second of each, and so on: equal shares, and what one cannot use
        is the others'."""
        better = (found.totals[:, None] > found.totals[..., None]) & (
            found.written[:, None] == found.written[..., None]
        )
        ties = (found.totals[:, None] == found.totals[..., None]) & (found.written[:, None] == found.written[..., None])
        rank = (better | ties.tril(-1)).sum(2)
        most = int(self.lengths.sum(1).max()) + 1
        key = (rank * most + most - found.written).masked_fill(~found.totals.isfinite(), torch.iinfo(torch.int64).max)
        return key.argsort(dim=1, stable=True)
