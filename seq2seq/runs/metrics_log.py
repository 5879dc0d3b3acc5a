"""The figures of a run over its steps: metrics.jsonl, and TensorBoard event files where tensorboard is installed."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seq2seq.errors import check
from seq2seq.runtime.atomic_files import write_atomically
from seq2seq.runtime.paths import checked_path

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


METRICS_FILE = "metrics.jsonl"
TENSORBOARD_FOLDER = "tensorboard"


class Journal:
    """Writes each entry at once, so that a run that is cut off loses none."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / METRICS_FILE
        self.board: SummaryWriter | None = None

    def open(self, step: int) -> None:
        """Starts writing after this step. Entries of later steps are dropped: they were trained but lost when the run
        was cut off, and will be written again."""
        if self.path.exists():
            lines = self.path.read_text(encoding="utf-8", errors="replace").split("\n")
            kept = [line for line in lines if _is_entry_until(line, step)]
            write_atomically(self.path, "".join(line + "\n" for line in kept))
        if find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(self.directory / TENSORBOARD_FOLDER), purge_step=step + 1)

    def write(self, step: int, epoch: float, **figures: float) -> None:
        """Adds an entry."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "epoch": round(epoch, 4), **figures}) + "\n")
        if self.board is not None:
            for name, figure in figures.items():
                self.board.add_scalar(_tag(name), figure, step)
            self.board.flush()

    def close(self) -> None:
        """Ends TensorBoard's writer thread."""
        if self.board is not None:
            self.board.close()
            self.board = None


def read_journal(directory: Path) -> list[dict[str, Any]]:
    """The entries of a run, in order."""
    directory = checked_path(directory, "directory", "that of a run")
    path = directory / METRICS_FILE
    check(path.is_file(), f"{path}: no such file; give the folder of a run that has been trained for some steps")
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


def _tag(name: str) -> str:
    """TensorBoard groups by what stands before a slash: validation_bleu -> validation/bleu, others -> train/..."""
    group, _, rest = name.partition("_")
    return f"validation/{rest}" if group == "validation" else f"train/{name.removeprefix('train_')}"


def _is_entry_until(line: str, step: int) -> bool:
    """Whether a line of metrics.jsonl is whole and not of a later step; damaged ones are dropped."""
    try:
        return bool(json.loads(line)["step"] <= step)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
