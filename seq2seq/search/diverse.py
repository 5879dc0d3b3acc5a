"""Diverse beam search: groups of hypotheses that keep away from each other (Vijayakumar et al. 2016)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seq2seq.errors import check
from seq2seq.runtime.kernels import best_continuations
from seq2seq.search.beam import Beam, Hypothesis, SearchConfig, searched
from seq2seq.search.step import State, StepFn


@torch.inference_mode()
def diverse_beam_search(
    step: StepFn[State],
    state: State,
    limits: Tensor,
    config: SearchConfig,
    bos: int,
    eos: int,
    n_best: int,
    groups: int,
    strength: float,
    row_step: int = 1,
    falling: bool = True,
) -> list[list[Hypothesis]]:
    """Beam search in groups, of beam_size / groups slots each. At each step the groups choose one after the other, and
    a continuation counts `strength` less for each time that an earlier group has just chosen its token (Hamming
    diversity; algorithm 1). Scores are the model's own. Outputs that several groups find are given once.

    Raises UserError where the groups do not divide the beam. Otherwise as `beam_search`.
    """
    width = config.beam_size
    check(width % groups == 0, f"beam_groups {groups} must divide beam_size {width}: choose another one of them")
    found = searched(_GroupedBeam(limits, config, bos, groups, strength, row_step, falling), step, state, eos)
    return [_different(pool)[:n_best] for pool in found]


def _different(pool: list[Hypothesis]) -> list[Hypothesis]:
    return list({tuple(each.tokens): each for each in reversed(pool)}.values())[::-1]


class _GroupedBeam(Beam):
    """Slots of one group next to each other: G groups of k slots. `ended` [b, G] counts by group."""

    def __init__(
        self,
        limits: Tensor,
        config: SearchConfig,
        bos: int,
        groups: int,
        strength: float,
        row_step: int,
        falling: bool,
    ) -> None:
        super().__init__(limits, config, bos, config.beam_size, row_step, falling)
        self.groups, self.strength = groups, strength
        self.ended = torch.zeros((len(limits), groups), dtype=torch.int64, device=limits.device)

    def select(self, log_probs: Tensor, eos: int) -> tuple[Tensor, Tensor]:
        """As `Beam` has it, group by group."""
        rows, slots, size = log_probs.shape
        width = self.config.beam_size // self.groups
        chosen = torch.zeros((rows, size), dtype=log_probs.dtype, device=log_probs.device)
        found = []
        for group in range(self.groups):
            first = 0 if slots == 1 else group * width  # at the first step all groups go on from one slot
            own = slice(first, first + (1 if slots == 1 else width))
            penalty = self.strength * chosen
            values, places = best_continuations(log_probs[:, own] - penalty[:, None], self.totals[:, own], width)
            tokens = places % size
            totals = values + penalty.gather(1, tokens)
            taken = torch.arange(width, device=totals.device) >= width - self.ended[:, group, None]
            totals, places = self._padded(totals, places + first * size, width)
            totals = totals.masked_fill(taken, -math.inf)
            chosen.scatter_add_(1, places % size, totals.isfinite().to(chosen.dtype))
            found.append((totals, places))
        totals, places = (torch.cat(parts, 1) for parts in zip(*found, strict=True))
        return totals, places

    def _padded(self, totals: Tensor, places: Tensor, width: int) -> tuple[Tensor, Tensor]:
        """The same with `width` slots, where there are not as many continuations."""
        missing = (0, width - totals.shape[1])
        return torch.nn.functional.pad(totals, missing, value=-math.inf), torch.nn.functional.pad(places, missing)

    def count_ended(self, ends: Tensor) -> None:
        """As `Beam` has it, group by group."""
        self.ended = self.ended + ends.view(len(ends), self.groups, -1).sum(2)
