"""The Dockerfile, as far as it can be held without a daemon."""

from __future__ import annotations

import json
import re
from pathlib import Path

from seq2seq.cli.main import _parser

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").split("\n")


def of(instruction: str) -> list[str]:
    return [line.split(maxsplit=1)[1] for line in LINES if line.startswith(instruction + " ")]


def test_what_it_copies_is_there_and_passes_the_ignore_file() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().split("\n") if line.startswith("!")}
    for copied in of("COPY"):
        if "--from" not in copied:
            for name in copied.split()[:-1]:
                assert (ROOT / name).exists()
                assert name in kept
    assert {"README.md", "LICENSE"} <= kept  # setup.cfg names them


def test_it_ends_as_a_user_without_rights_with_a_check_of_health() -> None:
    assert len(of("FROM")) == 2
    assert of("USER") == ["10001"]
    assert "useradd --system --uid 10001" in of("RUN")[-1]
    check = re.search(r"CMD (\[.*\])", of("HEALTHCHECK")[0])
    assert check is not None
    assert "/health" in json.loads(check[1])[2]
    compile(json.loads(check[1])[2], "HEALTHCHECK", "exec")


def test_its_command_is_one_of_ours_and_the_pins_are_used() -> None:
    program, *words = json.loads(of("ENTRYPOINT")[0])
    assert program == "seq2seq"
    options = _parser().parse_args([*words, "/runs/en_de"])
    assert (options.host, options.port) == ("0.0.0.0", 5000)
    installs = [line for line in of("RUN") if "pip install" in line]
    assert len(installs) == 2
    assert "torch==" in (ROOT / "constraints.txt").read_text()
    assert "-c constraints.txt '.[serve]'" in installs[1]
