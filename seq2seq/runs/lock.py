"""The lock of a run directory: one training at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import portalocker

from seq2seq.errors import UserError
from seq2seq.runs.layout import LOCK_FILE
from seq2seq.runtime.distributed import World


@contextmanager
def sole_trainer(directory: Path, world: World) -> Iterator[None]:
    """Holds the directory's lock, which ends with the process however it ends; names who holds it otherwise."""
    if not world.is_main:
        yield
        return
    path = directory / LOCK_FILE
    with path.open("a+") as file:
        try:
            portalocker.lock(file, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.LockException:
            holder = path.read_text().strip()
            raise UserError(
                f"{directory}: process {holder} is training there; wait for it, stop it, or choose another --output"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
