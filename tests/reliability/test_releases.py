"""Runs that earlier releases wrote load and give the output stored with them."""

import json

import pytest

from tests.comparison import assert_close
from tests.reliability.conftest import STORED, Trials
from tests.tiny_runs import answers


@pytest.mark.fault(18, "runs of earlier releases and formats, one of each kind", len(STORED), len(STORED))
def test_stored_runs_give_their_stored_output(trials: Trials) -> None:
    assert STORED
    for _ in trials:
        run = STORED[trials.done]
        expected = json.loads((run / "expected.json").read_text())
        assert_close(answers(run, expected["inputs"]), expected["answers"], 1e-4)
