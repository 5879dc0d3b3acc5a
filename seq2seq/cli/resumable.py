"""A file that is written part by part, and goes on after a kill where the last complete part ended."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from seq2seq.errors import UserError, check
from seq2seq.runtime.atomic_files import sync, write_atomically


class ResumableFile:
    """The file PATH.part until it is complete, and PATH.progress, which says how much of it counts: what a kill left
    behind that is cut off. Then it gets its name."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """settings: all that decides the content. Raises UserError where the file is there, other settings began it,
        or another process writes it."""
        self.path, self.settings = path, dict(settings)
        self.part, self.progress = (path.with_name(path.name + end) for end in (".part", ".progress"))
        stored = self._stored()
        self.complete = stored is not None and path.exists() and not self.part.exists()
        if self.complete:  # killed between the last two steps
            self.progress.unlink()
            return
        check(not path.exists(), f"--output {path}: that file exists; move it, or name another one")
        if stored is None and self.part.exists() and self.part.stat().st_size:
            raise UserError(f"{self.part}: there is no {self.progress.name} to it; move it, or name another --output")
        self.stream: IO[bytes] = self.part.open("ab")
        self._lock(stored)
        self.done: int = stored["inputs"] if stored else 0
        self.size: int = stored["bytes"] if stored else 0
        """Bytes that count."""
        self.digest = self._digest_of_part()
        if stored is not None and stored.get("sha256", self.digest.hexdigest()) != self.digest.hexdigest():
            raise UserError(f"{self.part}: changed since it was written; remove it and {self.progress.name}")
        self.stream.truncate(self.size)

    def _digest_of_part(self) -> Any:
        """SHA-256 of the bytes that count."""
        digest, left = hashlib.sha256(), self.size
        with self.part.open("rb") as stream:
            while content := stream.read(min(left, 1 << 20)):
                digest.update(content)
                left -= len(content)
        return digest

    def _stored(self) -> dict[str, Any] | None:
        if not self.progress.exists():
            return None
        try:
            stored = json.loads(self.progress.read_text(encoding="utf-8"))
            counts = [int(stored[name]) for name in ("inputs", "bytes")]
            sized = self.path.exists() or self.part.stat().st_size >= counts[1]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise UserError(f"{self.progress}: damaged; remove it and {self.part.name}, and begin anew") from None
        check(sized, f"{self.part}: shorter than {self.progress.name} says; remove both, and begin anew")
        own = stored.get("settings", {})
        changed = [name for name in {**own, **self.settings} if own.get(name) != self.settings.get(name)]
        check(
            not changed,
            f"--output {self.path}: a part of it was written with another {', '.join(changed)}; give the same, or "
            f"remove {self.part.name} and {self.progress.name}",
        )
        return dict(stored)

    def _lock(self, stored: dict[str, Any] | None) -> None:
        try:
            fcntl.flock(self.stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            written = self._stored() != stored  # since it was read
        except OSError:
            written = True
        if written:
            raise UserError(f"--output {self.path}: another process is writing it") from None

    def append(self, content: bytes, inputs: int) -> None:
        """Adds the outputs of so many further inputs. From here on a kill loses none of them."""
        self.stream.write(content)
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.done += inputs
        self.size += len(content)
        self.digest.update(content)
        counted = {"inputs": self.done, "bytes": self.size, "sha256": self.digest.hexdigest()}
        state = {**counted, "settings": self.settings}
        write_atomically(self.progress, json.dumps(state, ensure_ascii=False, indent=1) + "\n")

    def finish(self) -> None:
        """Gives the file its name. Raises UserError where another one has it by now."""
        check(not self.path.exists(), f"--output {self.path}: that file has appeared meanwhile; move it, and go on")
        self.part.replace(self.path)
        sync(self.path.parent)
        self.progress.unlink(missing_ok=True)
        self.complete = True

    def __enter__(self) -> ResumableFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not hasattr(self, "stream"):
            return
        if not self.complete and not self.progress.exists():  # nothing was begun
            self.part.unlink(missing_ok=True)
        self.stream.close()
