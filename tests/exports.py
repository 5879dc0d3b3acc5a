"""Exports of the stored runs, made once for all processes of a test run: the exporter takes seconds for each."""

from pathlib import Path

import portalocker
import pytest

from seq2seq.cli.main import main

STORED = {
    kind: Path(__file__).parent / "fixtures" / f"{name}-0.1.0-format2"
    for kind, name in {
        "translator": "translator",
        "generator": "generator",
        "predictor": "predictor",
        "language_model": "characters",
    }.items()
}


def export_of(kind: str, factory: pytest.TempPathFactory) -> Path:
    """The export of the stored run of a kind; nobody changes it."""
    base = factory.getbasetemp()
    root = base.parent if base.name.startswith("popen-") else base  # what the processes of one run share
    folder = root / "exports" / kind
    folder.parent.mkdir(exist_ok=True)
    with portalocker.Lock(root / "exports" / f"{kind}.lock", timeout=300):
        if not folder.exists():
            assert main(["export", str(STORED[kind]), str(folder)]) == 0
    return folder
