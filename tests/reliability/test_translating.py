"""Translating large files: killed at any moment and called again, no line is lost or doubled."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from seq2seq.cli import translate_file
from seq2seq.cli.main import main
from tests.conftest import WORDS
from tests.forking import SERVER
from tests.reliability.conftest import STORED, Trials

RUN = next(path for path in STORED if path.name == "translator-0.1.0-format2")
LINES = 240


def _translate(words: list[str]) -> None:
    translate_file.LINES_TOGETHER = 8
    sys.stderr = open("/dev/null", "w")  # noqa: SIM115 (open until the process ends)
    sys.exit(main(words))


def start(folder: Path, output: Path) -> BaseProcess:
    words = ["translate", str(RUN), "--input", str(folder / "in"), "--output", str(output)]
    process = SERVER.Process(target=_translate, args=(words,))
    process.start()
    return process


def kill_midway(process: BaseProcess, output: Path, chance: random.Random) -> bool:
    """Kills it a moment after it has written some number of lines; whether it was still at work."""
    wanted = chance.randrange(LINES - 8)
    while process.is_alive() and written(output) < wanted:
        time.sleep(0.0005)
    time.sleep(chance.uniform(0, 0.01))
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def written(output: Path) -> int:
    with contextlib.suppress(OSError):
        return int(json.loads(output.with_name(output.name + ".progress").read_text())["inputs"])
    return 0


@pytest.mark.fault(22, "SIGKILL at random moments of translating a file, called again", 1, 50)
def test_a_killed_translation_goes_on(tmp_path: Path, trials: Trials) -> None:
    chance = random.Random(1)
    lines = [" ".join(chance.choices(WORDS, k=chance.randint(0, 6))) for _ in range(LINES)]
    (tmp_path / "in").write_text("".join(line + "\n" for line in lines))
    start(tmp_path, tmp_path / "whole").join(120)
    expected = (tmp_path / "whole").read_bytes()
    assert expected.count(b"\n") == LINES
    for trial in trials:
        output = tmp_path / f"out{trials.done}"
        killed = [kill_midway(start(tmp_path, output), output, trial) for _ in range(3)]
        assert any(killed)
        if not output.exists() or written(output):
            process = start(tmp_path, output)
            process.join(120)
            assert process.exitcode == 0
        assert output.read_bytes() == expected
        assert not list(tmp_path.glob(f"{output.name}.*"))
