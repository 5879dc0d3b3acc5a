"""N-best lists, scored by further models: what a re-ranker weighs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from seq2seq.errors import UserError, check
from seq2seq.inference.character_model import CharacterModel
from seq2seq.inference.translator import LongTarget, Translator


class Candidate(NamedTuple):
    """One output of a search."""

    score: float
    """The search's own."""
    text: str


Pools = list[list[Candidate]]
"""The candidates of each source, in the search's order."""


def read_n_best(lines: Iterable[str], name: str) -> Pools:
    """What `translate --n-best` wrote: line, rank, score, text. Raises UserError, naming the line, where it is written
    in another way, or a source has no candidates. name: of the file."""
    pools: Pools = []
    for number, line in enumerate(lines, 1):
        cells = line.split("\t")
        wanted = (
            f"{name}, line {number}: not a line, rank, score and text with tabs between them, as translate --n-best"
        )
        try:
            source, rank, score, text = int(cells[0]), int(cells[1]), float(cells[2]), cells[3]
        except (ValueError, IndexError):
            raise UserError(f"{wanted} writes them") from None
        check(len(cells) == 4 and rank >= 1 and math.isfinite(score), f"{wanted} writes them")
        if source == len(pools) + 1:
            pools.append([])
        check(source == len(pools) > 0, f"{name}, line {number}: outputs of line {source}, but of {len(pools)} before")
        pools[-1].append(Candidate(score, text))
    return pools


def forward_scores(translator: Translator, sources: Sequence[str], pools: Pools) -> list[list[float]]:
    """Mean log-probability of a candidate's tokens given the source, in nats."""
    pairs = [(source, each.text) for source, pool in zip(sources, pools, strict=True) for each in pool]
    names = [f"output {rank} of line {line}" for line, pool in enumerate(pools, 1) for rank in range(1, len(pool) + 1)]
    return _pooled(_means(translator, pairs, names), pools)


def reverse_scores(translator: Translator, sources: Sequence[str], pools: Pools) -> list[list[float]]:
    """Mean log-probability of the source's tokens given the candidate, in nats."""
    pairs = [(each.text, source) for source, pool in zip(sources, pools, strict=True) for each in pool]
    names = [f"the source on line {line}" for line, pool in enumerate(pools, 1) for _ in pool]
    return _pooled(_means(translator, pairs, names), pools)


def language_scores(model: CharacterModel, pools: Pools) -> list[list[float]]:
    """Mean log-probability of a candidate's units, end of line included, in nats."""
    texts = [each.text + "\n" for pool in pools for each in pool]
    totals = [-bits * len(text) * math.log(2) for bits, text in zip(model.bits_of_each(texts), texts, strict=True)]
    means = [total / len(model.units.encode(text)) for total, text in zip(totals, texts, strict=True)]
    return _pooled(means, pools)


def lengths(pools: Pools) -> list[list[float]]:
    """Words of each candidate."""
    return [[float(len(each.text.split())) for each in pool] for pool in pools]


def reranked(pools: Pools, features: Sequence[list[list[float]]], weights: Sequence[float]) -> Pools:
    """The candidates of each source by their weighted features, [F][source][candidate], best first; that sum becomes
    their score. Those that are alike keep their order."""
    results = []
    for row, pool in enumerate(pools):
        sums = [
            # a score may be -inf, which no weight of 0 takes away
            sum(weight * feature[row][place] for weight, feature in zip(weights, features, strict=True) if weight)
            for place in range(len(pool))
        ]
        scored = [each._replace(score=score) for each, score in zip(pool, sums, strict=True)]
        results.append(sorted(scored, key=lambda each: -each.score))
    return results


def _means(translator: Translator, pairs: list[tuple[str, str]], names: list[str]) -> list[float]:
    """Mean log-probability of each target's tokens; a pair that comes again is scored once. names: of the targets, for
    errors."""
    unique = list(dict.fromkeys(pairs))
    try:
        scores = translator.score([source for source, _ in unique], [target for _, target in unique])
    except LongTarget as error:
        raise UserError(error.message(names[pairs.index(unique[error.number - 1])])) from None
    means = {pair: each.log_probability / each.tokens for pair, each in zip(unique, scores, strict=True)}
    return [means[pair] for pair in pairs]


def _pooled(values: Sequence[float], pools: Pools) -> list[list[float]]:
    rest = iter(values)
    return [[next(rest) for _ in pool] for pool in pools]
