"""What recipes write into their output folder beside the run."""

import re
from pathlib import Path

from seq2seq.cli.script import PICTURES

RECIPES = Path(__file__).parents[3] / "recipes"


def test_what_recipes_write_is_looked_for_before_they_begin() -> None:
    texts = [path.read_text(encoding="utf-8") for path in RECIPES.glob("*.py")]
    written = {name for text in texts for name in re.findall(r'output\) / "([^"]+\.(?:png|csv))"', text)}
    assert {"lengths.png", "forecast.png"} <= written <= set(PICTURES)
