"""Calibration by hand, and confidences against the plain decoder, step by step."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import seq2seq
from seq2seq.cli.main import main
from seq2seq.data.symbols import BOS_ID, EOS_ID
from seq2seq.evaluation.calibration import Calibration, binned, rank_correlation
from seq2seq.inference.confidence import token_confidences

STORED = Path(__file__).parents[2] / "fixtures" / "translator-0.1.0-format2"


def test_the_expected_error_by_hand() -> None:
    bins = binned([0.05, 0.1, 0.95, 0.93, 1.0, 0.0], [False, True, True, False, True, False])
    assert [(each.label, each.tokens) for each in bins] == [("0–0.1", 3), ("0.9–1", 3)]
    assert bins[0].confidence == pytest.approx(0.05)
    assert bins[0].accuracy == pytest.approx(1 / 3)
    expected = 100 * (3 * abs(1 / 3 - 0.05) + 3 * abs(2 / 3 - 0.96)) / 6
    assert Calibration(bins, 0.0).expected_error == pytest.approx(expected)


def test_rank_correlation() -> None:
    assert rank_correlation([1, 2, 3, 9], [0.1, 0.2, 0.3, 0.4]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert math.isnan(rank_correlation([1, 1], [1, 2]))
    with warnings.catch_warnings(action="error"):
        assert math.isnan(rank_correlation([], []))
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(1)
    for _ in range(20):
        one, other = random.integers(6, size=(2, 12))
        assert rank_correlation(one.tolist(), other.tolist()) == pytest.approx(stats.spearmanr(one, other).statistic)


def test_confidences_are_those_of_the_plain_decoder() -> None:
    translator = seq2seq.load(STORED)
    sources, targets = ["ba ko", "lu te so ra", "mi"], ["BA KO", "LU SO", ""]
    found = token_confidences(translator, sources, targets)
    for source, target, (confidences, right) in zip(sources, targets, found, strict=True):
        ids = torch.tensor([[*translator.source_vocabulary.encode(source), EOS_ID]])
        wanted = [*translator.target_vocabulary.encode(target), EOS_ID]
        with torch.no_grad():
            state = translator.model.start(ids, torch.tensor([ids.shape[1]]))
            for place, (before, after) in enumerate(zip([BOS_ID, *wanted], wanted, strict=False)):
                log_probs, state = translator.model.step(torch.tensor([before]), state)
                assert confidences[place] == pytest.approx(float(log_probs.max().exp()), abs=1e-5)
                assert right[place] == (int(log_probs.argmax()) == after)
        assert len(confidences) == len(wanted)
    assert [each[1] for each in token_confidences(translator, sources[::-1], targets[::-1])[::-1]] == [
        each[1] for each in found
    ]


def test_evaluate_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [("ba ko mi", ["BA KO MI", "x"]), ("lu", ["MI"]), ("te so", ["TE SO"])]
    rows = [json.dumps({"s": source, "t": lines}) + "\n" for source, lines in pairs]
    (tmp_path / "test.jsonl").write_text("".join(rows))
    words = ["evaluate", str(STORED), "--data", str(tmp_path), "--source", "s", "--target", "t", "--json"]
    words += ["--output", str(tmp_path / "o"), "--metrics", "accuracy"]
    assert main(words) == 0
    plain = json.loads(capsys.readouterr().out)
    assert main([*words, "--calibration"]) == 0
    figures = json.loads(capsys.readouterr().out)
    translator = seq2seq.load(STORED)
    found = token_confidences(translator, [pair[0] for pair in pairs], [pair[1][0] for pair in pairs])
    bins = binned([each for values, _ in found for each in values], [each for _, hits in found for each in hits])
    assert figures.pop("expected_calibration_error") == pytest.approx(Calibration(bins, 0.0).expected_error, abs=1e-3)
    assert -1 <= figures.pop("score_chrf_rank_correlation") <= 1
    assert figures == plain
    undefined = Calibration(bins, rank_correlation([1.0, 1.0], [1.0, 2.0])).figures()
    assert json.loads(json.dumps(undefined, allow_nan=False))["score_chrf_rank_correlation"] is None
