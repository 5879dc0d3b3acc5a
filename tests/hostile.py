"""Configurations that ask for more than their weights have."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from seq2seq.runs.layout import MODEL_FILE
from seq2seq.runs.weights import load_tensors, save_tensors

UNBOUND = "unbound"
BINDINGS = ["the old", "forged", UNBOUND]
"""What the metadata of model.safetensors say of the changed configuration: that it is not the model's, that it is, or
nothing."""


def hostile_options(model: dict[str, Any], prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths of the whole numbers in a model's configuration."""
    paths = []
    for name, value in model.items():
        if isinstance(value, dict):
            paths += hostile_options(value, (*prefix, name))
        elif type(value) is int:
            paths.append((*prefix, name))
    return paths


def make_hostile(directory: Path, option: tuple[str, ...], size: int, binding: str) -> None:
    """Sets one size in config.json."""
    content = json.loads((directory / "config.json").read_text())
    group = content["model"]
    for name in option[:-1]:
        group = group[name]
    group[option[-1]] = size
    (directory / "config.json").write_text(json.dumps(content))
    path = directory / MODEL_FILE
    if binding == "forged":
        save_tensors(load_tensors(path), path, {"config.json": json.dumps(content["model"])})
    elif binding == UNBOUND:
        save_file(load_tensors(path), path)
