#!/usr/bin/env python3
"""Estimates how training would scale over many GPUs, as a table in Markdown.

    tools/scaling_cost.py [--gpus 8 64 512]
    tools/scaling_cost.py --step-ms 7 --parameters 11e6     of a measurement of your own
    tools/scaling_cost.py --check FIGURES                   what `tools/benchmark.py processes --json` printed

An estimate, not a measurement. A step takes the time of one GPU and that of its message, which nothing hides. A message
goes round a ring: 2 (n - 1) / n times its bytes over the slowest link; each of its parts of 4 MiB waits for 2 log2 n
hops. --check compares the model with measured processes: the message and its hidden share are measured there too.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seq2seq.cli.arguments import Parser, number_within
from seq2seq.cli.exit_status import guarded
from seq2seq.config import COUNTS, Real
from seq2seq.errors import UserError
from seq2seq.training.parallel import MEBIBYTES_PER_MESSAGE

GPUS_PER_HOST = 8


@dataclass(frozen=True)
class Link:
    """What all GPUs of a host share on their way to the next host, or to each other."""

    name: str
    gigabytes_per_second: float
    """In one direction, as published."""
    microseconds: float
    """Of one hop; assumed."""


@dataclass(frozen=True)
class Work:
    """A training step on one GPU."""

    name: str
    step_ms: float
    parameters: float


WITHIN_HOST = Link("NVLink 4", 450, 3)
BETWEEN_HOSTS = (Link("8 × InfiniBand NDR", 400, 10), Link("100-gigabit Ethernet", 12.5, 30))
MEASURED = (
    Work("11 M parameters, 4,096 tokens", 1000 * 4_096 / 582_390, 11e6),
    Work("343 M parameters, 8,192 tokens", 1000 * 8_192 / 153_339, 343e6),
    Work("343 M parameters, 32,768 tokens", 1000 * 32_768 / 193_336, 343e6),
)
"""Steps of one H200 in bf16, from docs/performance.md, "On a GPU"."""


def message_ms(parameters: float, bytes_each: int, gpus: int, link: Link) -> float:
    """Milliseconds in which all GPUs add their gradients up."""
    size = parameters * bytes_each
    parts = math.ceil(size / (MEBIBYTES_PER_MESSAGE * 2**20))
    sending = 2 * (gpus - 1) / gpus * size / (link.gigabytes_per_second * 1e9)
    return 1000 * sending + parts * 2 * math.log2(gpus) * link.microseconds / 1000


def efficiency(step_ms: float, exposed_ms: float, accumulation: int = 1) -> float:
    """The share of n times one GPU's speed that n GPUs reach, with a message every so many batches."""
    return accumulation * step_ms / (accumulation * step_ms + exposed_ms)


def batches_for(share: float, step_ms: float, exposed_ms: float) -> int:
    """The accumulation from which on the efficiency is at least so high."""
    return max(1, math.ceil(share / (1 - share) * exposed_ms / step_ms - 1e-9))


def rows(works: Sequence[Work], numbers: Sequence[int]) -> list[str]:
    """The table's lines."""
    lines = ["| step of one GPU | GPUs | link | message | efficiency | bf16 messages | accumulation for 90 % |"]
    lines.append("|---|---|---|---|---|---|---|")
    for work in works:
        for gpus in numbers:
            for link in BETWEEN_HOSTS if gpus > GPUS_PER_HOST else (WITHIN_HOST,):
                whole, half = (message_ms(work.parameters, size, gpus, link) for size in (4, 2))
                shares = " | ".join(f"{100 * efficiency(work.step_ms, each):.0f} %" for each in (whole, half))
                needed = batches_for(0.9, work.step_ms, whole)
                name = f"{work.name}: {work.step_ms:.1f} ms"
                lines.append(f"| {name} | {gpus} | {link.name} | {whole:.1f} ms | {shares} | {needed} |")
    return lines


def checked(figures: Sequence[dict[str, Any]]) -> list[str]:
    """Predicted and measured speed of each number of processes, from the rows of `benchmark.py processes --json`."""
    try:
        found: dict[int, dict[str, float]] = {}
        for row in figures:
            count, _, name = row["work"].partition(" processes: ")
            found.setdefault(int(count), {})[name] = float(row["median"])
        one, lines = found[1], ["| processes | target tokens/s: predicted | measured |", "|---|---|---|"]
        for count, each in sorted(found.items()):
            exposed = each["ms a message"] * (1 - each["hidden, %"] / 100) if count > 1 else 0.0
            predicted = count * one["target tokens/s"] * efficiency(one["ms a step"], exposed)
            lines.append(f"| {count} | {predicted:,.0f} | {each['target tokens/s']:,.0f} |")
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UserError(
            "--check reads what tools/benchmark.py processes --json printed, 1 process among them, whole models"
        ) from None
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 2 where the input is at fault."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    positive = number_within(Real(0, 1e12, without=(0,)))
    parser.add_argument(
        "--gpus", type=number_within(COUNTS), nargs="+", default=[8, 64, 512], help="(default: 8 64 512)"
    )
    parser.add_argument("--step-ms", type=positive, help="milliseconds of a step of one GPU (default: those measured)")
    parser.add_argument("--parameters", type=positive, help="of the model; goes with --step-ms")
    parser.add_argument("--check", type=Path, metavar="FIGURES", help="file of measured figures")

    def work() -> None:
        chosen = parser.parse_args(arguments)
        if chosen.check:
            try:
                lines = checked(json.loads(chosen.check.read_text(encoding="utf-8")))
            except (OSError, ValueError) as error:
                raise error if isinstance(error, UserError) else UserError(f"{chosen.check}: {error}") from None
        elif (chosen.step_ms is None) != (chosen.parameters is None):
            raise UserError("--step-ms and --parameters go together")
        else:
            own = chosen.step_ms and Work(f"{chosen.parameters:,.0f} parameters", chosen.step_ms, chosen.parameters)
            lines = rows([own] if own else MEASURED, chosen.gpus)
        print("\n".join(lines))

    return guarded("scaling_cost.py", work)


if __name__ == "__main__":
    sys.exit(main())
