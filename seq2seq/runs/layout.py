"""Names of the files of a run directory."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from seq2seq.config import RUN_FACTS
from seq2seq.errors import UserError
from seq2seq.runs.metrics_log import METRICS_FILE, TENSORBOARD_FOLDER

LOCK_FILE, LOG_FILE, PROVENANCE_FILE = "lock", "train.log", "provenance.json"
CARD_FILE, CURVES_FILE = "README.md", "curves.png"
ATTENTION_FOLDER, EVALUATION_FOLDER = "attention", "evaluation"


MODEL_FILE, CONFIG_FILE, GENERATION_FILE = "model.safetensors", "config.json", "generation_config.json"
JOINT_FILE, SOURCE_FILE, TARGET_FILE = "joint.spm.model", "source.spm.model", "target.spm.model"
CHECKPOINTS_FOLDER = "checkpoints"

LEFT_BY_ATTEMPTS = (JOINT_FILE, SOURCE_FILE, TARGET_FILE, "characters.json", GENERATION_FILE, LOG_FILE, LOCK_FILE)
"""What training writes before it begins."""

WRITTEN = (
    *LEFT_BY_ATTEMPTS,
    CONFIG_FILE,
    CARD_FILE,
    PROVENANCE_FILE,
    METRICS_FILE,
    MODEL_FILE,
    CURVES_FILE,
    ATTENTION_FOLDER,
    CHECKPOINTS_FOLDER,
    TENSORBOARD_FOLDER,
)
"""What training of any kind writes."""


def begun(directory: Path) -> bool:
    """Whether a run was begun there: what lies beside a configuration (vocabularies) belongs to it, what an attempt
    that failed before training left does not."""
    return (directory / CONFIG_FILE).exists()


def holds_training_run(directory: Path) -> bool:
    """Whether files lie there that a saved model has not: a configuration of more than the model, where the run comes
    from, checkpoints. A configuration of another program counts, too."""
    if (directory / PROVENANCE_FILE).exists() or (directory / CHECKPOINTS_FOLDER).exists():
        return True
    return begun(directory) and not is_bare(directory)


def is_bare(directory: Path) -> bool:
    """Whether config.json holds the model alone, as that of a saved model does."""
    try:
        return set(json.loads((directory / CONFIG_FILE).read_text(encoding="utf-8"))) - set(RUN_FACTS) == {"model"}
    except (OSError, ValueError, TypeError, RecursionError):
        return False


def refuse_foreign_files(directory: Path, names: Iterable[str] = WRITTEN) -> None:
    """Raises UserError where no run was begun in the directory and a file lies there under a name that training writes,
    but for what an attempt of ours leaves that failed before training."""
    if begun(directory):
        return
    attempted = _is_ours(directory / LOCK_FILE)
    for name in names:
        path = directory / name
        log_alone = name == LOG_FILE and path.is_file() and not path.stat().st_size  # died before it had the lock
        if path.exists() and not log_alone and not (attempted and name in LEFT_BY_ATTEMPTS):
            raise UserError(
                f"{path}: training would overwrite it, and no run was begun there; move it, or choose another --output"
            )


def _is_ours(lock: Path) -> bool:
    """Whether that is the lock of a training, which holds a process id."""
    try:
        content = lock.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return False
    return not content or content.isdecimal()


VOCABULARY_FILES = ("*.spm.model", "characters.json")
