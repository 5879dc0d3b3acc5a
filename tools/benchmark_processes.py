#!/usr/bin/env python3
"""Measures training by several processes on this machine, and how much of their messages the backward pass hides.

    tools/benchmark.py processes --data DIR [--processes 1 2] [--rounds 3]

Each number of processes is started by torchrun in turn, `--rounds` times, at the reference setting of benchmark.py. The
hidden share of a message is 1 - (a step that sends along - one that sends nothing) / (one that sends afterwards - one
that sends nothing), from the medians of each process's seconds.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from benchmark_parts import COUPLINGS, Row, reference_model, timed

from seq2seq.cli.arguments import Parser, number_within
from seq2seq.cli.exit_status import guarded
from seq2seq.config import COUNTS
from seq2seq.data.batch import Batch
from seq2seq.data.bucketing import BatchingConfig, BucketedBatches
from seq2seq.data.corpus import DataConfig, load_split, tokenise
from seq2seq.data.symbols import PAD_ID
from seq2seq.data.vocabulary import VocabularyConfig, train_vocabularies
from seq2seq.errors import UserError
from seq2seq.runtime.device import prepare_process
from seq2seq.runtime.distributed import World, world
from seq2seq.training.config import TrainerConfig
from seq2seq.training.objectives import teacher_forcing
from seq2seq.training.optimizer import OptimizerConfig
from seq2seq.training.step import TrainingStep
from seq2seq.training.trainer import Trainer

WORKER = "BENCHMARK_RANK_OUTPUT"
"""Environment variable that names the file which the first process of a group writes its figures to."""
WARM_UP = 10
"""Steps before the clock starts."""


def options(arguments: Sequence[str]) -> Any:
    """The command line."""
    parser = Parser(prog="benchmark.py processes", description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="folder, file or Hub id of a parallel corpus")
    parser.add_argument("--source", default="en", help="source column (default: en)")
    parser.add_argument("--target", default="de", help="target column (default: de)")
    parser.add_argument(
        "--processes", type=number_within(COUNTS), nargs="+", default=[1, 2], help="numbers to measure (default: 1 2)"
    )
    parser.add_argument("--rounds", type=number_within(COUNTS), default=3, help="of each number (default: 3)")
    parser.add_argument("--steps", type=number_within(COUNTS), default=20, help="steps measured (default: 20)")
    parser.add_argument("--coupling", choices=COUPLINGS, default="none", help="default: none")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="default: auto")
    parser.add_argument("--bf16-messages", action="store_true", help="send gradients as bf16")
    parser.add_argument("--sharding", choices=("none", "full"), default="none", help="default: none")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(list(arguments))


def measure(chosen: Any, here: World) -> dict[str, float]:
    """The figures of this group of processes."""
    data = DataConfig(chosen.data, chosen.source, chosen.target)
    training = load_split(data, data.train_split)
    vocabulary, _ = train_vocabularies(training, VocabularyConfig(size=8000))
    tokenised, _ = tokenise(training, vocabulary, vocabulary, data.max_length)
    batches = BucketedBatches(tokenised, BatchingConfig(), 1, here)
    settings = TrainerConfig(
        precision=chosen.precision, cuda_graphs=False, bf16_messages=chosen.bf16_messages, sharding=chosen.sharding
    )
    with tempfile.TemporaryDirectory() as directory:
        trainer = Trainer(Path(directory), settings, OptimizerConfig(), here)
        model = reference_model(chosen.coupling, vocabulary)[1]
        step = trainer.begin(model, batches, teacher_forcing(0.1))
    stream = (batch for epoch in range(10_000) for batch in batches.iterate(epoch))
    for _ in range(WARM_UP):
        step.take([next(stream)])
    figures = _speed(step, stream, chosen.steps, here)
    if here.size > 1 and chosen.sharding == "none":
        figures |= _message(step, [next(stream) for _ in range(chosen.steps)], here)
    return figures


def _speed(step: TrainingStep, stream: Iterator[Batch], steps: int, here: World) -> dict[str, float]:
    """Of whole steps of all processes together."""
    group = [next(stream) for _ in range(steps)]

    def take() -> None:
        for batch in group:
            step.take([batch])

    tokens = torch.tensor(float(sum(int((batch.target_output != PAD_ID).sum()) for batch in group)))
    tokens = tokens.to(here.device)
    here.sum_tensors([tokens])
    here.barrier()
    seconds = timed(here.device, take)
    return {"target tokens/s": float(tokens) / seconds, "ms a step": 1000 * seconds / steps}


def _message(step: TrainingStep, group: Sequence[Batch], here: World) -> dict[str, float]:
    """Median seconds of the passes of a batch with no message, with one afterwards and with messages along."""
    passes = step.passes

    def once(batch: Batch, sends: bool, finishes: bool) -> None:
        step.optimizer.zero_grad()
        with passes.passing(sends):
            passes.loss(batch).total.backward()
        if finishes:
            passes.finish([batch], sends)

    def median(work: Callable[[Batch], None]) -> float:
        times = []
        for batch in group:
            moved = batch.to(here.device)
            here.barrier()
            times.append(timed(here.device, work, moved))
        return statistics.median(times)

    nothing = median(lambda batch: once(batch, False, False))
    afterwards = median(lambda batch: once(batch, False, True))
    along = median(lambda batch: once(batch, True, True))
    message = afterwards - nothing
    hidden = 1 - (along - nothing) / message if message > 0 else 0.0
    return {"ms a message": 1000 * message, "hidden, %": 100 * hidden}


def _group(count: int, words: Sequence[str]) -> dict[str, float]:
    """Starts a group of processes and returns its figures. Raises UserError where it failed."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "figures.json"
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
        command = [*launcher, str(Path(__file__).resolve()), *words]
        ended = subprocess.run(command, env={**os.environ, WORKER: str(output)}, stderr=subprocess.PIPE, text=True)
        if ended.returncode or not output.exists():
            raise UserError(f"{count} processes did not end well: {ended.stderr.strip()[-500:]}")
        figures: dict[str, float] = json.loads(output.read_text())
        return figures


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0, or 2 where the input is at fault."""

    def work() -> None:
        chosen = options(arguments)
        prepare_process()
        if WORKER in os.environ:
            with world() as here:
                figures = measure(chosen, here)
                if here.is_main:
                    Path(os.environ[WORKER]).write_text(json.dumps(figures))
            return
        rounds = [{count: _group(count, arguments) for count in chosen.processes} for _ in range(chosen.rounds)]
        rows = [
            Row.of(f"{count} processes: {name}", name, [each[count][name] for each in rounds])
            for count in chosen.processes
            for name in rounds[0][count]
        ]
        shown = [f"{row.work:<40}{row.median:>12,.1f} ± {row.spread:,.1f}" for row in rows]
        print(json.dumps([vars(row) for row in rows]) if chosen.json else "\n".join(shown))

    return guarded("benchmark.py", work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
