"""The Python of README runs as it stands there."""

import re
import shutil
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_readme_code_runs(
    toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run that README loads is the toy one here; the custom model is trained for real."""
    shutil.copytree(toy_run, tmp_path / "runs" / "multi30k_en_de")
    monkeypatch.chdir(tmp_path)
    assert len(BLOCKS) == 2
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    assert "['MI BA LU']" in capsys.readouterr().out


def test_the_custom_model_takes_fewer_than_45_lines() -> None:
    assert len([line for line in BLOCKS[1].split("\n") if line.strip()]) < 45
