#!/usr/bin/env python3
"""Runs a recipe with several seeds and prints the mean and standard deviation of every figure that it prints.

    tools/seeds.py recipes/NAME.py --seeds 3 [--output DIR] [--json] [OPTIONS OF THE RECIPE]

Each seed has a run directory of its own, DIR/seed-1 and so on, and is trained by `--trainer.seed`. The same command
goes on where it was interrupted, and only prints what is there already.

A figure is a number on a line of the recipe's standard output. Lines that are alike but for their numbers in all seeds
make one row, in which each number that differs between the seeds becomes its mean ± its standard deviation.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from tqdm import tqdm

from seq2seq.cli.exit_status import guarded
from seq2seq.errors import UserError, check
from seq2seq.runs.provenance import git_revision
from seq2seq.runtime.atomic_files import write_atomically

RESULT_FILE = "seed.json"
"""In each seed's directory: what its recipe printed, once it has ended well."""
MOST_SHOWN = 10
"""Lines of outputs that are named, of those left out."""
NUMBER = re.compile(r"(?<![\w.-])-?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.]*\w)")


@dataclass(frozen=True)
class SeedRun:
    """What one seed's recipe ended with."""

    seed: int
    options: list[str]
    """Of the recipe, beside seed and output."""
    revision: str | None
    """Git revision of the code."""
    seconds: float
    """Of all attempts together."""
    output: str
    """The recipe's standard output."""


@dataclass(frozen=True)
class Row:
    """A line of all seeds' outputs that differs in its numbers only."""

    line: str
    """With {} in the place of each number."""
    values: list[list[float]]
    """Per number its value in each seed."""

    @property
    def means(self) -> list[float]:
        """Per number its mean over the seeds."""
        return [statistics.fmean(each) for each in self.values]

    @property
    def deviations(self) -> list[float]:
        """Per number its standard deviation over the seeds (n - 1 in the denominator); 0 of one seed."""
        return [statistics.stdev(each) if len(each) > 1 else 0.0 for each in self.values]

    def describe(self, decimals: Sequence[int]) -> str:
        """The line, with mean ± standard deviation where seeds differ. decimals: per number as the recipe prints it."""
        figures = zip(self.values, self.means, self.deviations, decimals, strict=True)
        shown = (
            f"{mean:,.{places}f}"
            if len(set(values)) == 1
            else f"{mean:,.{max(places, 1)}f} ± {deviation:.{max(places, 2)}f}"
            for values, mean, deviation, places in figures
        )
        return self.line.format(*shown)


def options(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """The tool's own options, and those for the recipe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("recipe", type=Path, help="recipe script, NAME.py")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, counted from 1 (default: 3)")
    parser.add_argument("--output", type=Path, help="folder of the seeds' runs (default: runs/NAME-seeds)")
    parser.add_argument("--json", action="store_true", help="print rows, seeds, seconds and revision as JSON")
    return parser.parse_known_args(arguments)


def run_seed(recipe: Path, seed: int, directory: Path, passed: list[str]) -> SeedRun:
    """The seed's result, from its directory where it has ended before with these options; else runs the recipe.

    Raises UserError where the recipe fails or the directory holds a result of other options.
    """
    stored = directory / RESULT_FILE
    before = read_result(stored)
    if before is not None and before.output:
        check(
            before.options == passed,
            f"{stored}: made with other options ({' '.join(before.options) or 'none'}); choose another --output",
        )
        return before
    command = [sys.executable, str(recipe), "--output", str(directory), f"--trainer.seed={seed}", *passed]
    began = time.perf_counter()
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - began + (before.seconds if before else 0.0)
    output = ended.stdout if ended.returncode == 0 else ""
    result = SeedRun(seed, passed, git_revision(), seconds, output)
    if directory.is_dir():
        write_atomically(stored, json.dumps(asdict(result), indent=1) + "\n")
    advice = "its message stands above" if ended.returncode == 2 else "the same command goes on"
    check(ended.returncode == 0, f"seed {seed}: {recipe} ended with status {ended.returncode}; {advice}")
    return result


def read_result(path: Path) -> SeedRun | None:
    """What `run_seed` left there; None where there is nothing. Raises UserError where it is damaged."""
    try:
        return SeedRun(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: not a seed's result ({error}); remove it to run the seed again") from None


def rows_of(outputs: Sequence[str]) -> Iterator[tuple[Row, list[int]]]:
    """Lines with figures that all outputs have, but for their numbers, in the first one's order; and each number's
    decimals."""
    tables = [dict(templates(output)) for output in outputs]
    for line, numbers in tables[0].items():
        if numbers and all(line in table for table in tables):
            values = [[as_float(table[line][place]) for table in tables] for place in range(len(numbers))]
            yield Row(line, values), [len(number.partition(".")[2].partition("e")[0]) for number in numbers]


def left_out(outputs: Sequence[str]) -> list[str]:
    """Lines with figures, {} for their numbers, that some outputs have and others have not."""
    lines = [dict.fromkeys(line for line, numbers in templates(output) if numbers) for output in outputs]
    return [line for line in dict.fromkeys(chain(*lines)) if any(line not in each for each in lines)]


def templates(output: str) -> Iterator[tuple[str, list[str]]]:
    """Each line of an output with {} for its numbers, and the numbers as they are written."""
    for line in output.splitlines():
        escaped = line.replace("{", "{{").replace("}", "}}")
        if line.strip():
            yield NUMBER.sub("{}", escaped), NUMBER.findall(escaped)


def as_float(number: str) -> float:
    """1,000.5 -> 1000.5"""
    return float(number.replace(",", ""))


def report(found: Sequence[SeedRun]) -> dict[str, Any]:
    """All rows with their means, for JSON."""
    rows = [
        {"line": row.line, "means": row.means, "deviations": row.deviations, "values": row.values}
        for row, _ in rows_of([each.output for each in found])
    ]
    return {
        "seeds": [each.seed for each in found],
        "options": found[0].options,
        "revisions": [each.revision for each in found],
        "seconds": [round(each.seconds, 1) for each in found],
        "rows": rows,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""

    def work() -> None:
        given, passed = options(arguments)
        check(given.recipe.is_file(), f"{given.recipe}: no such recipe")
        check(given.recipe.suffix == ".py", f"{given.recipe}: is no Python script, whose name ends in .py")
        check(given.seeds > 0, f"--seeds must be positive, not {given.seeds}")
        folder = given.output or Path("runs") / f"{given.recipe.stem}-seeds"
        check(
            folder.is_dir() or not folder.exists(), f"--output {folder}: is a file; name a folder for the seeds' runs"
        )
        seeds = tqdm(range(1, given.seeds + 1), desc="seeds", unit="seed", disable=None)
        found = [run_seed(given.recipe, seed, folder / f"seed-{seed}", passed) for seed in seeds]
        for line in left_out([each.output for each in found])[:MOST_SHOWN]:
            print(f"not in all seeds, left out: {line}", file=sys.stderr)
        if given.json:
            print(json.dumps(report(found), indent=1, ensure_ascii=False))
            return
        for row, decimals in rows_of([each.output for each in found]):
            print(row.describe(decimals))
        times = [each.seconds / 60 for each in found]
        print(f"{len(found)} seeds, {statistics.fmean(times):.1f} minutes each", file=sys.stderr)

    return guarded("seeds.py", work)


if __name__ == "__main__":
    sys.exit(main())
