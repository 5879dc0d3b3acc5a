"""A made-up language whose forms a small model learns in seconds."""

from __future__ import annotations

import random
from pathlib import Path


def write_inflections(folder: Path, training: int, validation: int, longest: int) -> Path:
    """Writes xyz.trn and xyz.dev, of lemma, form and features: lemmas of up to so many letters that one feature leaves
    as they are, and another turns into capitals."""
    generator = random.Random(1)
    for split, count in (("trn", training), ("dev", validation)):
        rows = []
        for _ in range(count):
            lemma = "".join(generator.choices("abcd", k=generator.randint(1, longest)))
            capital = generator.random() < 0.5
            rows.append(f"{lemma}\t{lemma.upper() if capital else lemma}\tN;{'UP' if capital else 'LOW'}\n")
        (folder / f"xyz.{split}").write_text("".join(rows))
    return folder
