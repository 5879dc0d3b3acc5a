"""Names of the files of a run directory."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from seq2seq.config import RUN_FACTS
from seq2seq.data.characters import CHARACTERS_FILE
from seq2seq.errors import UserError
from seq2seq.runs.metrics_log import METRICS_FILE, TENSORBOARD_FOLDER
from seq2seq.runtime.paths import checked_path

LOCK_FILE, LOG_FILE, PROVENANCE_FILE = "lock", "train.log", "provenance.json"
CARD_FILE, CURVES_FILE = "README.md", "curves.png"
ATTENTION_FOLDER, EVALUATION_FOLDER = "attention", "evaluation"


MODEL_FILE, CONFIG_FILE, GENERATION_FILE = "model.safetensors", "config.json", "generation_config.json"
JOINT_FILE, SOURCE_FILE, TARGET_FILE = "joint.spm.model", "source.spm.model", "target.spm.model"
FEATURES_FILE, UNITS_FILE = "features.spm.model", "units.json"
LABELS_FILE = "labels.json"
CHECKPOINTS_FOLDER, STATE_FILE = "checkpoints", "state.json"

LEFT_BY_ATTEMPTS = (
    JOINT_FILE,
    SOURCE_FILE,
    TARGET_FILE,
    FEATURES_FILE,
    UNITS_FILE,
    LABELS_FILE,
    CHARACTERS_FILE,
    GENERATION_FILE,
    LOG_FILE,
    LOCK_FILE,
)
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

SAVED = (
    CONFIG_FILE,
    GENERATION_FILE,
    MODEL_FILE,
    JOINT_FILE,
    SOURCE_FILE,
    TARGET_FILE,
    FEATURES_FILE,
    UNITS_FILE,
    LABELS_FILE,
    CHARACTERS_FILE,
)
"""What saving a model writes or removes."""


def begun(directory: Path) -> bool:
    """Whether a run was begun there: what lies beside a configuration (vocabularies) belongs to it, what an attempt
    that failed before training left does not."""
    directory = checked_path(directory, "directory", "that of a run")
    return (directory / CONFIG_FILE).exists()


def holds_training_run(directory: Path) -> bool:
    """Whether files lie there that a saved model has not: a configuration of training, where the run comes from,
    checkpoints."""
    if (directory / PROVENANCE_FILE).exists() or any((directory / CHECKPOINTS_FOLDER).glob("step-*")):
        return True
    return {"model", "trainer"} <= _options_of(directory).keys()


def is_bare(directory: Path) -> bool:
    """Whether config.json holds the model, and how it reads files, alone, as that of a saved model does."""
    options = _options_of(directory)
    return options.keys() - {*RUN_FACTS, "reader"} == {"model"} and isinstance(options["model"], dict)


def _options_of(directory: Path) -> dict[str, Any]:
    """The content of config.json; nothing where it is missing, or no mapping."""
    try:
        return dict(json.loads((directory / CONFIG_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


def refuse_to_save(directory: Path) -> None:
    """Raises UserError where a saved model would replace files of a training run, or of others; those of a model saved
    there before are ours to replace."""
    if holds_training_run(directory):
        raise UserError(
            f"{directory}: holds a training run, which could not go on with the files of a saved model; "
            "choose another folder"
        )
    if is_bare(directory):
        return
    for name in SAVED:
        if (directory / name).exists():
            raise UserError(
                f"{directory / name}: a saved model would overwrite it, and none was saved there before; move it, or "
                "choose another folder"
            )


def best_step(directory: Path) -> int:
    """Step whose model was stored as the best one, as the newest readable checkpoint has it; 0 where none was."""
    for path in sorted((directory / CHECKPOINTS_FOLDER).glob(f"step-*/{STATE_FILE}"), reverse=True):
        try:
            return int(json.loads(path.read_text(encoding="utf-8"))["progress"]["best_step"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
    return 0


def model_is_lost(directory: Path) -> bool:
    """Whether the best model was stored, as checkpoints have it, and is not there."""
    return not (directory / MODEL_FILE).exists() and best_step(directory) > 0


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


def refuse_data_folder(directory: Path, data: str) -> None:
    """Raises UserError where a run would begin in the folder in which the data's files lie. data: a file, a folder, or
    what is neither (a Hub id)."""
    path = checked_path(data, "data", "a folder, a file or a Hub id").expanduser()
    if not data or begun(directory) or not path.exists():
        return
    folder = path if path.is_dir() else path.parent
    if folder.resolve() == directory.resolve():
        raise UserError(
            f"{directory}: the data lies in that folder; choose another --output, such as {directory / 'run'}"
        )


def _is_ours(lock: Path) -> bool:
    """Whether that is the lock of a training, which holds a process id."""
    try:
        content = lock.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return False
    return not content or content.isdecimal()


VOCABULARY_FILES = ("*.spm.model", UNITS_FILE, CHARACTERS_FILE, LABELS_FILE)
