"""What `seq2seq verify` reports of a run directory: whether each part is whole, by its checksums, and whether they
belong together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seq2seq.config import read_config, read_mapping
from seq2seq.data.characters import CHARACTERS_FILE
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.errors import UserError
from seq2seq.runs.checkpoints import MANIFEST, CheckpointStore, find_fault
from seq2seq.runs.layout import (
    CHECKPOINTS_FOLDER,
    CONFIG_FILE,
    GENERATION_FILE,
    JOINT_FILE,
    MODEL_FILE,
    SOURCE_FILE,
    TARGET_FILE,
    holds_training_run,
    is_bare,
    model_is_lost,
)
from seq2seq.runs.stored_model import Kind, read_stored
from seq2seq.runs.vocabularies import holds_units, holds_vocabularies, load_units, load_vocabularies
from seq2seq.runs.weights import find_model_fault, stored_shapes
from seq2seq.search.beam import SearchConfig
from seq2seq.tasks.configs import read_experiment


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
    """A verdict on the model (with its vocabulary and configuration), on each checkpoint, oldest first, and on whether
    these parts belong together.

    Raises UserError where the directory holds neither, or is itself a checkpoint.
    """
    if (run / MANIFEST).exists() and not (run / CONFIG_FILE).exists():
        raise UserError(
            f"{run}: a checkpoint, not a run directory; give the run directory, which holds {CHECKPOINTS_FOLDER}"
        )
    verdicts: list[Verdict] = []
    if (run / MODEL_FILE).exists():
        verdicts.append(Verdict(MODEL_FILE, (run / MODEL_FILE).stat().st_size, find_model_fault(run)))
    elif model_is_lost(run):
        lost = "missing, though the best model was stored; restore it, or repeat the command that trained the run"
        verdicts.append(Verdict(MODEL_FILE, 0, lost))
    for checkpoint in CheckpointStore(run / CHECKPOINTS_FOLDER).list():
        size = sum(path.stat().st_size for path in checkpoint.iterdir())
        verdicts.append(Verdict(f"checkpoints/{checkpoint.name}", size, find_fault(checkpoint)))
    if not verdicts:
        raise UserError(f"{run}: holds neither a model nor checkpoints; give a run directory")
    whole = sum(verdict.size for verdict in verdicts)
    return [*verdicts, Verdict("all together", whole, find_misfit(run))]


def find_misfit(run: Path) -> str | None:
    """Why the parts of a run, each whole by itself, are no run that can be used or taken up; None where they are."""
    path = run / CONFIG_FILE
    if is_bare(run) and holds_training_run(run):
        return f"{path}: holds the model alone, as that of a saved model does; restore the run's own"
    try:
        kind = read_stored(run).kind
        missing = _missing_vocabulary(run, kind)
        if missing:
            return missing
        _read_companions(run, kind)
        if "source" in read_mapping(path):
            read_experiment(path)
        own = stored_shapes(run / MODEL_FILE)[0] if (run / MODEL_FILE).exists() else None
        for checkpoint in CheckpointStore(run / CHECKPOINTS_FOLDER).list():
            if own is not None and find_fault(checkpoint) is None and _model_shapes(checkpoint) != own:
                return f"{checkpoint}: its tensors are not those of {MODEL_FILE}; one of the two is another run's"
    except UserError as error:
        return str(error)
    return None


def _model_shapes(checkpoint: Path) -> dict[str, list[int]]:
    return stored_shapes(checkpoint / MODEL_FILE)[0]


def _missing_vocabulary(run: Path, kind: Kind) -> str | None:
    """Names what a model of this kind cannot be loaded without; a predictor needs none."""
    if kind == "predictor":
        return None
    if kind == "generator" and not (run / GENERATION_FILE).is_file():
        return f"{run / GENERATION_FILE}: missing; restore it"
    if kind != "translator":
        found = holds_units(run) if kind == "language_model" else (run / TARGET_FILE).is_file()
        name = CHARACTERS_FILE if kind == "language_model" else TARGET_FILE
        return None if found else f"{run / name}: missing; restore it"
    names = f"{JOINT_FILE}, or {SOURCE_FILE} and {TARGET_FILE}"
    return None if holds_vocabularies(run) else f"{run}: the vocabulary is missing ({names}); restore it"


def _read_companions(run: Path, kind: Kind) -> None:
    """Reads what is read with a model of this kind: its vocabulary and search settings. Raises UserError, naming the
    file, where it cannot be used."""
    if (run / GENERATION_FILE).exists():
        read_config(run / GENERATION_FILE, SearchConfig)
    if kind == "language_model":
        load_units(run)
    elif kind == "translator":
        load_vocabularies(run)
    else:
        path = run / (SOURCE_FILE if kind == "predictor" else TARGET_FILE)
        if path.exists():
            Vocabulary.load(path)
