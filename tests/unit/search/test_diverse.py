"""Diverse beam search against one written out with lists, and against plain beams where groups do not matter."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor

import seq2seq
from seq2seq.errors import UserError
from seq2seq.search.beam import SearchConfig
from seq2seq.search.diverse import diverse_beam_search
from tests.unit.search.exhaustive import BOS, EOS, Chain, chains, log_probability, search, step

STORED = Path(__file__).parents[2] / "fixtures" / "translator-0.1.0-format2"
LIMIT = 4


def written_out(
    table: Tensor, limit: int, config: SearchConfig, groups: int, strength: float
) -> dict[tuple[int, ...], float]:
    """Scores of all outputs that the groups find, with lists."""
    width = config.beam_size // groups
    live: list[list[tuple[float, list[int]]]] = [[(0.0, [])] for _ in range(groups)]
    found: list[dict[tuple[int, ...], float]] = [{} for _ in range(groups)]
    for length in range(1, limit + 1):
        chosen: Counter[int] = Counter()
        for group in range(groups):
            options = []
            for total, words in live[group]:
                for token in range(EOS, table.shape[0]):
                    if length == limit and token != EOS:
                        continue
                    value = total + float(table[words[-1] if words else BOS, token])
                    options.append((value - strength * chosen[token], value, words, token))
            options.sort(key=lambda option: -option[0])
            live[group] = []
            tokens = []
            for _, total, words, token in options[: width - len(found[group])]:
                tokens.append(token)
                if token == EOS:
                    found[group][tuple(words)] = total / length**config.length_penalty
                else:
                    live[group].append((total, [*words, token]))
            chosen.update(tokens)
    return {words: score for pool in found for words, score in pool.items()}


def diverse(tables: Tensor, config: SearchConfig, groups: int, strength: float, n_best: int, row_step: int = 1):  # type: ignore[no-untyped-def]
    limits = torch.full((len(tables),), LIMIT)
    return diverse_beam_search(step, Chain(tables), limits, config, BOS, EOS, n_best, groups, strength, row_step)


@pytest.mark.parametrize("strength", [0.3, 2.0])
@pytest.mark.parametrize("groups", [2, 3, 6])
def test_equals_the_algorithm_written_out(groups: int, strength: float) -> None:
    config, tables = SearchConfig(beam_size=6), (chains(8, 11) / 2).log_softmax(-1)
    for table, best in zip(tables, diverse(tables, config, groups, strength, 6), strict=True):
        expected = written_out(table, LIMIT, config, groups, strength)
        assert {tuple(each.tokens): each.score for each in best} == pytest.approx(expected, abs=1e-5)
        assert [each.log_probability for each in best] == pytest.approx(
            [log_probability(table, each.tokens) for each in best], abs=1e-5
        )


def test_without_strength_each_group_is_a_plain_beam() -> None:
    tables = chains(10, 12)
    plain = search(step, Chain(tables), [LIMIT] * 10, SearchConfig(beam_size=2), 2)
    assert [[each.tokens for each in best] for best in diverse(tables, SearchConfig(beam_size=6), 3, 0.0, 6)] == [
        [each.tokens for each in best] for best in plain
    ]


@pytest.mark.parametrize("row_step", [1, 8])
def test_company_order_and_ballast_change_nothing(row_step: int) -> None:
    tables, config = chains(12, 13), SearchConfig(beam_size=4)
    together = diverse(tables, config, 2, 0.5, 3, row_step)
    assert together == diverse(tables.flip(0), config, 2, 0.5, 3, row_step)[::-1]
    assert together == [diverse(tables[row : row + 1], config, 2, 0.5, 3)[0] for row in range(12)]


def test_translations_of_groups() -> None:
    translator, texts = seq2seq.load(STORED), ["ba ko mi", "", "lu te so"]
    plain = translator.search(texts, 4, beam_size=4)
    apart = translator.search(texts, 4, beam_size=4, beam_groups=4, diversity=3.0)
    assert apart[0][0].text == plain[0][0].text
    assert len({best.tokens[0] for best in apart[0]}) > len({best.tokens[0] for best in plain[0]})
    with pytest.raises(UserError, match="beam_groups 3 must divide beam_size 4"):
        translator.search(texts, beam_size=4, beam_groups=3)
    with pytest.raises(UserError, match="diversity is of beam_groups"):
        translator.search(texts, diversity=3.0)
    with pytest.raises(UserError, match="beam_groups is of a search"):
        translator.search(texts, beam_groups=5, sampling="ancestral")
