"""Beam search over the graph of a step. B sentences, K hypotheses of a beam."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

if __package__:
    from seq2seq.exported.parts import BEGIN, END, Array
else:  # beside the exported model
    from parts import BEGIN, END, Array  # type: ignore[import-not-found, no-redef]


class Search(NamedTuple):
    """How outputs are searched for; generation_config.json has the model's own settings."""

    beam_size: int = 5
    length_penalty: float = 1.0
    length_penalty_kind: str = "average"
    max_length: int = 256
    max_length_ratio: float = 3.0

    def limits(self, lengths: Array) -> Array:
        """[B] lengths of inputs -> most tokens of each output, end of sentence included."""
        return np.minimum((lengths * self.max_length_ratio + 10).astype(np.int64), self.max_length)

    def score(self, log_probability: Array, length: Array) -> Array:
        """log P / length^a, or log P / ((5 + length) / 6)^a (Wu et al. 2016, eq. 14)."""
        base = length if self.length_penalty_kind == "average" else (5 + length) / 6
        return log_probability / np.power(base, self.length_penalty, dtype=np.float32)


class Hypothesis(NamedTuple):
    """A finished output of a search."""

    score: float
    log_probability: float
    tokens: list[int]


Step = Callable[[Array, int, dict[str, Array]], tuple[Array, Array, Array, dict[str, Array]]]


class Beam:
    """Beam search as the toolkit has it: a finished hypothesis keeps its place; a sentence ends when no live one can
    still enter the n best."""

    def __init__(self, limits: Array, search: Search, n_best: int, vocabulary_size: int) -> None:
        count = len(limits)
        self.search, self.n_best, self.limits = search, n_best, limits
        self.candidates = min(search.beam_size, vocabulary_size)
        self.found: list[list[Hypothesis]] = [[] for _ in limits]
        self.sentences = np.arange(count)
        self.tokens = np.full((count, 1), BEGIN)
        self.history = np.empty((count, 1, 0), np.int64)
        self.totals = np.zeros((count, 1), np.float32)
        self.ended = np.zeros(count, np.int64)
        self.worst = np.full(count, -np.inf, np.float32)

    def run(self, step: Step, state: dict[str, Array], shared: set[str]) -> list[list[Hypothesis]]:
        """The n best of each sentence. shared: names of the state's tensors with a row per sentence."""
        while len(self.sentences):
            slots = self.tokens.shape[1]
            *found, state = step(self.tokens, self.candidates, state)
            rows = slots * np.arange(len(self.sentences))[:, None] + self.advance(*found)
            keep = self.unfinished()
            hypotheses, sentences = rows[keep].ravel(), None if keep.all() else keep
            state = {
                name: (each if sentences is None else each[sentences]) if name in shared else each[hypotheses]
                for name, each in state.items()
            }
        return [pool[: self.n_best] for pool in self.found]

    def advance(self, log_probs: Array, tokens: Array, end: Array) -> Array:
        """log_probs and tokens [b, K, k] of the best continuations, end [b, K] log P(end of sentence) -> the slot that
        each new one comes from [b, K']."""
        length = self.history.shape[2] + 1
        at_limit = self.limits == length
        if at_limit.any():  # nothing but the end of sentence
            log_probs, tokens = log_probs.copy(), tokens.copy()
            log_probs[at_limit] = -np.inf
            log_probs[at_limit, :, 0], tokens[at_limit, :, 0] = end[at_limit], END
        totals = (self.totals[..., None] + log_probs).reshape(len(tokens), -1)
        best = np.argsort(-totals, 1, kind="stable")[:, : self.search.beam_size]
        totals = np.take_along_axis(totals, best, 1)
        origins = best // log_probs.shape[2]
        self.tokens = np.take_along_axis(tokens.reshape(len(tokens), -1), best, 1)
        taken = np.arange(totals.shape[1]) >= self.search.beam_size - self.ended[:, None]
        totals = np.where(taken, np.float32(-np.inf), totals)
        self.history = np.take_along_axis(self.history, origins[..., None], 1)
        ends = (self.tokens == END) & np.isfinite(totals)
        if ends.any():
            self.collect(ends, totals, length)
        self.ended = self.ended + ends.sum(1)
        self.history = np.concatenate((self.history, self.tokens[..., None]), 2)
        self.totals = np.where(ends, np.float32(-np.inf), totals)
        return origins

    def collect(self, ends: Array, totals: Array, length: int) -> None:
        """Moves hypotheses that have just ended to their sentence's list."""
        scores = self.search.score(totals, np.full_like(totals, length))
        for row, slot in zip(*ends.nonzero(), strict=True):
            pool = self.found[self.sentences[row]]
            tokens = self.history[row, slot].tolist()
            pool.append(Hypothesis(float(scores[row, slot]), float(totals[row, slot]), tokens))
            pool.sort(key=lambda each: -each.score)
            if len(pool) >= self.n_best:
                self.worst[row] = pool[self.n_best - 1].score

    def unfinished(self) -> Array:
        """Forgets the sentences that are done -> [b] bool, those that go on."""
        live = self.totals.max(1)
        bound = self.search.score(live, self.limits.astype(np.float32))
        keep: Array = (live > -np.inf) & (bound > self.worst) & (self.limits > self.history.shape[2])
        if not keep.all():
            for name in ("sentences", "limits", "tokens", "history", "totals", "ended", "worst"):
                setattr(self, name, getattr(self, name)[keep])
        return keep
