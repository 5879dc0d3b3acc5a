"""Scores against sacreBLEU called directly, and worked out by hand."""

import contextlib
import random
import tracemalloc
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF, TER

from seq2seq.errors import UserError
from seq2seq.evaluation import metrics
from seq2seq.evaluation.error_rates import character_error_rate, error_rates
from seq2seq.evaluation.metrics import (
    bleu,
    bleu_metric,
    chrf,
    compare,
    corpus_scores,
    exact_match,
    lowercased,
    reference_streams,
)
from seq2seq.search.beam import SearchConfig
from seq2seq.tasks.evaluate import VALIDATED, Validator


def sentences(count: int, seed: int) -> list[str]:
    """Lines of common made-up words, so that n-grams match now and then."""
    random_words = random.Random(seed)
    words = ["ba", "ko", "Mi", "lu,", "te", "so", "ra."]
    return [" ".join(random_words.choices(words, k=random_words.randint(4, 12))) for _ in range(count)]


HYPOTHESES, ONE, TWO = sentences(40, 1), sentences(40, 2), sentences(40, 3)


def test_equals_sacrebleu_with_several_references() -> None:
    scores = corpus_scores(HYPOTHESES, [list(pair) for pair in zip(ONE, TWO, strict=True)])
    for ours, metric in ((scores.bleu, BLEU()), (scores.chrf, CHRF()), (scores.ter, TER())):
        assert ours.score == pytest.approx(metric.corpus_score(HYPOTHESES, [ONE, TWO]).score)
        assert ours.signature == str(metric.get_signature())


def test_references_of_varying_number_count_where_they_are() -> None:
    """A line without a second reference scores as sacreBLEU does when told None for it."""
    some = [[first, second] if row % 3 else [first] for row, (first, second) in enumerate(zip(ONE, TWO, strict=True))]
    second_stream = [second if row % 3 else None for row, second in enumerate(TWO)]
    expected = BLEU().corpus_score(HYPOTHESES, [ONE, second_stream]).score
    assert corpus_scores(HYPOTHESES, some).bleu.score == pytest.approx(expected)
    assert bleu(HYPOTHESES, some) == pytest.approx(expected)


def test_the_target_language_chooses_the_tokenizer() -> None:
    hypotheses, lines = ["我喜欢猫。", "他住在北京。"], ["我喜欢狗。", "她住在北京。"]
    ours = corpus_scores(hypotheses, [[line] for line in lines], target_language="zh").bleu
    metric = BLEU(trg_lang="zh")
    assert ours.score == metric.corpus_score(hypotheses, [lines]).score > 30
    assert ours.signature == str(metric.get_signature())
    assert "tok:zh" in ours.signature
    assert bleu(hypotheses, [[line] for line in lines], "zh") == ours.score
    assert "tok:13a" in corpus_scores(["a"], [["a"]], target_language="de").bleu.signature


def test_a_language_by_any_name_chooses_the_tokenizer_and_an_option_overrides_it() -> None:
    for name in ("中文", "zh_CN", "chinese", "cmn", "zho"):
        assert "tok:zh" in corpus_scores(["我"], [["我"]], target_language=name).bleu.signature
    assert "tok:char" in corpus_scores(["我"], [["我"]], target_language="zh", tokenize="char").bleu.signature
    for option in ("char", "zh"):
        expected = BLEU(tokenize=option).corpus_score(["我喜欢猫。"], [["我喜欢狗。"]]).score
        assert bleu(["我喜欢猫。"], [["我喜欢狗。"]], "de", option) == pytest.approx(expected)
    with pytest.raises(UserError, match="bleu_tokenizer must be one of 13a"):
        bleu(["a"], [["a"]], tokenize="13b")


def test_an_unfit_tokenizer_is_warned_of_once_and_before_training(caplog: pytest.LogCaptureFixture) -> None:
    for language, option, count in (("target", "", 1), ("中文", "", 0), ("target", "char", 0), ("zh", "13a", 1)):
        caplog.clear()
        Validator([], [["我喜欢猫。"], ["他住在北京。"]], Mock(), SearchConfig(), language, option)
        assert len(caplog.records) == count
        assert all("choose --bleu-tokenizer zh or char" in record.message for record in caplog.records)


def test_validation_gives_the_figure_that_chooses_the_best_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by its definition, and no other than BLEU and the loss besides, which would take time."""
    references = [[line] for line in ONE]
    hypotheses = [*ONE[:10], *HYPOTHESES[10:]]
    monkeypatch.setattr("seq2seq.tasks.evaluate.greedy_texts", lambda *_: hypotheses)
    monkeypatch.setattr(Validator, "_loss", lambda *_: 0.5)
    expected: dict[str, Any] = {
        "bleu": BLEU().corpus_score(hypotheses, [ONE]).score,
        "loss": 0.5,
        "chrf": CHRF().corpus_score(hypotheses, [ONE]).score,
        "accuracy": 25.0,
        "error_rate": error_rates(hypotheses, references).token,
        "character_error_rate": character_error_rate(hypotheses, references),
    }
    assert set(VALIDATED) == set(expected)
    for name in VALIDATED:
        found = Validator([], references, Mock(), SearchConfig(), best_metric=name)(Mock())
        assert found == pytest.approx({each: expected[each] for each in {"bleu", "loss", name}})


def test_a_tokenizer_whose_package_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sacrebleu.tokenizers.tokenizer_ja_mecab.MeCab", None)
    told = r"BLEU's tokenizer for ja cannot be used: .*pip install sacrebleu\[ja\]; or choose --bleu-tokenizer char"
    with pytest.raises(UserError, match=told):
        bleu_metric("ja")
    with pytest.raises(UserError, match=told):  # before any training
        Validator([], [], Mock(), SearchConfig(), "ja")


@pytest.mark.parametrize("language", ["", "zh"])
def test_validations_leave_no_sentences_behind(language: str) -> None:
    """sacreBLEU's tokenizers keep 65,536 sentences each: a process that validates for hours would grow so long."""

    def validate(seed: int) -> None:
        bleu(sentences(100, seed), [[line] for line in sentences(100, seed + 1)], language)

    validate(0)
    tracemalloc.start()
    validate(2)
    before, _ = tracemalloc.get_traced_memory()
    for seed in range(4, 44, 2):
        validate(seed)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 100_000  # bytes; kept, the 4,000 sentences take two megabytes


def test_a_perfect_and_a_hand_computed_score() -> None:
    assert corpus_scores(["a b c d"], [["a b c d"]]).bleu.score == pytest.approx(100)
    # Unigrams 4/5, bigrams 3/4, trigrams 2/3, 4-grams 1/2, no brevity penalty.
    by_hand = 100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    assert bleu(["a b c d e"], [["a b c d f"]]) == pytest.approx(by_hand)


def test_exact_match_is_a_percentage_over_any_reference() -> None:
    scores = corpus_scores(["a", "b ", "c", "d"], [["x", "a"], ["b"], ["z"], ["D"]])
    assert scores.exact_match == 50.0


def test_error_rates_are_among_the_scores() -> None:
    hypotheses, references = ["a b c", "X Y"], [["a b d"], ["x y", "z"]]
    scores = corpus_scores(hypotheses, references)
    assert scores.word_error_rate == pytest.approx(error_rates(hypotheses, references).token)
    assert scores.character_error_rate == pytest.approx(character_error_rate(hypotheses, references))
    assert corpus_scores(hypotheses, references, lowercase=True).word_error_rate == pytest.approx(100 / 5)
    figures = scores.to_dict()
    assert figures["word_error_rate"] == scores.word_error_rate
    assert figures["character_error_rate"] == scores.character_error_rate
    assert f"word error rate {scores.word_error_rate:.2f} %" in scores.describe()
    assert exact_match(["A"], [["a"]]) == 0
    assert chrf(["abc"], [["abc"]]) == 100


@pytest.mark.parametrize("tokenizer", ["13a", "none", "intl"])
def test_bleu_alone_is_sacrebleus_with_each_tokenizer(tokenizer: str) -> None:
    expected = BLEU(tokenize=tokenizer).corpus_score(HYPOTHESES, [ONE]).score
    assert bleu(HYPOTHESES, [[line] for line in ONE], tokenize=tokenizer) == pytest.approx(expected)


def test_words_alone_are_described_without_bleu_unless_all_are_wrong() -> None:
    line = corpus_scores(["reds", "blue"], [["reds"], ["blues"]]).describe()
    assert line.startswith("chrF2 ") and "exact match 50.00 %" in line and "BLEU" not in line
    assert corpus_scores(["x", "y"], [["reds"], ["blues"]]).describe().startswith("BLEU 0.00, ")
    assert corpus_scores(["a b c d"], [["a b c d"]]).describe().startswith("BLEU 100.00, ")


def test_lowercased_scores_regard_no_case_and_repeat_no_ter(monkeypatch: pytest.MonkeyPatch) -> None:
    hypotheses, references = ["A b c d", "e", "f"], [["a B c d"], ["x", "E"], ["g"]]
    expected = corpus_scores(hypotheses, references, lowercase=True)
    cased = corpus_scores(hypotheses, references)
    monkeypatch.setattr(TER, "corpus_score", None)
    assert lowercased(cased, hypotheses, references) == expected
    assert (cased.exact_match, expected.exact_match) == (0, pytest.approx(200 / 3))


def test_confidence_interval_is_reproducible_and_holds_the_score() -> None:
    first, second = (corpus_scores(HYPOTHESES, [[line] for line in ONE], confidence=True) for _ in range(2))
    assert first == second
    assert first.chrf.confidence is not None
    assert first.chrf.mean is not None
    assert abs(first.chrf.score - first.chrf.mean) < first.chrf.confidence
    assert "bs:1000" in first.chrf.signature


def test_approximate_randomisation_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs of the two systems change places at random: how often is the difference larger than the real one?"""
    monkeypatch.setattr(metrics, "RANDOMISATIONS", 40)
    nearly = [line if row % 2 else HYPOTHESES[row] for row, line in enumerate(ONE)]
    streams = reference_streams(ONE, [[line] for line in ONE])
    (found, *_) = compare(HYPOTHESES, nearly, streams, randomised=True)
    stays = np.random.default_rng(12345).integers(2, size=(40, len(ONE)), dtype=bool)

    def difference(pairs: list[tuple[str, str]]) -> float:
        one, two = (BLEU().corpus_score(list(side), [ONE]).score for side in zip(*pairs, strict=True))
        return abs(one - two)

    pairs = list(zip(HYPOTHESES, nearly, strict=True))
    real = difference(pairs)
    larger = sum(
        difference([pair if stay else pair[::-1] for pair, stay in zip(pairs, row, strict=True)]) > real + 1e-9
        for row in stays
    )
    assert found.p_value == pytest.approx((larger + 1) / 41)
    assert found.system.score - found.baseline.score == pytest.approx(real)
    assert found.system.confidence is None
    assert "ar:40" in found.system.signature


def test_paired_bootstrap_tells_a_better_system_from_an_equally_bad_one() -> None:
    streams = reference_streams(ONE, [[line] for line in ONE])
    nearly = [line if row % 2 else HYPOTHESES[row] for row, line in enumerate(ONE)]
    shuffled = HYPOTHESES[1:] + HYPOTHESES[:1]
    assert all(each.p_value > 0.05 for each in compare(HYPOTHESES, shuffled, streams))
    assert all(each.p_value < 0.05 for each in compare(HYPOTHESES, nearly, streams))


@pytest.mark.parametrize(
    ("hypotheses", "references", "told"),
    [
        (["a"], [["a"], ["b"]], "1 hypotheses but 2"),
        ([], [], "nothing to score"),
        (["a"], [[]], "no line has a reference"),
        (["a", "b"], [["a"], []], "line 2 has no reference"),
    ],
)
def test_unusable_input_is_named(hypotheses: list[str], references: list[list[str]], told: str) -> None:
    with pytest.raises(UserError, match=told):
        corpus_scores(hypotheses, references)


def test_an_interval_is_found_even_where_some_resamplings_score_nothing() -> None:
    """sacreBLEU itself raises TypeError here."""
    scores = corpus_scores(["x", "ba ko mi lu", "y"], [["a"], ["ba ko mi lu"], ["b"]], confidence=True)
    assert scores.chrf.confidence is not None
    assert scores.chrf.confidence > 0
    assert "bs:1000" in scores.chrf.signature


def test_a_seed_that_sacrebleu_cannot_take_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in ("abc", "-1", "9" * 5_000):
        monkeypatch.setenv("SACREBLEU_SEED", seed)
        with pytest.raises(UserError, match="SACREBLEU_SEED"):
            corpus_scores(["a b c d"], [["a b c d"]], confidence=True)


def test_sacrebleu_adds_no_line_of_its_own(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("sacrebleu.tokenizers.tokenizer_spm.download_file", offline)
    with contextlib.suppress(UserError):  # where the tokenizer's model is not on this machine
        bleu_metric(tokenize="spm")
    assert not caplog.records


def test_the_standard_error_of_accuracy_is_that_of_a_share() -> None:
    right = np.random.default_rng(1).binomial(300, 0.8, 100_000) / 3
    references = [["a"]] * 300
    validator = Validator([], references, Mock(), SearchConfig(), best_metric="accuracy")
    assert validator.standard_error(80.0) == pytest.approx(right.std(), rel=0.02)
    assert Validator([], references, Mock(), SearchConfig(), best_metric="bleu").standard_error(30.0) is None
