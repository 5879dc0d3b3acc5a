"""A run directory in use: its log, whether it may go on with these settings."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm.contrib.logging import logging_redirect_tqdm

from seq2seq.errors import UserError
from seq2seq.runs.layout import LOG_FILE, PROVENANCE_FILE
from seq2seq.runtime.distributed import World


def refuse_other_data(directory: Path, fingerprint: str) -> None:
    """Raises UserError where a run in the directory was begun on data of another content, wherever that lay."""
    before = _fact(directory, "data_fingerprint")
    if before not in (None, fingerprint):
        raise UserError(
            f"{directory} holds a run on other data (fingerprint {before[:12]}, now {fingerprint[:12]}). "
            "Give the same data, or choose another --output"
        )


def refuse_other_objective(directory: Path, objective: str) -> None:
    """Raises UserError where a run in the directory learned by another objective. objective: name of the user's
    function; empty: one of the library's, which the configuration names."""
    before = _fact(directory, "objective")
    if before not in (None, objective):
        learned = f"the objective {before}" if before else "an objective of the library"
        raise UserError(f"{directory} holds a run that learned by {learned}: give it again, or choose another --output")


def _fact(directory: Path, name: str) -> Any:
    """What provenance.json says; None where there is none yet, or it is damaged: then it is written anew."""
    try:
        return json.loads((directory / PROVENANCE_FILE).read_text(encoding="utf-8"))[name]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def differences(
    before: dict[str, Any], now: dict[str, Any], free: Mapping[str, set[str]], prefix: str = ""
) -> Iterator[str]:
    """free: per prefix the names that may differ."""
    for name in now:
        old, new = before.get(name), now[name]
        if name in free.get(prefix, ()) or old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            yield from differences(old, new, free, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name} was {old!r}, is {new!r}"


@contextmanager
def run_log(directory: Path, world: World) -> Iterator[None]:
    """Sends this package's log to stderr (around the progress bars) and to train.log, from the main process only."""
    package = logging.getLogger("seq2seq")
    if not world.is_main:
        package.setLevel(logging.ERROR)
        yield
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        to_file = logging.FileHandler(directory / LOG_FILE, encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{directory}: cannot write the run there ({error.strerror}); choose another --output"
        ) from None
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    to_screen = logging.StreamHandler(sys.stderr)
    to_screen.setFormatter(logging.Formatter("%(message)s"))
    level = package.level
    package.setLevel(logging.INFO)
    for handler in (to_file, to_screen):
        package.addHandler(handler)
    try:
        with logging_redirect_tqdm([package]):
            yield
    finally:
        package.setLevel(level)
        for handler in (to_file, to_screen):
            package.removeHandler(handler)
        to_file.close()
