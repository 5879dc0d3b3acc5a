"""Outputs that obey rules: the best of those that do, by exhaustive search."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import seq2seq
from seq2seq.errors import UserError
from seq2seq.search.beam import SearchConfig
from seq2seq.search.phrases import BannedPhrases, PhraseState, without_phrases
from seq2seq.search.restrictions import (
    CountingState,
    minimum_length,
    start_history,
    without_repeats,
    without_tokens,
)
from tests.unit.search.exhaustive import EOS, Chain, all_outputs, chains, same_scores, search, step

STORED = Path(__file__).parents[2] / "fixtures" / "translator-0.1.0-format2"
LIMIT, COUNT = 5, 6
EVERYTHING = SearchConfig(beam_size=300)
"""Every output fits into the beam."""
PIECES = [b"", b"", b"", b"", b" ab", b"a", b"b"]


def no_ngram_twice(words: tuple[int, ...], size: int) -> bool:
    ngrams = [words[start : start + size] for start in range(len(words) - size + 1)]
    return len(ngrams) == len(set(ngrams))


def text(words: tuple[int, ...]) -> str:
    return "".join(PIECES[word].decode() for word in words)


PHRASES = BannedPhrases(["ab", "a aba", "b"], PIECES, EOS)
RULES: dict[str, tuple[Any, Callable[[Chain], Any], Callable[[tuple[int, ...]], bool]]] = {
    "minimum": (minimum_length(step, 4, EOS), CountingState, lambda words: len(words) >= 3),
    "tokens": (without_tokens(step, torch.tensor([5])), lambda chain: chain, lambda words: 5 not in words),
    **{
        f"{size}-grams": (
            without_repeats(step, size),
            lambda chain: start_history(chain, COUNT, torch.device("cpu")),
            lambda words, size=size: no_ngram_twice(words, size),  # type: ignore[misc]
        )
        for size in (1, 2, 3)
    },
    "phrases": (
        without_phrases(step, PHRASES),
        lambda chain: PhraseState(chain, None),
        lambda words: not {"ab", "b"} & set(text(words).split()),
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_equals_the_exhaustive_search_among_allowed_outputs(rule: str) -> None:
    restricted, start, allowed = RULES[rule]
    tables = chains(COUNT, 7)
    found = search(restricted, start(Chain(tables)), [LIMIT] * COUNT, EVERYTHING, 3)
    for table, best in zip(tables, found, strict=True):
        assert same_scores(best, all_outputs(table, LIMIT, EVERYTHING, allowed))
    free = search(step, Chain(tables), [LIMIT] * COUNT, EVERYTHING)
    assert any(not allowed(tuple(best[0].tokens)) for best in free)


@pytest.mark.parametrize("rule", RULES)
def test_a_narrow_beam_obeys_too(rule: str) -> None:
    restricted, start, allowed = RULES[rule]
    found = search(restricted, start(Chain(chains(COUNT, 8))), [9] * COUNT, SearchConfig(beam_size=3), 3)
    assert all(allowed(tuple(each.tokens)) for best in found for each in best)


def test_banned_phrases_are_those_that_a_reader_finds() -> None:
    """Against a plain search in the text: no letter or digit stands before or behind a phrase."""
    chance = random.Random(3)
    pieces = [b"", b"", b"", b"", *(each.encode() for each in (" a", "a", "b", " ", ",", "ä", "1")), b"\xc3", b"\xa4"]
    for _ in range(40):
        phrases = ["".join(chance.choices("ab ,ä1", k=chance.randint(1, 4))).strip() or "a" for _ in range(3)]
        banned = BannedPhrases(phrases, pieces, EOS)
        tokens = [chance.randrange(4, len(pieces)) for _ in range(8)]
        state, met = 0, False
        for token in [*tokens, EOS]:
            assert banned.banned(state)[token] == (banned.after(state, token) == -1)
            state = banned.after(state, token)
            met |= state == -1
            if met:
                break
        read = b"".join(pieces[token] for token in tokens).decode("utf-8", "replace")
        assert met == any(holds(read, phrase) for phrase in phrases), (phrases, read)


def holds(read: str, phrase: str) -> bool:
    for start in range(len(read) - len(phrase) + 1):
        before, behind = read[:start][-1:], read[start + len(phrase) :][:1]
        inside = (before.isalnum() and phrase[0].isalnum()) or (behind.isalnum() and phrase[-1].isalnum())
        if read[start:].startswith(phrase) and not inside:
            return True
    return False


TEXTS = ["ba ko mi", "lu te so ra", "", "so", "ne ne ne ne"]
OPTIONS: dict[str, dict[str, Any]] = {
    "ban": {"ban": ["KO", "NE NE"]},
    "pieces": {"ban_pieces": ["▁BA"]},
    "length": {"min_length": 9},
    "repeats": {"no_repeat_ngram": 2, "no_unknown": True},
    "coverage": {"coverage_penalty": 2.0, "length_reward": 0.5},
}


@pytest.fixture(scope="module")
def translator() -> seq2seq.Translator:
    return seq2seq.load(STORED)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("beam", [1, 4])
def test_neither_order_nor_company_matters(translator: seq2seq.Translator, name: str, beam: int) -> None:
    def texts(given: list[str]) -> list[str]:
        return translator.translate(given, beam_size=beam, **OPTIONS[name])

    together = texts(TEXTS)
    assert together == texts(TEXTS[::-1])[::-1] == [texts([each])[0] for each in TEXTS]
    assert [best[0].text for best in translator.stream(iter(TEXTS), beam_size=beam, **OPTIONS[name])] == together
    assert together[2] == ""
    if name not in ("coverage", "pieces"):
        assert together != translator.translate(TEXTS, beam_size=beam)


def test_rules_hold_in_translations(translator: seq2seq.Translator) -> None:
    banned = translator.search(TEXTS, 4, ban=["KO", "NE NE"])
    assert not any(re.search(r"\bKO\b|\bNE NE\b", each.text) for best in banned for each in best)
    assert any(re.search(r"\bNE NE\b", best[0].text) for best in translator.search(TEXTS))
    long = translator.search(TEXTS, 4, min_length=30, max_length_ratio=0.1)
    assert all(len(each.tokens) >= 29 for best in long[:2] for each in best)
    single = translator.search(TEXTS, 4, no_repeat_ngram=1)
    assert all(no_ngram_twice(tuple(each.tokens), 1) for best in single for each in best)


def test_coverage_and_length_reward_by_hand(translator: seq2seq.Translator) -> None:
    plain = translator.search(TEXTS, 5)
    again = translator.search(TEXTS, 5, coverage_penalty=0.7, length_reward=-0.3)
    for source, before, after in zip(TEXTS, plain, again, strict=True):
        if not source:
            continue
        expected = {}
        for each in before:
            weights = translator.align([source], [each])[0].weights
            got = [min(sum(column), 1) for column in zip(*weights, strict=True)]
            coverage = sum(torch.tensor(got).log().tolist())
            expected[each.text] = each.score + 0.7 * coverage - 0.3 * (len(each.tokens) + 1)
        assert {each.text: each.score for each in after} == pytest.approx(expected, abs=1e-4)
        assert all(one.score >= two.score for one, two in itertools.pairwise(after))


def test_wrong_rules_are_refused(translator: seq2seq.Translator) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"min_length": 20, "max_length": 10}, "min_length 20 is more than max_length 10"),
        ({"min_length": -1}, "min_length must be a whole number from 0 to"),
        ({"ban": [" "]}, "banned text 1 is blank"),
        ({"ban": "KO"}, "ban texts must be a list of strings"),
        ({"ban_pieces": ["nothing"]}, "banned piece 'nothing': the target vocabulary has no such piece"),
        ({"ban_pieces": ["</s>"]}, "without it no output would end"),
        ({"no_repeat": 3}, "unknown search option 'no_repeat'; did you mean 'no_repeat_ngram'"),
    ]
    for options, words in wrong:
        with pytest.raises(UserError, match=words):
            translator.translate(TEXTS, **options)


WAYS: list[dict[str, Any]] = [
    *OPTIONS.values(),
    {"terms": [["RA"], [], [], ["MI"], []]},
    {"prefixes": ["RA", "", "", "LU T", ""]},
    {"beam_size": 6, "beam_groups": 3},
    {"sampling": "ancestral", "top_k": 5, "top_p": 0.9, "mbr": "bleu"},
    {"sampling": "without_replacement"},
]


@pytest.mark.gpu
@pytest.mark.parametrize("options", WAYS, ids=str)
def test_a_gpu_finds_the_same(translator: seq2seq.Translator, options: dict[str, Any]) -> None:
    there = seq2seq.load(STORED, device="cuda").search(TEXTS, 3, **options)
    here = translator.search(TEXTS, 3, **options)
    assert [[each.text for each in best] for best in there] == [[each.text for each in best] for best in here]
