"""Greedy and beam search over a step function. Nothing here knows a model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from seq2seq.config import SEARCH, Whole, check_fields, check_numbers
from seq2seq.errors import check
from seq2seq.runtime.kernels import best_continuations
from seq2seq.search.step import State, StepFn

NO_LIMIT = 1 << 30


@dataclass(frozen=True)
class SearchConfig:
    """Decoding: the width of the beam, how hypotheses of unequal length compare, and how long they may get."""

    beam_size: int = 5
    """Hypotheses kept per sentence; 1 is greedy search."""
    length_penalty: float = 1.0
    """Exponent alpha of the length normalisation; 0 compares plain log-probabilities, larger favours longer output."""
    length_penalty_kind: Literal["average", "gnmt"] = "average"
    """average: log P / length^alpha. gnmt: log P / ((5 + length) / 6)^alpha (Wu et al. 2016, eq. 14)."""
    max_length: int = 256
    """Longest output in tokens, end of sentence included."""
    max_length_ratio: float = 3.0
    """Longest output per source token (plus 10): keeps a stuck hypothesis from running to max_length."""

    def __post_init__(self) -> None:
        check_fields(self, "search")
        check_numbers(self, "search", **SEARCH)

    def limits(self, source_lengths: Tensor) -> Tensor:
        """[B] source lengths -> [B] most tokens of output, end of sentence included; each sentence's own, whatever its
        batch."""
        return (source_lengths * self.max_length_ratio + 10).long().clamp(max=self.max_length)

    def normalise(self, log_probability: Tensor, length: Tensor) -> Tensor:
        """Score of hypotheses: log_probability and length (tokens, end of sentence included) of one shape."""
        length = length.to(log_probability.dtype)
        base = length if self.length_penalty_kind == "average" else (5 + length) / 6
        return log_probability / base**self.length_penalty


class Hypothesis(NamedTuple):
    """A finished output."""

    tokens: list[int]
    """Without begin and end of sentence."""
    log_probability: float
    """Sum over tokens, end of sentence included, nats."""
    score: float
    """log_probability normalised by length."""


@torch.inference_mode()
def greedy_search(step: StepFn[State], state: State, limits: Tensor, bos: int, eos: int) -> list[list[int]]:
    """The most probable token at every step. limits [B]: most tokens per sentence; the last one allowed is eos.

    Returns the tokens of each sentence, without bos and eos.
    """
    tokens = torch.full_like(limits, bos)
    outputs = torch.full((len(limits), int(limits.max())), eos, dtype=torch.int64, device=limits.device)
    active = torch.arange(len(limits), device=limits.device)
    for position in range(outputs.shape[1]):
        log_probs, state = step(tokens, state)
        tokens = log_probs.argmax(-1).masked_fill(limits[active] == position + 1, eos)
        outputs[active, position] = tokens
        going = (tokens != eos).nonzero()[:, 0]
        if len(going) == 0:
            break
        if len(going) < len(active):
            active, tokens, state = active[going], tokens[going], state.reorder(going, going)
    return [row[: row.index(eos)] for row in outputs.tolist()]


@torch.inference_mode()
def beam_search(
    step: StepFn[State],
    state: State,
    limits: Tensor,
    config: SearchConfig,
    bos: int,
    eos: int,
    n_best: int = 1,
    row_step: int = 1,
    falling: bool = True,
) -> list[list[Hypothesis]]:
    """Beam search; each sentence's `n_best` best finished hypotheses, best score first.

    A sentence has `beam_size` slots. At each step its live hypotheses' best continuations fill them; one that ends is
    finished, is kept as it is, and keeps its slot, so that beam 1 is greedy search. A sentence ends when its slots
    are finished, or as soon as no live hypothesis can still enter the n best: log-probabilities only fall and the
    penalty is largest at the longest length, so log P / penalty(limit) bounds what a live hypothesis may reach.
    limits [B]: most tokens of output, eos included; a hypothesis that gets there is ended by eos, at eos's own
    log-probability. row_step: finished sentences leave the batch so many at a time, so that few sizes of batch occur.
    falling: whether the step gives nothing above 0, as log-probabilities are; else a sentence ends with its slots only.
    Raises UserError where n_best is not from 1 to beam_size.
    """
    check(
        Whole(1, config.beam_size).admits(n_best),
        f"n_best must be from 1 to beam_size ({config.beam_size}), not {n_best}",
    )
    return searched(Beam(limits, config, bos, n_best, row_step, falling), step, state, eos)


def searched(beam: Beam, step: StepFn[State], state: State, eos: int) -> list[list[Hypothesis]]:
    """What a beam holds at the end of its search. state: before the first token."""
    while len(beam.sentences):
        slots = beam.tokens.shape[1]
        log_probs, state = step(beam.tokens.flatten(), state)
        origins = beam.advance(log_probs.view(*beam.tokens.shape, -1), eos)
        first_rows = slots * torch.arange(len(origins), device=origins.device)
        rows = first_rows[:, None] + origins
        keep = beam.drop_finished()
        if keep is not None:
            state = state.reorder(rows[keep].flatten(), keep)
        elif beam.config.beam_size > 1:
            state = state.reorder(rows.flatten())
    return beam.hypotheses()


def rows_that_stay(done: Tensor, row_step: int) -> Tensor:
    """[b] bool whether each sentence is done -> the rows of those going on, and, as ballast, of so many that are done
    that they are a multiple of row_step; in order."""
    going = len(done) - int(done.sum())
    staying = min(len(done), -(-going // row_step) * row_step)
    return done.int().argsort(stable=True)[:staying].sort().values


class Beam:
    """The slots of all sentences that are still going, as dense tensors: b sentences by K slots.

    The first step has one slot per sentence, as there is one way to begin, and gives beam_size of them.
    """

    by_sentence: ClassVar[tuple[str, ...]] = ("sentences", "limits", "tokens", "history", "totals", "ended", "worst")
    """Attributes with a row for each sentence."""

    def __init__(
        self, limits: Tensor, config: SearchConfig, bos: int, n_best: int, row_step: int, falling: bool = True
    ) -> None:
        count, device = len(limits), limits.device
        self.config, self.n_best, self.row_step, self.falling = config, n_best, row_step, falling
        self.finished: list[list[Hypothesis]] = [[] for _ in range(count)]
        self.sentences = torch.arange(count, device=device)
        self.limits = limits
        self.tokens = torch.full((count, 1), bos, device=device)
        self.history = torch.empty((count, 1, 0), dtype=torch.int64, device=device)
        self.totals = torch.zeros((count, 1), device=device)
        self.ended = torch.zeros(count, dtype=torch.int64, device=device)
        self.worst = torch.full((count,), -math.inf, device=device)
        self.any_ended = False
        self.shortest_limit = int(limits.min()) if count else 0

    def advance(self, log_probs: Tensor, eos: int) -> Tensor:
        """log_probs [b, K', V]: fills K slots with the best continuations of K'; returns the slot each came from
        [b, K]."""
        length = self.history.shape[2] + 1
        if length >= self.shortest_limit:
            at_limit = self.limits == length
            only_eos = torch.full_like(log_probs[0, 0], -math.inf)
            only_eos[eos] = 0.0
            log_probs = torch.where(at_limit[:, None, None], log_probs + only_eos, log_probs)
        totals, places = self.select(log_probs, eos)
        origins, self.tokens = places // log_probs.shape[2], places % log_probs.shape[2]
        self.history = self.history.gather(1, origins[..., None].expand(-1, -1, length - 1))
        ends = (self.tokens == eos) & totals.isfinite()
        if ends.any():
            self._collect(ends, totals, length)
            self.any_ended = True
            self.count_ended(ends)
            totals = totals.masked_fill(ends, -math.inf)
        self.history = torch.cat((self.history, self.tokens[..., None]), 2)
        self.totals = totals
        return origins

    def select(self, log_probs: Tensor, eos: int) -> tuple[Tensor, Tensor]:
        """log_probs [b, K', V] -> of the continuations that fill the slots their log-probabilities [b, K], -inf where a
        slot is a finished hypothesis's, and their places in K' * V."""
        width = self.config.beam_size
        totals, places = best_continuations(log_probs, self.totals, width)
        if self.any_ended:
            taken = torch.arange(totals.shape[1], device=totals.device) >= width - self.ended[:, None]
            totals = totals.masked_fill(taken, -math.inf)
        return totals, places

    def count_ended(self, ends: Tensor) -> None:
        """Gives slots to the hypotheses that have just ended. ends [b, K] bool."""
        self.ended = self.ended + ends.sum(1)

    def _collect(self, ends: Tensor, totals: Tensor, length: int) -> None:
        """Moves hypotheses that have just ended into their sentence's list."""
        rows = ends.nonzero()[:, 0]
        log_probabilities = totals[ends]
        scores = self.config.normalise(log_probabilities, torch.full_like(log_probabilities, length))
        ended = zip(self.history[ends].tolist(), log_probabilities.tolist(), scores.tolist(), strict=True)
        pools = [self.finished[sentence] for sentence in self.sentences[rows].tolist()]
        for pool, hypothesis in zip(pools, ended, strict=True):
            pool.append(Hypothesis(*hypothesis))
            pool.sort(key=lambda hypothesis: -hypothesis.score)
        worst = [pool[self.n_best - 1].score if len(pool) >= self.n_best else -math.inf for pool in pools]
        self.worst[rows] = self.worst.new_tensor(worst)

    def drop_finished(self) -> Tensor | None:
        """Forgets the sentences that are done; returns the rows that stay, or None if all do.

        Some of them stay as ballast, without a live hypothesis, so that their number is a multiple of row_step.
        """
        if not self.any_ended and self.history.shape[2] < self.shortest_limit:
            return None
        best_live = self.totals.amax(1)
        done = (best_live == -math.inf) | (self.limits <= self.history.shape[2])
        if self.falling:
            done |= self.config.normalise(best_live, self.limits) <= self.worst
        self.totals = self.totals.masked_fill(done[:, None], -math.inf)
        self.limits = self.limits.masked_fill(done, NO_LIMIT)
        keep = rows_that_stay(done, self.row_step)
        if len(keep) == len(done):
            return None
        for name in self.by_sentence:
            setattr(self, name, getattr(self, name)[keep])
        self.shortest_limit = int(self.limits.min()) if len(keep) else 0
        return keep

    def hypotheses(self) -> list[list[Hypothesis]]:
        """Per sentence, in the order given: the n best."""
        return [pool[: self.n_best] for pool in self.finished]
