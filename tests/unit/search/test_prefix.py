"""Outputs with a given begin: the same as a search without it, among those outputs that begin so."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
import torch
from torch import Tensor

import seq2seq
from seq2seq.errors import UserError
from seq2seq.search.beam import Hypothesis, SearchConfig, beam_search
from seq2seq.search.prefix import PrefixState, forced_prefix, prefix_limits, start_prefix

STORED = Path(__file__).parents[2] / "fixtures" / "translator-0.1.0-format2"
BOS, EOS, SIZE = 2, 3, 7
"""Tokens 4 to 6 are words."""


class Chain:
    """A state that remembers the sentence of each hypothesis: probabilities are those of a Markov chain of its own."""

    def __init__(self, sentence: Tensor) -> None:
        self.sentence = sentence

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> Chain:
        return Chain(self.sentence.index_select(0, hypotheses))


def chains(count: int, seed: int) -> Tensor:
    """[sentences, last token, next token] log-probabilities."""
    logits = 2 * torch.randn(count, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))
    logits[:, :, :EOS] = -1e9
    return logits.log_softmax(-1)


def all_outputs(table: Tensor, limit: int, prefix: list[int], config: SearchConfig) -> list[Hypothesis]:
    """Every output of one chain that begins with the prefix, best first."""
    found = []
    for length in range(limit):
        for words in itertools.product(range(EOS + 1, SIZE), repeat=length):
            if list(words[: len(prefix)]) != prefix:
                continue
            path = [BOS, *words, EOS]
            total = sum(float(table[one, two]) for one, two in itertools.pairwise(path))
            score = float(config.normalise(torch.tensor(total), torch.tensor(length + 1)))
            found.append(Hypothesis(list(words), total, score))
    return sorted(found, key=lambda each: -each.score)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_equals_the_exhaustive_search_among_outputs_that_begin_so(alpha: float) -> None:
    limit, n_best = 5, 3
    config = SearchConfig(beam_size=300, length_penalty=alpha)  # every output fits into the beam
    for seed in range(6):
        chance = random.Random(seed)
        prefixes = [chance.choices(range(EOS + 1, SIZE), k=size) for size in (0, 1, 2, 3, 0)]
        tables = chains(len(prefixes), seed)

        def step(token: Tensor, state: Chain) -> tuple[Tensor, Chain]:
            return tables[state.sentence, token], state  # noqa: B023

        state = start_prefix(Chain(torch.arange(len(prefixes))), prefixes, torch.device("cpu"))
        limits = torch.full((len(prefixes),), limit)
        found = beam_search(forced_prefix(step), state, limits, config, BOS, EOS, n_best)
        for table, prefix, best in zip(tables, prefixes, found, strict=True):
            expected = all_outputs(table, limit, prefix, config)
            scores = {tuple(each.tokens): each.score for each in expected}
            for one, two in zip(
                best, expected[:n_best], strict=True
            ):  # tokens may differ: paths of equal steps are ties
                assert one.score == pytest.approx(two.score, abs=1e-4)
                assert one.score == pytest.approx(scores[tuple(one.tokens)], abs=1e-4)
            assert len({tuple(each.tokens) for each in best}) == n_best


def test_limits_leave_room_for_the_prefix() -> None:
    assert prefix_limits(torch.tensor([3, 3, 3]), [[], [4, 5], [4, 5, 6, 4]]).tolist() == [3, 3, 5]


def test_a_state_without_prefixes_changes_nothing() -> None:
    tables = chains(2, 1)
    state = start_prefix(Chain(torch.arange(2)), [[], []], torch.device("cpu"))
    assert isinstance(state, PrefixState)
    log_probs, _ = forced_prefix(lambda token, inner: (tables[inner.sentence, token], inner))(
        torch.tensor([2, 2]), state
    )
    assert torch.equal(log_probs, tables[:, BOS])


@pytest.mark.parametrize("beam", [1, 5])
def test_translations_begin_with_their_prefix(beam: int) -> None:
    translator = seq2seq.load(STORED)
    texts = ["ba ko mi", "lu te", "", "so", "ne ne ne"]
    free = translator.search(texts, beam_size=beam)
    own = [best[0].text.partition(" ")[0] for best in free]
    same = translator.search(texts, prefixes=own, beam_size=beam)
    assert [best[0].text for best in same] == [best[0].text for best in free]
    begins = ["RA", "LU TE SO", "RA", "", "RA" * 60]
    other = [best[0].text for best in translator.search(texts, prefixes=begins, beam_size=beam)]
    assert other[2:4] == ["", free[3][0].text]
    for text, begin in zip(other[:2] + other[4:], begins[:2] + begins[4:], strict=True):
        assert text.startswith(begin)
    alone = [translator.search([text], prefixes=[p], beam_size=beam)[0] for text, p in zip(texts, own, strict=True)]
    assert [best[0].text for best in alone] == [best[0].text for best in same]


def test_an_ensemble_takes_prefixes() -> None:
    translator = seq2seq.load(STORED)
    translator.join(seq2seq.load(STORED))
    assert translator.search(["ba ko"], prefixes=["LU"])[0][0].text.startswith("LU")


def test_prefixes_are_checked() -> None:
    translator = seq2seq.load(STORED)
    with pytest.raises(UserError, match="2 texts but 1 prefixes"):
        translator.search(["ba", "ko"], prefixes=["BA"])
    with pytest.raises(UserError, match="prefix 1 is of type int"):
        translator.search(["ba"], prefixes=[3])  # type: ignore[list-item]
    with pytest.raises(UserError, match=r"a prefix has .* tokens, more than 1000"):
        translator.search(["ba"], prefixes=["BA " * 2000])
