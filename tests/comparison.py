"""What a run ends with, to compare one run with another."""

import json
from pathlib import Path
from typing import Any

import torch

from seq2seq.runs.weights import load_tensors


def final_state(directory: Path) -> dict[str, Any]:
    """Everything a run ends with, but for speeds."""
    newest = sorted((directory / "checkpoints").glob("step-*"))[-1]
    state = {path.name: load_tensors(path) for path in sorted(newest.glob("*.safetensors"))}
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().split("\n") if line]
    for line in lines:
        line.pop("tokens_per_second", None)
    # A logging window that an interruption cut short starts anew: training losses are logged over fewer steps there.
    validations = [line for line in lines if "validation_loss" in line]
    return {"best": load_tensors(directory / "model.safetensors"), "validations": validations, **state}


def assert_same(one: Any, two: Any) -> None:
    """Equal to the last bit."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, two)
    elif isinstance(one, dict):
        assert one.keys() == two.keys()
        for key in one:
            assert_same(one[key], two[key])
    else:
        assert one == two


def assert_close(one: Any, two: Any, tolerance: float) -> None:
    """Nested lists of the same texts, and of numbers that differ by no more than so much."""
    if isinstance(one, list):
        assert len(one) == len(two)
        for each, other in zip(one, two, strict=True):
            assert_close(each, other, tolerance)
    elif isinstance(one, float):
        assert abs(one - two) <= tolerance, (one, two)
    else:
        assert one == two
