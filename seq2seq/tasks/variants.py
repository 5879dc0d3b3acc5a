"""Several models of one recipe, trained to be compared with each other."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from seq2seq.errors import check, check_argument
from seq2seq.runtime.distributed import end_other_processes
from seq2seq.tasks.configs import TaskConfig

Task = TypeVar("Task", bound=TaskConfig)
Trained = TypeVar("Trained")


def train_variants(variants: Mapping[str, Task], train: Callable[[str, Task], Trained]) -> dict[str, Trained]:
    """What `train` returns for the name and configuration of each variant, whose run lies in a folder of its own.

    Of several processes only the main one returns, to evaluate and print. Raises UserError where two names differ in
    nothing that a folder's name shows.
    """
    check_argument("train_variants", "variants", variants, Mapping)
    folders = {name: variant_folder(config, name) for name, config in variants.items()}
    for folder in folders.values():
        alike = [other for other in folders if folders[other] == folder]
        check(len(alike) == 1, f"{' and '.join(map(repr, alike))} would share the folder {folder}; rename one")
    results = {name: train(name, replace(config, output=str(folders[name]))) for name, config in variants.items()}
    end_other_processes()
    return results


def variant_folder(config: TaskConfig, name: str) -> Path:
    """Where a variant's run lies: below config.output, named after it in small letters of any script, digits and
    dashes."""
    check_argument("variant_folder", "config", config, TaskConfig)
    check_argument("variant_folder", "name", name, str)
    name = unicodedata.normalize("NFC", name.lower())
    spaced = "".join(each if each.isalnum() or unicodedata.category(each)[0] == "M" else " " for each in name)
    return Path(config.output) / re.sub(" +", "-", spaced)
