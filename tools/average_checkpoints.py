#!/usr/bin/env python3
"""Averages the weights of a run's last checkpoints into a new run directory that `seq2seq translate` can load.

    tools/average_checkpoints.py RUN --last 2 --output DIR

A run keeps trainer.keep_checkpoints of them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from seq2seq.cli.arguments import Parser, number_within
from seq2seq.cli.exit_status import guarded
from seq2seq.config import Whole
from seq2seq.errors import UserError
from seq2seq.inference.load import load
from seq2seq.runs.checkpoints import CheckpointStore, find_fault
from seq2seq.runs.layout import refuse_to_save
from seq2seq.runs.weights import load_model_tensors, load_tensors


def mean_of(groups: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Element-wise mean of tensors of the same names and shapes."""
    return {name: torch.stack([group[name].double() for group in groups]).mean(0).float() for name in groups[0]}


def average(run: Path, last: int, output: Path) -> None:
    """Writes a run directory whose model is the mean of the last checkpoints. Raises UserError if there are too few, or
    files of others lie there."""
    refuse_to_save(output)
    paths = CheckpointStore(run / "checkpoints").list()[-last:]
    if len(paths) < last:
        raise UserError(
            f"{run}: {len(paths)} checkpoints, not {last}; ask for fewer, or train with a larger keep_checkpoints"
        )
    for path in paths:
        fault = find_fault(path)
        if fault is not None:
            raise UserError(f"{path} is damaged: {fault}")
    translator = load(run, kind="translator")
    tensors = mean_of([load_tensors(path / "model.safetensors") for path in paths])
    load_model_tensors(translator.model, tensors, str(run))
    translator.save_pretrained(output)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 2 where the input is at fault."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run directory")
    parser.add_argument(
        "--last",
        type=number_within(Whole(1, 1_000_000)),
        default=2,
        help="number of checkpoints to average (default: 2)",
    )
    parser.add_argument("--output", type=Path, required=True, help="directory to write")

    def work() -> None:
        chosen = parser.parse_args(arguments)
        average(chosen.run, chosen.last, chosen.output)

    return guarded("average_checkpoints.py", work)


if __name__ == "__main__":
    sys.exit(main())
