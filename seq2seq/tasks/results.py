"""Results of an evaluation, of whatever kind of model: answers, what was expected, figures, and their files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from seq2seq.evaluation.metrics import reference_streams
from seq2seq.runtime.atomic_files import write_atomically


class Results(Protocol):
    """A split, answered and scored."""

    @property
    def hypotheses(self) -> list[str]:
        """The model's answers, a line each."""

    @property
    def references(self) -> list[list[str]]:
        """For each answer, one or more that were expected."""

    def figures(self) -> dict[str, Any]:
        """All figures, for JSON."""

    def report(self) -> list[str]:
        """All figures, for people: a line each."""


@dataclass(frozen=True)
class Extended:
    """The answers of results that have more figures besides, which a subclass adds."""

    results: Results

    @property
    def hypotheses(self) -> list[str]:
        """As `Results` has it."""
        return self.results.hypotheses

    @property
    def references(self) -> list[list[str]]:
        """As `Results` has it."""
        return self.results.references


@dataclass(frozen=True)
class PredictionResults:
    """A split, answered by a model that writes no text, and scored."""

    hypotheses: list[str]
    references: list[list[str]]
    counts: Mapping[str, int]
    """What was scored, such as {"sequences": 24}."""
    percentages: Mapping[str, float]
    """Figures from 0 to 100, by their names for people."""
    values: Mapping[str, float]
    """Figures in units of their own."""

    def figures(self) -> dict[str, Any]:
        """All figures, for JSON."""
        figures = {**self.percentages, **self.values}
        return {**self.counts, **{name.lower().replace(" ", "_"): value for name, value in figures.items()}}

    def report(self) -> list[str]:
        """All figures, for people: a line each."""
        percentages = [f"{name} {value:.2f} %" for name, value in self.percentages.items()]
        return [*percentages, *(f"{name} {value:.6g}" for name, value in self.values.items())]


def write_results(results: Results, directory: Path, name: str) -> None:
    """Writes NAME.hypotheses.txt, NAME.references.txt and NAME.metrics.json.

    Several references go to NAME.references.1.txt, NAME.references.2.txt and so on, as tools/bleu.py reads them: a
    blank line where a sentence has fewer than others. Runs of white space become one space.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for old in reference_files(directory, name):
        old.unlink()
    streams = reference_streams(results.hypotheses, results.references)
    numbers = [""] if len(streams) == 1 else [f".{number}" for number in range(1, len(streams) + 1)]
    texts: dict[str, Sequence[str | None]] = {"hypotheses": results.hypotheses}
    texts |= {f"references{number}": stream for number, stream in zip(numbers, streams, strict=True)}
    for kind, lines in texts.items():
        content = "".join(" ".join((line or "").split()) + "\n" for line in lines)
        write_atomically(directory / f"{name}.{kind}.txt", content)
    write_atomically(
        directory / f"{name}.metrics.json", json.dumps(results.figures(), indent=2, ensure_ascii=False) + "\n"
    )


def reference_files(directory: Path, name: str) -> list[Path]:
    """NAME.references.txt and NAME.references.1.txt and so on, as far as they exist."""
    pattern = re.compile(re.escape(name) + r"\.references(\.[0-9]+)?\.txt")
    return [path for path in directory.glob("*.txt") if pattern.fullmatch(path.name)]
