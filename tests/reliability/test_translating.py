"""Translating large files: killed at any moment and called again, no line is lost or doubled."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import pytest

from seq2seq.cli import translate_file
from seq2seq.cli.main import main
from tests.conftest import WORDS
from tests.forking import SERVER
from tests.reliability.conftest import STORED, Trials

RUN = next(path for path in STORED if path.name == "translator-0.1.0-format2")


def _translate(words: list[str]) -> None:
    translate_file.LINES_TOGETHER = 8
    sys.stderr = open("/dev/null", "w")  # noqa: SIM115 (open until the process ends)
    sys.exit(main(words))


@pytest.mark.fault(22, "SIGKILL at random moments of translating a file, called again", 2, 50)
def test_a_killed_translation_goes_on(tmp_path: Path, trials: Trials) -> None:
    chance = random.Random(1)
    lines = [" ".join(chance.choices(WORDS, k=chance.randint(0, 6))) for _ in range(240)]
    (tmp_path / "in").write_text("".join(line + "\n" for line in lines))
    words = ["translate", str(RUN), "--input", str(tmp_path / "in"), "--output"]

    def began(output: Path) -> tuple[object, float]:
        process = SERVER.Process(target=_translate, args=([*words, str(output)],))
        process.start()
        return process, time.monotonic()

    whole, began_at = began(tmp_path / "whole")
    whole.join(120)  # type: ignore[attr-defined]
    duration = time.monotonic() - began_at
    expected = (tmp_path / "whole").read_bytes()
    assert expected.count(b"\n") == len(lines)
    for trial in trials:
        output, kills = tmp_path / f"out{trials.done}", 0
        while not output.exists() or output.with_name(output.name + ".progress").exists():
            process, _ = began(output)
            process.join(trial.uniform(0.1, 0.9) * duration if kills < 3 else 120)  # type: ignore[attr-defined]
            kills += process.exitcode is None  # type: ignore[attr-defined]
            process.kill()  # type: ignore[attr-defined]
            process.join()  # type: ignore[attr-defined]
        assert output.read_bytes() == expected
        assert kills
        assert not list(tmp_path.glob(f"{output.name}.*"))
