"""`export --web`: a folder for any web server, whose page runs the exported model in the visitor's browser."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

from seq2seq.deploy.npm import Package, package_files
from seq2seq.errors import UserError
from seq2seq.inference.load import Loaded
from seq2seq.inference.transcriber import Generator
from seq2seq.inference.translator import Translator
from seq2seq.runs.layout import CONFIG_FILE

PAGE = Path(__file__).parent / "web"
"""The page's own files."""
RUNTIME = Package(
    "onnxruntime-web",
    "1.30.0",
    "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
)
RUNTIME_FILES = ("dist/ort.wasm.bundle.min.mjs", "dist/ort-wasm-simd-threaded.wasm")
READERS = ("characters", "subwords", "image", "sound")
"""Inputs that the page can take."""


def check_kind(model: Loaded) -> None:
    """Raises UserError for a run that the page is not for."""
    if isinstance(model, Translator) or (isinstance(model, Generator) and model.reader.kind in READERS):
        return
    raise UserError(
        f"--web: the page is for runs that write text from text, pictures or sound; this run is a {model.kind}"
        + (f" that reads {model.reader.kind}s" if isinstance(model, Generator) else "")
        + "; export it without --web"
    )


def load_runtime(place: Path | None) -> dict[str, bytes]:
    """The files of onnxruntime-web that the page needs. place: a folder or an archive of it, instead of the pinned one
    of the registry."""
    files = package_files(RUNTIME, RUNTIME_FILES, place)
    return {Path(name).name: content for name, content in files.items()}


def write_web(exported: Path, config: dict[str, Any], runtime: dict[str, bytes]) -> None:
    """Writes the folder `web` into an exported directory."""
    web = exported / "web"
    for name in ("model", "runtime"):
        (web / name).mkdir(parents=True)
    for path in sorted(PAGE.iterdir()):
        if path.is_file():
            shutil.copyfile(path, web / path.name)
    for name, content in runtime.items():
        (web / "runtime" / name).write_bytes(content)
    graphs = [f"{name}.onnx" for name in config["graphs"]]
    for name in {*graphs, *config["vocabularies"].values(), CONFIG_FILE, "generation_config.json"}:
        _share(exported / name, web / "model" / name)


def _share(source: Path, target: Path) -> None:
    """One file under two names where the disk can; the configuration, which is written again, is copied."""
    if source.suffix != ".json":
        with contextlib.suppress(OSError):
            os.link(source, target)
            return
    shutil.copyfile(source, target)
