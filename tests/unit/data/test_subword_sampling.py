"""Drawn segmentations against the walk and the lattice written out in full."""

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from seq2seq.data.subword_sampling import (
    BPEDropout,
    PieceTable,
    SubwordRegularisation,
    Word,
    pair_sampler,
    resegmented,
)
from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig
from seq2seq.errors import UserError
from seq2seq.model.seq2seq import ModelConfig
from seq2seq.tasks.configs import ExperimentConfig

LINES = [
    " ".join(random.Random(row).choices(["newer", "lower", "wide", "low", "new", "owl"], k=4)) for row in range(60)
]
ODD = [*LINES[:20], "newerlowerowl 日本 <unk> low€wide", "", "  x  owlnew"]
DRAWS = 20_000


@cache
def vocabulary(model_type: str) -> Vocabulary:
    return Vocabulary.train(LINES, VocabularyConfig(size=290, model_type=model_type))  # type: ignore[arg-type]


def frequencies(draw: Callable[..., object], word: Word) -> dict[Word, float]:
    source = random.Random(1).random
    return {drawn: n / DRAWS for drawn, n in Counter(tuple(draw(word, source)) for _ in range(DRAWS)).items()}  # type: ignore[call-overload]


def assert_like(found: dict[Word, float], expected: dict[Word, float]) -> None:
    """Within four standard deviations each."""
    assert set(found) <= set(expected)
    for drawn, probability in expected.items():
        spread = math.sqrt(probability * (1 - probability) / DRAWS)
        assert found.get(drawn, 0.0) == pytest.approx(probability, abs=4 * spread + 1e-9), drawn


def test_bpe_without_dropout_is_sentencepieces_own_segmentation() -> None:
    table, drawn = PieceTable.of(vocabulary("bpe")), []
    draw = BPEDropout(table, 0.0)
    whole = vocabulary("bpe").encode_batch(ODD)
    for ids in whole:
        drawn.append([piece for word in table.words(ids) for piece in draw(word, random.random)])
    assert drawn == whole
    assert any(len(ids) > 20 for ids in whole)


def walk(table: PieceTable, pieces: Word, drop: float) -> dict[Word, float]:
    """Algorithm 1 of Provilkov et al. 2020 with every subset of dropped merges, and its probability."""
    merges = []
    for place in range(len(pieces) - 1):
        joined = table.ids.get(table.spelled(pieces[place : place + 2]))
        if joined is not None:
            merges.append((table.scores[joined], -place, (*pieces[:place], joined, *pieces[place + 2 :])))
    total: Counter[Word] = Counter()
    for kept in itertools.product([False, True], repeat=len(merges)):
        probability = math.prod(1 - drop if each else drop for each in kept)
        left = [merge for merge, is_kept in zip(merges, kept, strict=True) if is_kept]
        for end, share in (walk(table, max(left)[2], drop) if left else {pieces: 1.0}).items():
            total[end] += probability * share
    return total


def test_bpe_dropouts_distribution_is_that_of_algorithm_1() -> None:
    table = PieceTable.of(vocabulary("bpe"))
    for text in ("lower", "owl"):
        word = tuple(vocabulary("bpe").encode(text))
        characters = tuple(table.ids[character] for character in table.spelled(word))
        expected = walk(table, characters, 0.3)
        assert len(expected) > 3
        assert_like(frequencies(BPEDropout(table, 0.3), word), expected)


def test_subword_regularisation_draws_by_the_powers_of_probabilities() -> None:
    """Against all segmentations of the word, listed."""
    texts = ["▁", "a", "b", "▁a", "ab", "ba", "aba", "▁ab"]
    scores = [-1.0, -2.5, -1.5, -3.0, -0.5, -2.0, -4.0, -3.5]
    table = PieceTable(texts, scores, {text: piece for piece, text in enumerate(texts)}, [False] * 8, 3)
    weights, text, alpha = {}, "▁abab", 0.4
    for cuts in itertools.product([False, True], repeat=len(text) - 1):
        ends = [place + 1 for place, cut in enumerate(cuts) if cut]
        parts = [text[begin:end] for begin, end in itertools.pairwise([0, *ends, len(text)])]
        if all(part in texts for part in parts):
            ids = tuple(map(texts.index, parts))
            weights[ids] = math.exp(alpha * sum(scores[piece] for piece in ids))
    assert len(weights) == 11
    total = sum(weights.values())
    found = frequencies(SubwordRegularisation(table, alpha), (0, 4, 4))
    assert_like(found, {ids: weight / total for ids, weight in weights.items()})


@pytest.mark.parametrize(("model_type", "rates"), [("bpe", (0.3, 0.0)), ("unigram", (0.0, 0.2))])
def test_drawn_pairs_read_the_same_and_depend_on_seed_epoch_and_row_alone(
    model_type: str, rates: tuple[float, float]
) -> None:
    pieces = vocabulary(model_type)
    ids = pieces.encode_batch(ODD)
    sampler, again, other = (pair_sampler(pieces, pieces, *rates, seed) for seed in (1, 1, 2))
    assert sampler and again and other
    drawn = [sampler((each, each), 3, row) for row, each in enumerate(ids)]
    for source, target in drawn:
        assert pieces.decode(source) == pieces.decode(target)
    assert pieces.decode_batch([source for source, _ in drawn]) == pieces.decode_batch(ids)
    assert any(source != target for source, target in drawn)
    for row in reversed(range(len(ids))):
        assert again((ids[row], ids[row]), 3, row) == drawn[row]
    for changed in (other, lambda pair, epoch, row: sampler(pair, epoch + 1, row)):
        assert [changed((each, each), 3, row) for row, each in enumerate(ids)] != drawn
    assert len({tuple(sampler((ids[0], ids[0]), 0, row)[0]) for row in range(50)}) > 5


def test_a_streams_rows_are_counted_from_its_begin() -> None:
    pieces = vocabulary("bpe")
    rows = [(ids, ids) for ids in pieces.encode_batch(LINES[:9])]
    sampler = pair_sampler(pieces, pieces, 0.3, 0.0, 1)
    assert sampler
    expected = [sampler(pair, 2, row) for row, pair in enumerate(rows)]
    assert list(resegmented(iter(rows), sampler, 2)) == expected
    assert list(resegmented(iter(rows), None, 2)) == rows


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"bpe_dropout": 0.1}, "bpe_dropout needs vocabulary.model_type bpe, not unigram"),
        (
            {"segmentation_alpha": 0.1, "source_units": "characters", "target_units": "characters"},
            "draw subwords; set source_units and target_units to subwords",
        ),
        ({"segmentation_alpha": 0.1, "bpe_dropout": 0.1}, "two ways of drawing segmentations: choose one"),
        (
            {
                "segmentation_alpha": 0.1,
                "source_units": "characters",
                "target_units": "symbols",
                "model": ModelConfig(tie="two_way"),
            },
            "draw subwords; set source_units and target_units to subwords",
        ),
        ({"r_drop": 1.0, "minimum_risk_samples": 4}, "r_drop and minimum_risk_samples are 2 objectives: choose one"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        ExperimentConfig(data="data", source="en", target="de", **options)


def test_a_vocabulary_of_another_kind_is_refused() -> None:
    with pytest.raises(UserError, match="bpe_dropout needs a vocabulary of bpe"):
        pair_sampler(vocabulary("unigram"), vocabulary("unigram"), 0.1, 0.0, 1)
    assert pair_sampler(vocabulary("unigram"), vocabulary("unigram"), 0.0, 0.0, 1) is None
