"""Checkpoints: directories of safetensors and JSON that are whole or absent. Nothing is ever unpickled.

Every safetensors file carries the SHA-256 of its tensors; that of a run's model also those of the configuration and the
vocabulary it was trained with. What does not agree is refused, never used.

A checkpoint is written under a temporary name, synced, given a manifest of sizes and SHA-256 sums as its last file,
and renamed; then the file `latest` is made to name it, and only then are old ones pruned. Loading takes the newest
checkpoint that agrees with its manifest, whatever `latest` says: that file serves people and scripts.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seq2seq.config import FORMAT, check_format
from seq2seq.errors import UserError
from seq2seq.runs.layout import STATE_FILE
from seq2seq.runs.weights import load_tensors, save_tensors, sha256_of
from seq2seq.runtime.atomic_files import sweep, sync, write_atomically

log = logging.getLogger(__name__)


MANIFEST, LATEST_FILE = "manifest.json", "latest"
NAME = re.compile(r"step-\d{8,}")
"""Of a checkpoint's directory. What else lies beside them, such as a copy that someone made, is left alone."""


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state (moments, step counts) by parameter number and name."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": value for index, entry in state.items() for name, value in entry.items() if value is not None
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Puts back what `optimizer_tensors` took."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


class CheckpointStore:
    """The checkpoints of one run, in DIR/checkpoints."""

    def __init__(self, directory: Path, keep: int = 2) -> None:
        self.directory = directory
        self.keep = keep
        self.damaged: set[Path] = set()
        """Found by `load_latest`; removed once there is a new whole one, as they must not count among those kept."""

    def save(self, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> Path:
        """Writes checkpoint `step`: one safetensors file per entry of tensors, and state.json."""
        self.directory.mkdir(parents=True, exist_ok=True)
        final = self.directory / _name(step)
        temporary = self.directory / f".{final.name}.{os.getpid()}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        for name, group in tensors.items():
            save_tensors(group, temporary / f"{name}.safetensors")
        write_atomically(temporary / STATE_FILE, json.dumps({"format": FORMAT, "step": step, **state}, indent=1))
        write_atomically(temporary / MANIFEST, json.dumps(_manifest(temporary), indent=1))
        if final.exists():
            shutil.rmtree(final)
        self.damaged.discard(final)
        temporary.replace(final)
        sync(self.directory)
        write_atomically(self.directory / LATEST_FILE, final.name + "\n")
        self._prune()
        return final

    def load_latest(self) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]] | None:
        """The newest whole checkpoint's tensors and state; None if there is none yet.

        Raises UserError where checkpoints exist but none is whole, or the newest whole one is of a newer format.
        """
        candidates = self.list()
        for path in reversed(candidates):
            fault = find_fault(path)
            if fault is None:
                state = json.loads((path / STATE_FILE).read_text())
                check_format(state, str(path))
                return _tensors(path), state
            self.damaged.add(path)
            log.warning("%s is damaged (%s); falling back to the checkpoint before it", path, fault)
        if candidates:
            raise UserError(
                f"{self.directory}: no checkpoint is whole; remove the directory to start again, or restore it"
            )
        return None

    def load_step(self, step: int) -> dict[str, dict[str, Tensor]] | None:
        """The tensors of the checkpoint of that step; None where there is none, or it is damaged."""
        path = self.directory / _name(step)
        return _tensors(path) if path.is_dir() and find_fault(path) is None else None

    def list(self) -> list[Path]:
        """Checkpoints, oldest first."""
        found = (path for path in self.directory.glob("step-*") if path.is_dir() and NAME.fullmatch(path.name))
        return sorted(found)

    def _prune(self) -> None:
        whole = [path for path in self.list() if path not in self.damaged]
        for path in [*self.damaged, *whole[: -self.keep]]:
            shutil.rmtree(path, ignore_errors=path in self.damaged)
        self.damaged.clear()
        sweep(self.directory)
        for leftover in self.directory.glob(".step-*.tmp"):
            shutil.rmtree(leftover, ignore_errors=True)


def _name(step: int) -> str:
    """As `NAME` has it."""
    return f"step-{step:08d}"


def _tensors(checkpoint: Path) -> dict[str, dict[str, Tensor]]:
    """By file: model, optimizer, average."""
    return {file.stem: load_tensors(file) for file in checkpoint.glob("*.safetensors")}


def _manifest(directory: Path) -> dict[str, dict[str, Any]]:
    files = sorted(path for path in directory.iterdir() if path.name != MANIFEST)
    return {path.name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)} for path in files}


def find_fault(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint by its manifest, in words; None if it is whole."""
    try:
        listed = dict(json.loads((checkpoint / MANIFEST).read_text()))
        found = _manifest(checkpoint)
    except (OSError, ValueError, TypeError, RecursionError):
        return "its manifest is missing or unreadable"
    for name in sorted(listed.keys() | found.keys()):
        if listed.get(name) != found.get(name):
            return f"{name} is not what the manifest says"
    try:
        step = json.loads((checkpoint / STATE_FILE).read_text())["step"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return f"{STATE_FILE} is unreadable"
    return None if checkpoint.name == _name(step) else f"it holds step {step}"
