"""Utilities against sacreBLEU's sentence by sentence; the choice against a sum written out."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF

import seq2seq
from seq2seq.errors import UserError
from seq2seq.search.bayes_risk import bleu_of_pairs, chrf_of_pairs, expected_utility

STORED = Path(__file__).parents[2] / "fixtures" / "translator-0.1.0-format2"


def sentences(seed: int) -> list[str]:
    chance = random.Random(seed)
    words = ["Der", "alte", "Zug,", "fährt", "um", "10:30", "ab.", "\u2028", "5,5", "%", "der", "&quot;"]
    return ["", ".", "a", *(" ".join(chance.choices(words, k=chance.randint(1, 9))) for _ in range(12))]


def test_chrf_of_all_pairs_is_sacrebleus() -> None:
    for seed in range(3):
        texts = sentences(seed)
        expected = [[CHRF().sentence_score(one, [two]).score for two in texts] for one in texts]
        np.testing.assert_allclose(chrf_of_pairs(texts), expected, atol=1e-9)


def test_bleu_of_all_pairs_is_sacrebleus() -> None:
    for seed in range(3):
        texts = sentences(seed)
        metric = BLEU(effective_order=True)
        expected = [[metric.sentence_score(one, [two]).score for two in texts] for one in texts]
        np.testing.assert_allclose(bleu_of_pairs(texts), expected, atol=1e-9)


def test_expected_utility_is_the_weighted_mean() -> None:
    texts = ["der Zug", "ein Zug", "der Zug", "die Bahn"]
    weights = [1.0, 3.0, 2.0, 0.5]
    metric = CHRF()
    expected = [
        sum(w * metric.sentence_score(one, [two]).score for w, two in zip(weights, texts, strict=True)) / 6.5
        for one in texts
    ]
    assert expected_utility(texts, weights, chrf_of_pairs).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("utility", ["chrf", "bleu"])
@pytest.mark.parametrize("sampling", ["off", "ancestral", "without_replacement"])
def test_translations_are_chosen_by_it(utility: str, sampling: str) -> None:
    translator, texts = seq2seq.load(STORED), ["ba ko mi", "", "lu te so ra"]
    drawn = {"sampling": sampling, "temperature": 1.5} if sampling != "off" else {}
    found = translator.search(texts, 8, **drawn)
    chosen = translator.search(texts, 2, mbr=utility, candidates=8, **drawn)
    metric = CHRF() if utility == "chrf" else BLEU(effective_order=True)
    for pool, best in zip(found, chosen, strict=True):
        if len(pool) == 1:
            assert best[0].text == pool[0].text == ""
            continue
        weights = [1.0 if sampling == "ancestral" else np.exp(each.log_probability) for each in pool]
        expected = {
            one.text: sum(
                w * metric.sentence_score(one.text, [two.text]).score for w, two in zip(weights, pool, strict=True)
            )
            / sum(weights)
            for one in pool
        }
        assert best[0].score == pytest.approx(max(expected.values()))
        assert best[0].score == pytest.approx(expected[best[0].text])
    alone = [translator.search([text], 2, mbr=utility, candidates=8, **drawn)[0] for text in texts]
    assert [[each.text for each in best] for best in alone] == [[each.text for each in best] for best in chosen]


def test_a_second_score_is_refused() -> None:
    with pytest.raises(UserError, match="length_reward does nothing beside mbr"):
        seq2seq.load(STORED).translate(["ba"], mbr="chrf", length_reward=1)
    with pytest.raises(UserError, match="candidates 9 is more than beam_size 4"):
        seq2seq.load(STORED).translate(["ba"], mbr="chrf", candidates=9, beam_size=4)
