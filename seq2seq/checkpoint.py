"""Checkpoints: directories of safetensors and JSON that are whole or absent. Nothing is ever unpickled.

A checkpoint is written under a temporary name, synced, given a manifest of sizes and SHA-256 sums as its last file,
and renamed; only then is it named the latest, and only then are old ones pruned. Loading verifies the manifest and
falls back to the newest checkpoint that is whole.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from seq2seq.config import UserError

log = logging.getLogger(__name__)

FORMAT = 1
"""Version of the layout of checkpoints and run directories; CHANGELOG.md says which release reads which."""
MANIFEST = "manifest.json"


def sync(path: Path) -> None:
    """Makes a file or directory entry survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Replaces a file so that readers see the old or the new content, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Writes tensors as safetensors, atomically."""
    # Not save_file: it creates files that nobody but their owner may read.
    write_atomically(path, save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Reads safetensors. Raises UserError naming the file where it is missing or not whole."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({error}); restore it or train again") from None


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The model's tensors by name; a weight that several modules share is stored under its first name only."""
    seen: dict[int, str] = {}
    tensors = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if seen.setdefault(id(tensor), name) == name:
            tensors[name] = tensor
    return tensors


@torch.no_grad()
def load_model_tensors(model: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Copies stored tensors into a model of the same configuration. Raises UserError naming what does not fit."""
    own = model_tensors(model)
    if own.keys() != tensors.keys():
        differing = sorted(own.keys() ^ tensors.keys())
        raise UserError(
            f"{where}: does not belong to this model's configuration; tensors that differ: {', '.join(differing[:5])}"
        )
    for name, tensor in own.items():
        if tensor.shape != tensors[name].shape:
            stored = list(tensors[name].shape)
            raise UserError(
                f"{where}: tensor {name} has shape {stored}, the configuration asks for {list(tensor.shape)}"
            )
        tensor.copy_(tensors[name])


def load_weights(model: nn.Module, directory: Path) -> None:
    """Fills a model from a run directory. Raises UserError where weights are missing, damaged or another model's."""
    path = directory / "model.safetensors"
    if not path.exists():
        raise UserError(f"{directory}: the run holds no {path.name} yet; let it train until its first validation")
    load_model_tensors(model, load_tensors(path), str(path))


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

    def save(self, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> Path:
        """Writes checkpoint `step`: one safetensors file per entry of tensors, and state.json."""
        self.directory.mkdir(parents=True, exist_ok=True)
        final = self.directory / f"step-{step:08d}"
        temporary = self.directory / f".{final.name}.{os.getpid()}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        for name, group in tensors.items():
            save_tensors(group, temporary / f"{name}.safetensors")
        write_atomically(temporary / "state.json", json.dumps({"format": FORMAT, "step": step, **state}, indent=1))
        write_atomically(temporary / MANIFEST, json.dumps(_manifest(temporary), indent=1))
        if final.exists():
            shutil.rmtree(final)
        temporary.replace(final)
        sync(self.directory)
        self._prune()
        return final

    def load_latest(self) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]] | None:
        """The newest whole checkpoint's tensors and state; None if there is none yet.

        Raises UserError where checkpoints exist but none is whole.
        """
        candidates = self.list()
        for path in reversed(candidates):
            fault = find_fault(path)
            if fault is None:
                files = path.glob("*.safetensors")
                return {file.stem: load_tensors(file) for file in files}, json.loads((path / "state.json").read_text())
            log.warning("%s is damaged (%s); falling back to the checkpoint before it", path, fault)
        if candidates:
            raise UserError(
                f"{self.directory}: no checkpoint is whole; remove the directory to start again, or restore it"
            )
        return None

    def list(self) -> list[Path]:
        """Checkpoints, oldest first."""
        return sorted(path for path in self.directory.glob("step-*") if path.is_dir())

    def _prune(self) -> None:
        for path in self.list()[: -self.keep]:
            shutil.rmtree(path)
        for leftover in self.directory.glob(".step-*.tmp"):
            shutil.rmtree(leftover, ignore_errors=True)


def _manifest(directory: Path) -> dict[str, dict[str, Any]]:
    files = sorted(path for path in directory.iterdir() if path.name != MANIFEST)
    return {path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)} for path in files}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def find_fault(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint by its manifest, in words; None if it is whole."""
    try:
        listed = json.loads((checkpoint / MANIFEST).read_text())
        found = _manifest(checkpoint)
    except (OSError, ValueError):
        return "its manifest is missing or unreadable"
    for name in sorted(listed.keys() | found.keys()):
        if listed.get(name) != found.get(name):
            return f"{name} is not what the manifest says"
    return None
