"""Draws have the model's distribution: against all outputs of small chains, by chi-square with fixed seeds."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import seq2seq
from seq2seq.errors import UserError
from seq2seq.search.beam import SearchConfig
from seq2seq.search.sampling import sample, stochastic_beam_search, tempered
from tests.unit.search.exhaustive import BOS, EOS, Chain, all_outputs, chains, log_probability, step

STORED = Path(__file__).parents[2] / "fixtures" / "translator-0.1.0-format2"
LIMIT, CONFIG = 3, SearchConfig()
Output = tuple[int, ...]


def flat(seed: int) -> Tensor:
    """A chain whose outputs are all likely enough to be drawn."""
    return (chains(1, seed) / 3).log_softmax(-1)


def probabilities(table: Tensor, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> dict[Output, float]:
    """Of every output of up to LIMIT tokens; the last one allowed ends it, whatever the model would write."""
    shaped = torch.stack([shaped_by_hand(row, temperature, top_k, top_p) for row in table.exp()])
    found: dict[Output, float] = {}
    for each in all_outputs(table, LIMIT, CONFIG, lambda words: True):
        path = [BOS, *each.tokens, EOS][: LIMIT + (len(each.tokens) < LIMIT - 1)]
        found[tuple(each.tokens)] = math.prod(float(shaped[one, two]) for one, two in itertools.pairwise(path))
    assert sum(found.values()) == pytest.approx(1, abs=1e-6)
    return found


def shaped_by_hand(row: Tensor, temperature: float, top_k: int, top_p: float) -> Tensor:
    powers = [p ** (1 / temperature) for p in row.tolist()]
    order = sorted(range(len(powers)), key=lambda token: -powers[token])[: top_k or None]
    total, kept, mass = sum(powers[token] for token in order), [], 0.0
    for token in order:
        if mass >= top_p:
            break
        kept.append(token)
        mass += powers[token] / total
    inside = sum(powers[token] for token in kept)
    return torch.tensor([powers[token] / inside if token in kept else 0.0 for token in range(len(powers))])


def draws(way: Any, tables: Tensor, count: int, seeds: list[int], **shape: Any) -> list[list[Output]]:
    limits = torch.full((len(tables),), LIMIT)
    found = way(tempered(step, **shape), Chain(tables), limits, CONFIG, BOS, EOS, count, seeds)
    return [[tuple(each.tokens) for each in best] for best in found]


def assert_distributed(counts: Counter[Any], expected: dict[Any, float]) -> None:
    """Chi-square at 1 in 1,000; outcomes of fewer than 5 draws expected are taken together."""
    total, rare = sum(counts.values()), [0.0, 0.0]
    cells = []
    assert counts.keys() <= {outcome for outcome, p in expected.items() if p > 0}
    for outcome, p in expected.items():
        if p * total >= 5:
            cells.append((counts[outcome], p * total))
        else:
            rare = [rare[0] + counts[outcome], rare[1] + p * total]
    cells += [(rare[0], rare[1])] if rare[1] >= 5 else []
    statistic = sum((seen - wanted) ** 2 / wanted for seen, wanted in cells)
    freedom = len(cells) - 1
    # Wilson and Hilferty's approximation of the quantile; 3.09 is the normal distribution's.
    assert freedom > 2
    assert statistic < freedom * (1 - 2 / (9 * freedom) + 3.09 * math.sqrt(2 / (9 * freedom))) ** 3


SHAPES: list[dict[str, Any]] = [{}, {"temperature": 1.7}, {"temperature": 0.6, "top_k": 3}, {"top_p": 0.8}]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_samples_have_the_models_distribution(shape: dict[str, Any]) -> None:
    table = flat(3)
    (found,) = draws(sample, table, 4000, [5], **shape)
    assert_distributed(Counter(found), probabilities(table[0], **shape))


def test_what_is_drawn_without_replacement_has_its_distribution() -> None:
    """The first is a sample, the second one among the others, in proportion to their probabilities; none comes
    twice."""
    table = flat(4)
    expected = probabilities(table[0])
    found = draws(stochastic_beam_search, table.expand(4000, -1, -1), 3, list(range(4000)))
    assert all(len(set(outputs)) == 3 for outputs in found)
    assert_distributed(Counter(outputs[0] for outputs in found), expected)
    pairs = {
        (one, two): expected[one] * expected[two] / (1 - expected[one])
        for one, two in itertools.permutations(expected, 2)
    }
    assert_distributed(Counter((outputs[0], outputs[1]) for outputs in found), pairs)


def test_all_outputs_are_drawn_where_as_many_are_asked_for() -> None:
    table = chains(1, 5)
    expected = probabilities(table[0])
    (found,) = draws(stochastic_beam_search, table, 50, [1])
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("way", [sample, stochastic_beam_search])
@pytest.mark.parametrize("row_step", [1, 8])
def test_company_order_and_ballast_change_nothing(way: Any, row_step: int) -> None:
    tables, seeds, limits = chains(12, 6), list(range(12)), torch.tensor([1 + row % 5 for row in range(12)])

    def drawn(rows: list[int], step_: int) -> list[Any]:
        chosen = torch.tensor(rows)
        return way(
            tempered(step),
            Chain(tables[chosen]),
            limits[chosen],
            CONFIG,
            BOS,
            EOS,
            4,
            [seeds[row] for row in rows],
            step_,
        )

    together = drawn(list(range(12)), row_step)
    assert together == drawn(list(range(12))[::-1], row_step)[::-1] == [drawn([row], 1)[0] for row in range(12)]
    for table, limit, outputs in zip(tables, limits.tolist(), together, strict=True):
        for each in outputs:
            if len(each.tokens) + 1 < limit:
                assert each.log_probability == pytest.approx(log_probability(table, each.tokens), abs=1e-4)
                assert each.score == pytest.approx(each.log_probability / (len(each.tokens) + 1), abs=1e-4)


def test_more_samples_begin_with_the_same_ones() -> None:
    tables = chains(3, 7)
    assert [each[:2] for each in draws(sample, tables, 9, [1, 2, 3])] == draws(sample, tables, 2, [1, 2, 3])
    assert draws(sample, tables, 9, [1, 2, 3]) != draws(sample, tables, 9, [4, 5, 6])


TEXTS = ["ba ko mi", "lu te so ra", "", "so"]


@pytest.mark.parametrize("kind", ["ancestral", "without_replacement"])
def test_translations_are_drawn(kind: str) -> None:
    translator = seq2seq.load(STORED)

    def drawn(texts: list[str], **options: Any) -> list[list[str]]:
        found = translator.search(texts, 6, sampling=kind, temperature=2.0, **options)
        return [[each.text for each in best] for best in found]

    together = drawn(TEXTS)
    assert together == drawn(TEXTS[::-1])[::-1] == [drawn([text])[0] for text in TEXTS]
    assert together != drawn(TEXTS, seed=2)
    assert drawn(TEXTS, top_k=1)[0][0] == translator.translate(TEXTS[:1], beam_size=1)[0]
    assert drawn(TEXTS, top_p=1e-320) == drawn(TEXTS, top_k=1), "a number that single precision rounds to 0"
    assert all("KO" not in text.split() for best in drawn(TEXTS, ban=["KO"]) for text in best)
    assert all(text.startswith("RA") for text in drawn(["so"], prefixes=["RA"])[0])


def test_idle_options_are_refused() -> None:
    translator = seq2seq.load(STORED)
    for options, words in (
        ({"temperature": 2.0}, "temperature is of sampling"),
        ({"candidates": 7}, "candidates is of scores that order outputs anew"),
        ({"sampling": "ancestral", "top_p": 0.0}, "top_p must be a number from 0 to 1, without 0, not 0.0"),
        ({"sampling": "ancestral", "beam_size": 3}, "beam_size is of a search, not of sampling: leave it out"),
        ({"sampling": "greedy"}, "option 'sampling' must be one of"),
    ):
        with pytest.raises(UserError, match=words):
            translator.translate(TEXTS, **options)


@pytest.mark.parametrize("kind", ["ancestral", "without_replacement"])
def test_what_is_forbidden_is_not_drawn_where_nothing_else_is_left(kind: str) -> None:
    translator = seq2seq.load(STORED)
    shape: dict[str, Any] = {"sampling": kind, "temperature": 50.0, "top_p": 0.9}
    (found,) = translator.search(["so"], 4, prefixes=["RA "], ban=["RA"], **shape)
    assert [each.text for each in found] == [""]
    ban = ["BA", "MI", "SO", "LU", "NE"]  # each a piece of its own, which the end of the sentence makes a word
    (found,) = translator.search(["so"], 200, max_length=2, ban=ban, **shape)
    assert len(found) > 10 and not {each.text for each in found} & set(ban)
    assert all(math.isfinite(each.score) for each in found)
