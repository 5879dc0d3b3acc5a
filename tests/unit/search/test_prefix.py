"""Outputs with a given begin: the same as a search without it, among those outputs that begin so."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

import seq2seq
from seq2seq.errors import UserError
from seq2seq.search.beam import SearchConfig
from seq2seq.search.prefix import PieceTexts, PrefixState, forced_prefix, prefix_limits
from tests.unit.search.exhaustive import Chain, all_outputs, chains, same_scores, search, step

STORED = Path(__file__).parents[2] / "fixtures" / "translator-0.1.0-format2"
PIECES = [b"", b"", b"", b"", b"a", b"ab", b"b"]
"""Texts have several cuts: "ab" is one piece, or two."""


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_equals_the_exhaustive_search_among_outputs_that_begin_so(alpha: float) -> None:
    limit, n_best = 5, 3
    config = SearchConfig(beam_size=300, length_penalty=alpha)  # every output fits into the beam
    for seed in range(3):
        chance = random.Random(seed)
        prefixes = ["".join(chance.choices("ab", k=size)).encode() for size in (0, 1, 2, 3, 0)]
        tables = chains(len(prefixes), seed)
        state = PrefixState(Chain(tables), prefixes)
        found = search(forced_prefix(step, PieceTexts(PIECES)), state, [limit] * len(prefixes), config, n_best)
        for table, prefix, best in zip(tables, prefixes, found, strict=True):

            def begins(words: tuple[int, ...], prefix: bytes = prefix) -> bool:
                return b"".join(PIECES[word] for word in words).startswith(prefix)

            assert same_scores(best, all_outputs(table, limit, config, begins))


def test_limits_leave_room_for_the_prefix() -> None:
    assert prefix_limits(torch.tensor([3, 3, 3]), [b"", b"ab", b"abba"]).tolist() == [3, 3, 5]


def test_a_state_without_prefixes_changes_nothing() -> None:
    tables = chains(2, 1)
    log_probs, _ = forced_prefix(step, PieceTexts(PIECES))(torch.tensor([2, 2]), PrefixState(Chain(tables), [b"", b""]))
    assert torch.equal(log_probs, tables[:, 2])


def test_a_prefix_may_end_within_a_piece() -> None:
    """The vocabulary has a piece for the whole word, and cuts its begin into others."""
    translator = seq2seq.load(STORED)
    free = translator.translate(["ba ko mi", "lu te"])
    for cut in (1, 4, 5):
        assert (
            translator.search(["ba ko mi"], prefixes=[free[0][:cut]])[0][0].tokens
            == translator.search(["ba ko mi"])[0][0].tokens
        )
    ended, open_ = (translator.search(["ba ko mi"], 5, prefixes=[prefix], beam_size=5)[0] for prefix in ("B ", "B"))
    assert all(each.text == "B" or each.text.startswith("B ") for each in ended)
    assert open_[0].text == free[0]


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
