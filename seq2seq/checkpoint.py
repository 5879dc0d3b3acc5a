"""Checkpoints: directories of safetensors and JSON that are whole or absent. Nothing is ever unpickled.

Every safetensors file carries the SHA-256 of its tensors; that of a run's model also those of the configuration and the
vocabulary it was trained with. What does not agree is refused, never used.

A checkpoint is written under a temporary name, synced, given a manifest of sizes and SHA-256 sums as its last file,
and renamed; then the file `latest` is made to name it, and only then are old ones pruned. Loading takes the newest
checkpoint that agrees with its manifest, whatever `latest` says: that file serves people and scripts.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from seq2seq.config import FORMAT, UserError, check_format
from seq2seq.files import sweep, sync, write_atomically

log = logging.getLogger(__name__)

MANIFEST, STATE_FILE, LATEST_FILE = "manifest.json", "state.json", "latest"
MODEL_FILE, CONFIG_FILE, GENERATION_FILE = "model.safetensors", "config.json", "generation_config.json"
CHECKPOINTS_FOLDER = "checkpoints"
VOCABULARY_FILES = ("*.spm.model", "characters.json")
NAME = re.compile(r"step-\d{8,}")
"""Of a checkpoint's directory. What else lies beside them, such as a copy that someone made, is left alone."""
METADATA = "seq2seq"
"""The one entry that is added to a safetensors file's metadata: JSON. Several would come in a random order."""
CHECKSUM = "sha256"


def save_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Writes tensors as safetensors with their checksum, atomically."""
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # Not save_file: it creates files that nobody but their owner may read.
    told = {**(metadata or {}), CHECKSUM: _tensors_sha256(stored)}
    write_atomically(path, save(stored, {METADATA: json.dumps(told, sort_keys=True)}))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Reads safetensors. Raises UserError naming the file where it is missing, not whole, or not as it was written."""
    return _read_safetensors(path)[0]


def stored_shapes(path: Path) -> tuple[dict[str, list[int]], dict[str, str]]:
    """Shapes of the tensors by name, and the metadata, from the header alone: no tensor is read. Raises UserError as
    `load_tensors` does, but for damage inside the tensors."""
    with _opened(path) as file:
        return {name: file.get_slice(name).get_shape() for name in file.keys()}, _metadata(file)  # noqa: SIM118


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, "pt") as file:
            yield file
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (SafetensorError, OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({error}); restore it or train again") from None


def _metadata(file: Any) -> dict[str, str]:
    """What was written with the tensors: nothing in files of other programs."""
    metadata = dict(json.loads((file.metadata() or {}).get(METADATA, "{}")))
    if not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are not strings")
    return metadata


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata."""
    with _opened(path) as file:
        metadata = _metadata(file)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    written = metadata.get(CHECKSUM)
    if written is not None and written != _tensors_sha256(tensors):
        raise UserError(f"{path}: its tensors are not those that were written (checksum); restore it or train again")
    return tensors, metadata


def _tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Over names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(repr((name, str(tensor.dtype), list(tensor.shape))).encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_model(model: nn.Module, directory: Path) -> None:
    """Writes model.safetensors into a run directory, bound to the configuration and vocabulary that lie there."""
    save_tensors(model_tensors(model), directory / MODEL_FILE, _belongings(directory))


def _belongings(directory: Path) -> dict[str, str]:
    """What a model is of no use without, by file name: the vocabulary's checksum, and the model's part of
    config.json."""
    found = {path.name: _sha256(path) for pattern in VOCABULARY_FILES for path in sorted(directory.glob(pattern))}
    if (directory / CONFIG_FILE).exists():
        found[CONFIG_FILE] = json.dumps(stored_model(directory), sort_keys=True)
    return found


def stored_model(directory: Path) -> dict[str, Any]:
    """The model's part of a run's configuration. Raises UserError where there is none."""
    path = directory / CONFIG_FILE
    if not path.is_file():
        raise UserError(f"{directory}: not a run directory (it has no {CONFIG_FILE})")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        stored = None
    check_format(stored, str(path))
    try:
        return dict(stored["model"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{path}: not a run's configuration; restore it or train again") from None


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
    check_shapes(own, {name: list(tensor.shape) for name, tensor in tensors.items()}, where)
    for name, tensor in own.items():
        tensor.copy_(tensors[name])


def check_shapes(own: Mapping[str, Tensor], stored: Mapping[str, list[int]], where: str) -> None:
    """Raises UserError where a model's tensors have other names or shapes than the stored ones."""
    if own.keys() != stored.keys():
        differing = sorted(own.keys() ^ stored.keys())
        raise UserError(
            f"{where}: does not belong to this model's configuration; tensors that differ: {', '.join(differing[:5])}"
        )
    for name, tensor in own.items():
        if list(tensor.shape) != stored[name]:
            raise UserError(
                f"{where}: tensor {name} has shape {stored[name]}, the configuration asks for {list(tensor.shape)}"
            )


def load_weights(model: nn.Module, directory: Path) -> None:
    """Fills a model from a run directory. Raises UserError where weights are missing, damaged or another model's."""
    check_bound(directory)
    path = directory / MODEL_FILE
    load_model_tensors(model, load_tensors(path), str(path))


def check_bound(directory: Path) -> dict[str, list[int]]:
    """The shapes of a run's tensors, by name. Raises UserError where the run has no model yet, or its configuration or
    vocabulary is not the one that the model was trained with; the tensors themselves are not read."""
    path = directory / MODEL_FILE
    if not path.exists():
        raise UserError(f"{directory}: the run holds no {path.name} yet; let it train until its first validation")
    shapes, metadata = stored_shapes(path)
    fault = _fault_in_belongings(directory, metadata)
    if fault is not None:
        raise UserError(fault)
    return shapes


def find_model_fault(directory: Path) -> str | None:
    """What is wrong with a run's model, vocabulary or configuration, in words; None where nothing is."""
    try:
        metadata = _read_safetensors(directory / MODEL_FILE)[1]
        if CHECKSUM not in metadata:
            return "holds no checksum: written by an earlier release or by another program"
        return _fault_in_belongings(directory, metadata)
    except UserError as error:
        return str(error)


def _fault_in_belongings(directory: Path, metadata: Mapping[str, str]) -> str | None:
    """The first file that is not the one that the model was trained with, in words."""
    found = _belongings(directory)
    for name in sorted(metadata.keys() - {CHECKSUM}):
        present = found.get(name, "")
        agrees = _includes(present, metadata[name]) if name == CONFIG_FILE else present == metadata[name]
        if not agrees:
            return f"{directory / name}: not what {MODEL_FILE} was trained with; restore the run's own, or train again"
    return None


def _includes(present: str, trained_with: str) -> bool:
    """Whether a configuration (JSON) has every setting of another; a later release may have added some. False where
    the other one is no JSON, or either is nested too deeply for this program to have written it."""

    def includes(now: Any, then: Any) -> bool:
        if isinstance(now, dict) and isinstance(then, dict):
            return all(name in now and includes(now[name], then[name]) for name in then)
        return bool(now == then)

    try:
        return bool(present) and includes(json.loads(present), json.loads(trained_with))
    except (ValueError, RecursionError):
        return False


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
                return {file.stem: load_tensors(file) for file in path.glob("*.safetensors")}, state
            self.damaged.add(path)
            log.warning("%s is damaged (%s); falling back to the checkpoint before it", path, fault)
        if candidates:
            raise UserError(
                f"{self.directory}: no checkpoint is whole; remove the directory to start again, or restore it"
            )
        return None

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
