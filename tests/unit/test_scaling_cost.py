"""tools/scaling_cost.py against values worked out by hand."""

import json
from pathlib import Path

import pytest
import scaling_cost
from scaling_cost import Link


def test_a_message_takes_its_bytes_over_the_link_and_its_hops() -> None:
    """4 MiB, one part: 2 * 7 / 8 * 4,194,304 bytes at 1 GB/s are 7.340 ms, 2 * 3 hops of 10 microseconds 0.06 ms."""
    assert scaling_cost.message_ms(2**20, 4, 8, Link("", 1, 10)) == pytest.approx(7.340032 + 0.06)
    assert scaling_cost.message_ms(2**20, 4, 1, Link("", 1, 10)) == 0
    assert scaling_cost.message_ms(2**21, 4, 2, Link("", 1, 10)) == pytest.approx(8.388608 + 2 * 0.02)


def test_accumulation_is_the_least_that_reaches_the_share() -> None:
    assert scaling_cost.efficiency(9, 1) == pytest.approx(0.9)
    assert scaling_cost.batches_for(0.9, 10, 20) == 18
    assert scaling_cost.efficiency(10, 20, 18) == pytest.approx(0.9)
    assert scaling_cost.efficiency(10, 20, 17) < 0.9
    assert scaling_cost.batches_for(0.9, 10, 0) == 1


def test_the_model_is_compared_with_measured_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of 50 ms half is hidden: two processes make 2 * 1,000 * 100 / 125 tokens a second."""
    figures = {
        "1 processes: target tokens/s": 1000,
        "1 processes: ms a step": 100,
        "2 processes: target tokens/s": 1500,
        "2 processes: ms a step": 130,
        "2 processes: ms a message": 50,
        "2 processes: hidden, %": 50,
    }
    path = tmp_path / "figures.json"
    path.write_text(json.dumps([{"work": name, "median": each} for name, each in figures.items()]))
    assert scaling_cost.main(["--check", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == ["| 1 | 1,000 | 1,000 |", "| 2 | 1,600 | 1,500 |"]
    for bad in ("[]", "{", '["a"]'):
        path.write_text(bad)
        assert scaling_cost.main(["--check", str(path)]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_step_of_ones_own_is_estimated(capsys: pytest.CaptureFixture[str]) -> None:
    assert scaling_cost.main(["--step-ms", "10", "--parameters", "1e6", "--gpus", "1", "64"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| 1,000,000 parameters: 10.0 ms | 1 | NVLink 4 | 0.0 ms | 100 % | 100 % | 1 |"
    assert len(lines) == 5
    assert scaling_cost.main(["--step-ms", "10"]) == 2
