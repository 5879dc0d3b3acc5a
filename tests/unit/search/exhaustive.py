"""Markov chains, a table per sentence, and every output of one of them: what searches are compared with."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from seq2seq.search.beam import Hypothesis, SearchConfig, beam_search

BOS, EOS, SIZE = 2, 3, 7
"""Tokens 4 to 6 are words."""
WORDS = range(EOS + 1, SIZE)


class Chain:
    """A state that remembers the sentence of each hypothesis: probabilities are those of a Markov chain of its own."""

    def __init__(self, tables: Tensor, sentence: Tensor | None = None) -> None:
        self.tables = tables
        self.sentence = torch.arange(len(tables)) if sentence is None else sentence

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> Chain:
        return Chain(self.tables, self.sentence.index_select(0, hypotheses))


def step(token: Tensor, state: Chain) -> tuple[Tensor, Chain]:
    return state.tables[state.sentence, token], state


def chains(count: int, seed: int, size: int = SIZE) -> Tensor:
    """[sentences, last token, next token] log-probabilities."""
    logits = 2 * torch.randn(count, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    logits[:, :, :EOS] = -math.inf
    return logits.log_softmax(-1)


def all_outputs(
    table: Tensor, limit: int, config: SearchConfig, allowed: Callable[[tuple[int, ...]], bool]
) -> list[Hypothesis]:
    """Every output of one chain that is allowed, of up to `limit` tokens, eos included, best first."""
    rows, size = table.tolist(), table.shape[-1]
    outputs = [
        words
        for length in range(limit)
        for words in itertools.product(range(EOS + 1, size), repeat=length)
        if allowed(words)
    ]
    totals = [sum(rows[one][two] for one, two in itertools.pairwise([BOS, *words, EOS])) for words in outputs]
    lengths = torch.tensor([len(words) + 1 for words in outputs])
    scores = config.normalise(torch.tensor(totals, dtype=torch.float64), lengths).tolist()
    found = [Hypothesis(list(words), *values) for words, *values in zip(outputs, totals, scores, strict=True)]
    return sorted(found, key=lambda each: -each.score)


def log_probability(table: Tensor, words: Sequence[int]) -> float:
    """Of an output, its end included."""
    return sum(float(table[one, two]) for one, two in itertools.pairwise([BOS, *words, EOS]))


def search(
    step_: Any, state: Any, limits: Sequence[int], config: SearchConfig, n_best: int = 1
) -> list[list[Hypothesis]]:
    return beam_search(step_, state, torch.tensor(limits), config, BOS, EOS, n_best)


def same_scores(found: list[Hypothesis], expected: list[Hypothesis]) -> bool:
    """Whether these are the best outputs. Tokens may differ: paths of equal steps are ties."""
    known = {tuple(each.tokens): each.score for each in expected}
    return len(found) == len({tuple(each.tokens) for each in found}) and all(
        abs(one.score - two.score) < 1e-4 and abs(one.score - known[tuple(one.tokens)]) < 1e-4
        for one, two in zip(found, expected[: len(found)], strict=True)
    )
