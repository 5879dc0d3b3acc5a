"""Runs that earlier releases wrote load and give the output stored with them."""

import json
from pathlib import Path

import pytest

import seq2seq
from tests.reliability.conftest import Trials

STORED = sorted((Path(__file__).parents[1] / "fixtures").glob("run-*"))


@pytest.mark.fault(18, "runs of earlier releases", len(STORED), len(STORED))
def test_stored_runs_give_their_stored_output(trials: Trials) -> None:
    assert STORED
    for _ in trials:
        run = STORED[trials.done]
        expected = json.loads((run / "expected.json").read_text())
        found = [best[0] for best in seq2seq.load(run).search([each["source"] for each in expected])]
        assert [each.text for each in found] == [each["text"] for each in expected]
        assert [each.score for each in found] == pytest.approx([each["score"] for each in expected], abs=1e-4)
