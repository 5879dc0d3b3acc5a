"""The Dockerfile, as far as it can be held without a daemon."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seq2seq.cli.main import _parser
from tests.serving.conftest import STORED

ROOT = Path(__file__).parents[2]
TORCH_INDEX = "--index-url https://download.pytorch.org/whl/cpu"
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


@pytest.mark.slow  # torch is downloaded: minutes
def test_its_steps_make_an_environment_that_serves(tmp_path: Path) -> None:
    """The instructions of both stages, one after the other, with folders of the test in place of the image's; torch
    comes from the index that pip is set to."""
    build, prefix, home = (tmp_path / name for name in ("build", "opt", "home"))
    for folder in (build, home):
        folder.mkdir()
    environment = {"PATH": f"{prefix}/bin:{os.environ['PATH']}", "HOME": str(home), "HF_HUB_OFFLINE": "1"}
    for line in LINES:
        instruction, _, words = line.partition(" ")
        if instruction == "COPY" and "--from" not in words:
            *names, place = words.split()
            for name in names:
                whole = (ROOT / name).is_dir()
                copy = shutil.copytree if whole else shutil.copy
                copy(ROOT / name, build / place if whole else build)  # type: ignore[operator]
        elif instruction == "RUN" and not words.startswith("useradd"):
            command = words.replace("/opt/seq2seq", str(prefix)).replace(TORCH_INDEX, "")
            command = command.replace("python -m venv", f"{sys.executable} -m venv")
            ended = subprocess.run(["sh", "-c", command], cwd=build, env=environment, capture_output=True, text=True)
            assert ended.returncode == 0, ended.stderr[-2000:]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = [word.replace("5000", port) for word in json.loads(of("ENTRYPOINT")[0])]
    check = json.loads(re.search(r"CMD (\[.*\])", of("HEALTHCHECK")[0])[1].replace("5000", port))  # type: ignore[index]
    with subprocess.Popen([*words, str(STORED["translator"])], cwd=home, env=environment) as server:
        try:
            healthy = (subprocess.run(check, env=environment).returncode == 0 for _ in range(60) if not time.sleep(1))
            assert any(healthy)
        finally:
            server.terminate()
    assert server.returncode == 0
