"""What `seq2seq verify` tells of a run directory: whether each part is whole, by its checksums."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seq2seq.checkpoint import CHECKPOINTS_FOLDER, MODEL_FILE, CheckpointStore, find_fault, find_model_fault
from seq2seq.config import UserError


@dataclass(frozen=True)
class Verdict:
    """On one part of a run."""

    part: str
    """Its name below the run directory."""
    size: int
    """Bytes."""
    fault: str | None
    """What is wrong with it, in words."""

    def __str__(self) -> str:
        return f"{self.part}\t{self.size / 2**20:.1f} MiB\t{self.fault or 'whole'}"


def report(run: Path) -> list[Verdict]:
    """A verdict on the model (with its vocabulary and configuration) and on each checkpoint, oldest first.

    Raises UserError where the directory holds neither.
    """
    verdicts = []
    if (run / MODEL_FILE).exists():
        verdicts.append(Verdict(MODEL_FILE, (run / MODEL_FILE).stat().st_size, find_model_fault(run)))
    for checkpoint in CheckpointStore(run / CHECKPOINTS_FOLDER).list():
        size = sum(path.stat().st_size for path in checkpoint.iterdir())
        verdicts.append(Verdict(f"checkpoints/{checkpoint.name}", size, find_fault(checkpoint)))
    if not verdicts:
        raise UserError(f"{run}: holds neither a model nor checkpoints; give a run directory")
    return verdicts
