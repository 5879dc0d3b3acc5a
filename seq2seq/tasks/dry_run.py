"""A dry run: the configuration, the data and one batch are tried, and the model is described."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace

from seq2seq.runs.stored_model import Build
from seq2seq.tasks.base import Objective
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.description import Described
from seq2seq.tasks.translation import run


def dry_run(config: ExperimentConfig, build: Build | None = None, objective: Objective | None = None) -> str:
    """Prepares everything as `run` would, runs one batch forward and backward, and describes what it found.

    Writes nothing to config.output, which may be empty. Raises UserError where training would before its first step.
    """
    with tempfile.TemporaryDirectory() as unnamed:
        tried = replace(config, dry_run=True, output=config.output or unnamed)
        return description_of(lambda: run(tried, build, objective))


def description_of(work: Callable[[], object]) -> str:
    """Does work that trains; what its first training describes where that is a dry run, else nothing."""
    try:
        work()
    except Described as end:
        return str(end)
    return ""
