"""To and from the Hugging Face Hub: a run is found there, a model is uploaded."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

from huggingface_hub import snapshot_download

from seq2seq.errors import UserError, check
from seq2seq.runtime.paths import checked_path

HUB_OPTIONS = ("revision", "token", "cache_dir", "force_download", "local_files_only")
"""What `load` passes on to huggingface_hub.snapshot_download."""
Source: TypeAlias = "str | PathLike[str]"


def find_run(run: Source, hub_options: dict[str, Any]) -> Path:
    """The directory of a run, downloaded where it is on the Hub. Raises UserError where there is none."""
    check(str(run) != "", "the name of the run is empty; give a run directory or a Hub id")
    path = checked_path(run, "run", "a run directory or a Hub id")
    unknown = ", ".join(sorted(hub_options.keys() - HUB_OPTIONS))
    if unknown:
        raise UserError(f"{run}: cannot be loaded with {unknown}; the options are device, {', '.join(HUB_OPTIONS)}")
    if path.exists() or not _looks_like_hub_id(str(run)):
        return path
    return _download(str(run), hub_options)


def _looks_like_hub_id(run: str) -> bool:
    return run.count("/") == 1 and not run.startswith((".", "/", "~"))


def _download(run: str, options: dict[str, Any]) -> Path:
    try:
        return Path(snapshot_download(run, **options))
    except Exception as error:  # the Hub client raises a dozen unrelated types
        raise UserError(f"{run}: no such directory, and the Hub does not give it: {_first_line(error)}") from None


def uploaded(run: str, upload: Callable[[], str]) -> str:
    """What an upload to the Hub gives. Raises UserError where the Hub does not take it."""
    try:
        return upload()
    except UserError:
        raise
    except Exception as error:  # as in _download
        raise UserError(f"{run}: the Hub does not take the model: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return str(error).split("\n")[0]
