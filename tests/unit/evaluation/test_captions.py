"""Caption scores against values made by hand."""

import shutil

import pytest

from seq2seq.cli.main import main
from seq2seq.cli.scoring import OF_CAPTIONS
from seq2seq.errors import UserError
from seq2seq.evaluation.caption_metrics import caption_words, cider, meteor, rouge_l
from seq2seq.evaluation.captions import CAPTION_METRICS, caption_figure, caption_scores

CAPTIONS = ["a small red square above a dog", "the dog runs on grass", "a circle"]
REFERENCES = [
    ["a red square above a dog", "there is a small red square"],
    ["a dog runs over the grass", "the dog runs"],
    ["one blue circle"],
]


def test_bleu_of_each_order() -> None:
    """Tokens 'a b x' against 'a b c d' and 'z b x': 3 of 3 unigrams, 2 of 2 bigrams, no trigram; nearest length 3."""
    scores = caption_scores(["a b x", "p q r s"], [["a b c d", "z b x"], ["p q r s"]])
    assert scores.bleu[0] == pytest.approx(100.0)
    assert scores.bleu[1] == pytest.approx(100.0)
    # Trigrams: 0 of 1 and 2 of 2, that is 2 of 3; 4-grams: 1 of 1, the first caption has none.
    assert scores.bleu[2] == pytest.approx(100 * (2 / 3) ** (1 / 3))
    assert scores.bleu[3] == pytest.approx(100 * (2 / 3) ** (1 / 4))
    assert scores.exact_match == 50.0


def test_rouge_takes_precision_and_recall_of_the_best_reference_each() -> None:
    """a c is common with the first, 2 of 3 words and 2 of 4; a with the second, 1 of 3 and 1 of 1."""
    precision, recall = 2 / 3, 1.0
    expected = 100 * (1 + 1.44) * precision * recall / (recall + 1.44 * precision)
    assert rouge_l(["a b c"], [["a x c d", "a"]]) == pytest.approx(expected)
    assert rouge_l(["a b c", "", "p"], [["a x c d", "a"], ["q"], ["p"]]) == pytest.approx((expected + 0 + 100) / 3)


def test_cider_of_two_images() -> None:
    """All words are in one image's references, so that all weights are log 2. First caption: cosine 1 of words and of
    pairs, no longer n-grams; second: c of c x and c d, cosine 1/2 of words, 0 of pairs."""
    assert cider(["a b", "c x"], [["a b"], ["c d"]]) == pytest.approx(10 * (2 / 4 + 0.5 / 4) / 2)


def test_figures_are_those_of_cocos_own_code() -> None:
    """Computed by pycocoevalcap 1.2, and METEOR by its program."""
    assert cider(CAPTIONS, REFERENCES) == pytest.approx(3.6076274149838823, rel=1e-9)
    assert rouge_l(CAPTIONS, REFERENCES) == pytest.approx(70.25150185877152, rel=1e-9)
    if shutil.which("java"):
        pytest.importorskip("pycocoevalcap")
        assert meteor(CAPTIONS, REFERENCES) == pytest.approx(41.99732102591968, rel=1e-6)


def test_case_and_punctuation_do_not_count() -> None:
    assert caption_words("A dog's ball, (two) T-shirts.") == "a dog's ball two t shirts"
    scores = caption_scores(["A dog."], [["a dog", "The cat!"]])
    assert (scores.bleu[1], scores.rouge_l, scores.exact_match) == (pytest.approx(100), pytest.approx(100), 100)


def test_words_of_other_scripts_stay_whole() -> None:
    assert caption_words("हिन्दी, क्या?") == "हिन्दी क्या"
    assert caption_words("Cafe\u0301-Bar!") == "cafe\u0301 bar"


def test_what_cannot_be_compared_is_refused() -> None:
    for name in ("rouge-l", "cider", "bleu-4"):
        with pytest.raises(UserError, match="there is nothing to score"):
            caption_figure(name, [], [])
        with pytest.raises(UserError):
            caption_figure(name, ["a"], [["a"], ["b"]])


def test_meteor_is_refused_before_anything_is_answered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert main(["evaluate", "no-such-run", "--metrics", "accuracy,meteor"]) == 2
    assert "--metrics meteor: METEOR's program needs Java" in capsys.readouterr().err


def test_figures_are_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tuple(CAPTION_METRICS) == OF_CAPTIONS
    scores = caption_scores(CAPTIONS, REFERENCES)
    chosen = [caption_figure(name, CAPTIONS, REFERENCES) for name in OF_CAPTIONS if name != "meteor"]
    assert chosen == [*scores.bleu, scores.rouge_l, scores.cider]
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert caption_scores(CAPTIONS, REFERENCES).meteor is None
    with pytest.raises(UserError, match="METEOR's program needs Java and pip install"):
        caption_figure("meteor", CAPTIONS, REFERENCES)
