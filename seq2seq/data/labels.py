"""Names of a model's classes, as a file of its run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from seq2seq.errors import UserError, check
from seq2seq.runtime.atomic_files import write_atomically


def save_labels(labels: Sequence[str], path: Path) -> None:
    """Writes the names of the classes, in the order of their numbers."""
    write_atomically(path, json.dumps(list(labels), ensure_ascii=False, indent=1) + "\n")


def load_labels(path: Path, count: int) -> list[str]:
    """Reads `count` names. Raises UserError where the file is missing or damaged, or holds another number of them."""
    try:
        labels = json.loads(path.read_text(encoding="utf-8"))
        check(isinstance(labels, list) and all(isinstance(label, str) for label in labels), "names")
    except (OSError, ValueError, RecursionError):
        raise UserError(f"{path}: not a list of names; restore it or train again") from None
    check(len(labels) == count, f"{path}: holds {len(labels)} names, but the model knows {count} classes; restore it")
    return labels
