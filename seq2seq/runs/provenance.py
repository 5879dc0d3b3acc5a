"""Where a run's figures come from: versions, revision, machine, data."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from seq2seq.config import FORMAT
from seq2seq.errors import UserError, check
from seq2seq.runs.layout import PROVENANCE_FILE

PACKAGES = ("seq2seq", "torch", "sentencepiece", "sacrebleu", "jiwer", "datasets", "numpy")


def provenance(seed: int, data_fingerprint: str, objective: str, processes: int) -> dict[str, Any]:
    """Facts that reproduce a run, ready for JSON. objective: name of the user's own; empty: one of the library's."""
    return {
        "format": FORMAT,
        "command": sys.argv,
        "seed": seed,
        "data_fingerprint": data_fingerprint,
        "objective": objective,
        "git_revision": git_revision(),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "machine": {
            "processor": platform.machine(),
            "threads": torch.get_num_threads(),
            "processes": processes,
            "gpu": _gpu(),
        },
    }


def git_revision() -> str | None:
    """Revision of the source tree this package runs from, "+changes" added where it differs; None outside a
    checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        revision, changes = (
            subprocess.run(
                ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
            ).stdout.strip()
            for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return revision + ("+changes" if changes else "")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _gpu() -> str | None:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def read_provenance(directory: Path) -> dict[str, Any]:
    """The facts in provenance.json. Raises UserError where it is missing or damaged."""
    path = directory / PROVENANCE_FILE
    try:
        facts = dict(json.loads(path.read_text(encoding="utf-8")))
        check(facts.keys() >= {"data_fingerprint", "seed", "versions"}, "facts are missing")
        check(facts["versions"].keys() >= {"seq2seq", "torch"}, "versions are missing")
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        raise UserError(f"{path}: missing or damaged; restore it") from None
    return facts
