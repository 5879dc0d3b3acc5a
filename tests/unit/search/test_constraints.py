"""Outputs that must hold phrases: the best of those that do, by exhaustive search."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from torch import Tensor

import seq2seq
from seq2seq.errors import UserError
from seq2seq.inference.terminology import Terminology
from seq2seq.search.beam import SearchConfig
from seq2seq.search.constraints import constrained_beam_search
from tests.unit.search.exhaustive import BOS, EOS, WORDS, Chain, all_outputs, chains, same_scores, search, step

STORED = Path(__file__).parents[2] / "fixtures" / "translator-0.1.0-format2"
Phrases = list[list[int]]


def constrained(  # type: ignore[no-untyped-def]
    tables: Tensor, phrases: list[Phrases], limit: int, config: SearchConfig, n_best: int = 1, row_step: int = 1
):
    limits = torch.full((len(tables),), limit)
    return constrained_beam_search(step, Chain(tables), limits, config, BOS, EOS, n_best, phrases, row_step)


def some_phrases(seed: int, count: int) -> list[Phrases]:
    """Of up to 3 tokens in all, overlapping ones and repeated ones among them; some sentences have none."""
    chance = random.Random(seed)
    sizes = [[], [1], [2], [1, 1], [2, 1], [3], [2, 2], [1, 3]]
    return [[chance.choices(WORDS, k=size) for size in sizes[row % len(sizes)]] for row in range(count)]


def holds(words: tuple[int, ...], phrases: Phrases) -> bool:
    return all(any(list(words[start : start + len(each)]) == each for start in range(len(words))) for each in phrases)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_equals_the_exhaustive_search_under_the_constraints(alpha: float) -> None:
    limit, config = 5, SearchConfig(beam_size=130, length_penalty=alpha)  # every output fits into the beam
    for seed in range(2):
        tables, phrases = chains(8, seed), some_phrases(seed, 8)
        for table, wanted, best in zip(tables, phrases, constrained(tables, phrases, limit, config, 3), strict=True):
            expected = all_outputs(table, limit, config, lambda words, wanted=wanted: holds(words, wanted))  # type: ignore[misc]
            assert same_scores(best, expected)
            assert len(best) == min(3, len(expected))


@pytest.mark.parametrize("width", [1, 2, 5])
def test_a_narrow_beam_meets_all_of_them(width: int) -> None:
    """Even phrases that leave no room in the limit, and those that the chain hardly ever writes."""
    tables, phrases = 3 * chains(64, 21), some_phrases(5, 64)
    found = constrained(tables.log_softmax(-1), phrases, 3, SearchConfig(beam_size=width), width)
    assert all(
        best and all(holds(tuple(each.tokens), wanted) for each in best)
        for wanted, best in zip(phrases, found, strict=True)
    )


def test_without_phrases_it_is_the_plain_search() -> None:
    tables, config = chains(20, 22), SearchConfig(beam_size=4)
    plain = search(step, Chain(tables), [6] * 20, config, 3)
    assert constrained(tables, [[]] * 20, 6, config, 3) == plain
    mixed = constrained(tables, [[] if row % 2 else [[4, 5]] for row in range(20)], 6, config, 3)
    assert mixed[1::2] == plain[1::2]
    assert mixed[::2] != plain[::2]


@pytest.mark.parametrize("row_step", [1, 8])
def test_company_order_and_ballast_change_nothing(row_step: int) -> None:
    tables, phrases, config = chains(16, 23), some_phrases(7, 16), SearchConfig(beam_size=4)
    together = constrained(tables, phrases, 6, config, 2, row_step)
    assert together == constrained(tables.flip(0), phrases[::-1], 6, config, 2, row_step)[::-1]
    assert together == [
        constrained(tables[row : row + 1], phrases[row : row + 1], 6, config, 2)[0] for row in range(16)
    ]


def test_translations_hold_their_terms() -> None:
    translator, texts = seq2seq.load(STORED), ["ba ko mi", "", "lu te so", "so"]
    terms = [["RA"], ["RA"], [], ["NE LU", "BA"]]
    found = translator.search(texts, 2, terms=terms)
    plain = translator.search(texts, 2)
    assert all("RA" in each.text for each in found[0])
    assert found[1][0].text == ""
    assert found[2] == plain[2]
    assert all("NE LU" in each.text and "BA" in each.text for each in found[3])
    alone = [translator.search([text], 2, terms=[each])[0] for text, each in zip(texts, terms, strict=True)]
    assert [[each.text for each in best] for best in alone] == [[each.text for each in best] for best in found]


def test_a_terminology_asks_for_the_terms_of_each_text() -> None:
    translator = seq2seq.load(STORED)
    terminology = {"ba": "RA", "lu te": "NE NE", "te": "SO", "o": "MI", "unused": "BA"}
    texts = ["ba ko", "lu te so", "te mi", "ko"]
    expected = translator.search(texts, terms=[["RA"], ["NE NE"], ["SO"], []])
    assert translator.search(texts, terminology=terminology) == expected
    assert not Terminology(translator.target_vocabulary, terminology).of("so\tba"), "behind a tab stand features"


def test_wrong_terms_are_refused() -> None:
    translator = seq2seq.load(STORED)
    for options, words in (
        ({"terms": [["A"], ["B"]]}, "1 texts but 2 lists of terms"),
        ({"terms": ["A"]}, "terms must be a list of strings, one per term, not a single string"),
        ({"terms": [["ÄÖ"]]}, "the term 'ÄÖ' has a character that the vocabulary cannot write"),
        ({"terms": [[" "]]}, "a term is blank"),
        ({"terms": [["RA"]], "sampling": "ancestral"}, "terms are of the plain beam search"),
        ({"terminology": {"ba": "RA"}, "beam_groups": 5}, "terms are of the plain beam search"),
    ):
        with pytest.raises(UserError, match=words):
            translator.search(["ba"], **options)  # type: ignore[arg-type]


def test_a_long_prefix_leaves_room_for_the_terms() -> None:
    (found,) = seq2seq.load(STORED).search(["so"], prefixes=["RA " * 6], terms=[["KO KO KO", "NE NE NE"]])
    assert found[0].text.startswith("RA " * 6) and "KO KO KO" in found[0].text and "NE NE NE" in found[0].text
