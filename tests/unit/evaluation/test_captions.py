"""Caption scores against values made by hand."""

import math

import pytest

from seq2seq.evaluation.captions import caption_scores


def test_bleu_of_each_order() -> None:
    """Tokens 'a b x' against 'a b c d' and 'z b x': 3 of 3 unigrams, 2 of 2 bigrams, no trigram; nearest length 3."""
    scores = caption_scores(["a b x", "p q r s"], [["a b c d", "z b x"], ["p q r s"]])
    assert scores.bleu[0] == pytest.approx(100.0)
    assert scores.bleu[1] == pytest.approx(100.0)
    # Trigrams: 0 of 1 and 2 of 2, that is 2 of 3; 4-grams: 1 of 1, the first caption has none.
    assert scores.bleu[2] == pytest.approx(100 * (2 / 3) ** (1 / 3))
    assert scores.bleu[3] == pytest.approx(100 * (2 / 3) ** (1 / 4))
    assert scores.exact_match == 50.0


def test_cider_is_highest_for_the_references_themselves() -> None:
    pytest.importorskip("pycocoevalcap")
    references = [["a red square"], ["two green dots"], ["a blue line above it"]]
    perfect = caption_scores([lines[0] for lines in references], references).cider
    wrong = caption_scores(["nothing known here"] * 3, references).cider
    assert perfect is not None and wrong is not None
    assert wrong == 0.0 < perfect <= 10.0
    assert math.isfinite(perfect)
