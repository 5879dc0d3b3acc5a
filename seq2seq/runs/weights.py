"""Tensors in safetensors files with checksums, and a run's model bound to its configuration and vocabulary."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from seq2seq.config import check_format
from seq2seq.errors import UserError, check
from seq2seq.runs.layout import CONFIG_FILE, MODEL_FILE, VOCABULARY_FILES, model_is_lost
from seq2seq.runtime.atomic_files import write_atomically

METADATA = "seq2seq"
"""The one entry that is added to a safetensors file's metadata: JSON. Several would come in a random order."""
CHECKSUM = "sha256"


def save_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Writes tensors as safetensors with their checksum, atomically."""
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # Not save_file: it creates files that nobody but their owner may read.
    entries = {**(metadata or {}), CHECKSUM: _tensors_sha256(stored)}
    write_atomically(path, save(stored, {METADATA: json.dumps(entries, sort_keys=True)}))


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
    check(not path.is_dir(), f"{path}: a folder stands where the file should; restore it or train again")
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
    found = {path.name: sha256_of(path) for pattern in VOCABULARY_FILES for path in sorted(directory.glob(pattern))}
    if (directory / CONFIG_FILE).exists():
        found[CONFIG_FILE] = json.dumps(stored_model(directory), sort_keys=True)
    return found


def stored_model(directory: Path) -> dict[str, Any]:
    """The model's part of a run's configuration. Raises UserError where there is none."""
    return dict(stored_config(directory)["model"])


def stored_config(directory: Path) -> dict[str, Any]:
    """All of a run's config.json, which has a mapping `model`. Raises UserError otherwise."""
    path = directory / CONFIG_FILE
    if not path.is_file():
        reason = f"it has no {CONFIG_FILE}" if directory.exists() else "there is no such folder"
        runs = sorted(each.parent.name for each in directory.glob(f"*/{CONFIG_FILE}"))
        shown = ", ".join([*runs[:5], *(["..."] if runs[5:] else [])])
        hint = f"; name one of the folders in it: {shown}" if runs else ""
        raise UserError(f"{directory}: not a run directory ({reason}){hint}")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        stored = None
    check_format(stored, str(path))
    try:
        return {**stored, "model": dict(stored["model"])}
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
    if model_is_lost(directory):
        raise UserError(
            f"{path}: missing, though the best model was stored there; restore it, or repeat the command that trained "
            "the run, which stores one from the checkpoints"
        )
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


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
