"""Beam search against exhaustive search on random Markov chains; greedy; batches; early exit."""

import itertools
import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from seq2seq.errors import UserError
from seq2seq.search.beam import Hypothesis, SearchConfig, beam_search, greedy_search

BOS, EOS, V = 0, 1, 4


class ChainState(NamedTuple):
    """A Markov chain's state is its last token, which the step is given anyway; rows carry their sentence's table."""

    table: Tensor  # [N, V, V]

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> "ChainState":
        return ChainState(self.table[hypotheses])


def chains(count: int, seed: int, sharpness: float = 1.5) -> Tensor:
    """Log-probabilities of the next token given the last, a table per sentence [count, V, V]."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(count, V, V, generator=generator, dtype=torch.float64) * sharpness).log_softmax(-1)


def step(token: Tensor, state: ChainState) -> tuple[Tensor, ChainState]:
    return state.table[torch.arange(len(token)), token], state


def search(
    tables: Tensor, limits: list[int], config: SearchConfig, n_best: int = 1, row_step: int = 1
) -> list[list[Hypothesis]]:
    return beam_search(step, ChainState(tables), torch.tensor(limits), config, BOS, EOS, n_best, row_step)


def exhaustive(table: Tensor, limit: int, config: SearchConfig) -> list[Hypothesis]:
    """Every output of up to `limit` tokens, eos included, best score first."""
    found = []
    for length in range(limit):
        for tokens in itertools.product([t for t in range(V) if t != EOS], repeat=length):
            path = [BOS, *tokens, EOS]
            total = sum(table[a, b].item() for a, b in itertools.pairwise(path))
            base = length + 1 if config.length_penalty_kind == "average" else (5 + length + 1) / 6
            found.append(Hypothesis(list(tokens), total, total / base**config.length_penalty))
    return sorted(found, key=lambda hypothesis: -hypothesis.score)


@pytest.mark.parametrize("kind", ["average", "gnmt"])
@pytest.mark.parametrize("penalty", [0.0, 0.6, 1.0])
def test_wide_beam_equals_exhaustive_search(kind: str, penalty: float) -> None:
    limits = [4, 1, 3, 4]
    tables = chains(len(limits), seed=1)
    # 1 + 3 + 9 + 27 outputs of up to 4 tokens: with a slot for each, nothing is ever pruned.
    config = SearchConfig(beam_size=40, length_penalty=penalty, length_penalty_kind=kind)  # type: ignore[arg-type]
    for table, limit, found in zip(tables, limits, search(tables, limits, config, n_best=5), strict=True):
        expected = exhaustive(table, limit, config)[:5]
        assert [h.tokens for h in found] == [h.tokens for h in expected]
        assert [h.score for h in found] == pytest.approx([h.score for h in expected])
        assert [h.log_probability for h in found] == pytest.approx([h.log_probability for h in expected])


def test_beam_of_one_is_greedy() -> None:
    tables = chains(50, seed=2)
    limits = [1 + i % 9 for i in range(50)]
    greedy = greedy_search(step, ChainState(tables), torch.tensor(limits), BOS, EOS)
    beam = search(tables, limits, SearchConfig(beam_size=1))
    assert [hypotheses[0].tokens for hypotheses in beam] == greedy
    assert len({len(tokens) for tokens in greedy}) > 3


def test_greedy_takes_the_most_probable_token_each_time() -> None:
    tables = chains(20, seed=3)
    for table, tokens in zip(
        tables, greedy_search(step, ChainState(tables), torch.full((20,), 7), BOS, EOS), strict=True
    ):
        path = [BOS, *tokens, EOS]
        for position, (last, following) in enumerate(itertools.pairwise(path)):
            assert following == table[last].argmax() or position == 6


@pytest.mark.parametrize("n_best", [1, 3])
def test_a_batch_equals_one_by_one_in_any_order(n_best: int) -> None:
    tables, limits, config = chains(30, seed=4), [2 + i % 11 for i in range(30)], SearchConfig(beam_size=3)
    together = search(tables, limits, config, n_best)
    backwards = search(tables.flip(0), limits[::-1], config, n_best)[::-1]
    alone = [search(tables[i : i + 1], limits[i : i + 1], config, n_best)[0] for i in range(30)]
    assert together == alone == backwards


@pytest.mark.parametrize("row_step", [3, 8, 64])
def test_finished_sentences_that_stay_a_while_change_nothing(row_step: int) -> None:
    tables, limits, config = chains(30, seed=4), [2 + i % 11 for i in range(30)], SearchConfig(beam_size=3)
    sizes = []

    def counting(token: Tensor, state: ChainState) -> tuple[Tensor, ChainState]:
        sizes.append(len(token) // (1 if len(sizes) == 0 else config.beam_size))
        return step(token, state)

    expected = search(tables, limits, config, 2)
    found = beam_search(counting, ChainState(tables), torch.tensor(limits), config, BOS, EOS, 2, row_step)
    assert found == expected
    assert all(size % row_step == 0 or size == len(limits) for size in sizes)


@pytest.mark.parametrize("penalty", [0.0, 0.4, 1.0, 2.0])
def test_early_exit_changes_nothing(penalty: float) -> None:
    """The n best of a search that asks for 1 equal those of one that asks for all its slots, which never leaves
    early."""
    tables, limits, config = (
        chains(200, seed=5, sharpness=2.5),
        [12] * 200,
        SearchConfig(beam_size=4, length_penalty=penalty),
    )
    complete = search(tables, limits, config, n_best=4)
    assert [h[0] for h in search(tables, limits, config)] == [h[0] for h in complete]
    assert [h[:2] for h in search(tables, limits, config, n_best=2)] == [h[:2] for h in complete]


def test_scores_are_sums_of_log_probabilities_and_outputs_respect_their_limits() -> None:
    tables, limits = chains(40, seed=6, sharpness=0.3), [1 + i % 5 for i in range(40)]
    for table, limit, hypotheses in zip(
        tables, limits, search(tables, limits, SearchConfig(beam_size=5), 5), strict=True
    ):
        assert hypotheses
        for hypothesis in hypotheses:
            path = [BOS, *hypothesis.tokens, EOS]
            assert len(path) - 1 <= limit
            assert math.isclose(
                hypothesis.log_probability, sum(table[a, b].item() for a, b in itertools.pairwise(path))
            )
        assert len({tuple(h.tokens) for h in hypotheses}) == len(hypotheses)


def test_undefined_probabilities_end() -> None:
    assert search(torch.full((2, V, V), math.nan), [5, 5], SearchConfig(beam_size=2)) == [[], []]


@pytest.mark.parametrize("n_best", [-1, 0, 4])
def test_an_n_best_that_the_beam_cannot_give_is_refused(n_best: int) -> None:
    with pytest.raises(UserError, match=rf"n_best must be from 1 to beam_size \(3\), not {n_best}"):
        search(chains(1, seed=0), [5], SearchConfig(beam_size=3), n_best)


def test_an_unknown_length_penalty_is_refused() -> None:
    with pytest.raises(UserError, match='length_penalty_kind\' must be one of "average", "gnmt", got "Average"'):
        SearchConfig(length_penalty_kind="Average")  # type: ignore[arg-type]


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_scores_that_rise_are_searched_to_the_end(penalty: float) -> None:
    """As they do where an internal language model is taken off: no score so far bounds that of the whole."""
    config, tables = SearchConfig(beam_size=40, length_penalty=penalty), chains(20, seed=7) + 2.5
    found = beam_search(step, ChainState(tables), torch.full((20,), 4), config, BOS, EOS, falling=False)
    missed = beam_search(step, ChainState(tables), torch.full((20,), 4), config, BOS, EOS)
    best = [exhaustive(table, 4, config)[0].score for table in tables]
    assert [pool[0].score for pool in found] == pytest.approx(best, abs=1e-4)
    assert [pool[0].score for pool in missed] != pytest.approx(best, abs=1e-4)
