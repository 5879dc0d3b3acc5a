#!/usr/bin/env python3
"""Draws how the cost of a training step and of decoding grows with batch, hidden size, vocabulary, length and beam.

    tools/cost.py docs    writes cost_AXIS.png for each into that folder, and the figures as TSV on standard output

Batches are random ids, all of one length, so that each axis moves alone; the model is the reference setting of
tools/benchmark.py with coupling bottom_up. Random weights: outputs are as long as the inputs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from benchmark_parts import timed

from seq2seq.cli.arguments import Parser, number_within
from seq2seq.cli.exit_status import guarded
from seq2seq.config import COUNTS
from seq2seq.data.batch import Batch, collate
from seq2seq.data.symbols import BOS_ID, EOS_ID
from seq2seq.evaluation import plotting
from seq2seq.inference.fast_decoder import SearchModel, prepare
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.seq2seq import ModelConfig, Seq2Seq, build_model
from seq2seq.runtime.device import compute_type, prepare_process
from seq2seq.runtime.kernels import DECODING_STEP, DecodingPrecision, cpu_multiplies_int8
from seq2seq.search.beam import SearchConfig, beam_search
from seq2seq.training.config import TrainerConfig
from seq2seq.training.objectives import teacher_forcing
from seq2seq.training.optimizer import OptimizerConfig
from seq2seq.training.trainer import Trainer

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Setting:
    """One point: the reference, with one field moved."""

    batch: int = 128
    hidden: int = 512
    vocabulary: int = 8_000
    length: int = 16
    beam: int = 5


AXES: dict[str, tuple[int, ...]] = {
    "batch": (8, 16, 32, 64, 128, 256),
    "hidden": (128, 256, 512, 1_024),
    "vocabulary": (2_000, 4_000, 8_000, 16_000, 32_000),
    "length": (8, 16, 32, 64),
    "beam": (1, 2, 5, 10, 20),
}
UNITS = {
    "batch": "sentences a batch",
    "hidden": "decoder units",
    "vocabulary": "entries",
    "length": "tokens a sentence",
    "beam": "hypotheses a sentence",
}


class OneBatch:
    """An epoch of a single batch."""

    batches_per_epoch: int | None = 1

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def iterate(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """That batch."""
        return iter([self.batch][start:])


def measure(setting: Setting, repeats: int, train: bool) -> dict[str, float]:
    """Milliseconds of a training step, where asked for, and of decoding a batch in each precision."""
    torch.manual_seed(1)
    encoder, decoder = EncoderConfig(setting.hidden // 2), DecoderConfig(setting.hidden, 2, coupling="bottom_up")
    model = build_model(ModelConfig(256, 0.2, "three_way", encoder, decoder), setting.vocabulary, setting.vocabulary)
    sources, targets = torch.randint(4, setting.vocabulary, (2, setting.batch, setting.length - 1)).tolist()
    batch = collate(list(zip(sources, targets, strict=True)))
    found = {}
    if train:
        precision = {torch.bfloat16: "bf16", torch.float32: "fp32"}[compute_type("auto", CPU)]
        found[f"training step, {precision}"] = training(model, batch, repeats)
    model.eval()
    model.decoder.output.bias.data[EOS_ID] = -1e4  # the limit ends every output
    search = SearchConfig(beam_size=setting.beam, max_length=setting.length)
    precisions: tuple[DecodingPrecision, ...] = ("fp32", "int8") if cpu_multiplies_int8() else ("fp32",)
    for each in precisions:
        found[f"decoding, {each}"] = decoding(model, prepare(model, each), batch, search, repeats)
    return found


def training(model: Seq2Seq, batch: Batch, repeats: int) -> float:
    """Milliseconds of the trainer's step."""
    with tempfile.TemporaryDirectory() as directory:
        trainer = Trainer(Path(directory), TrainerConfig(), OptimizerConfig())
        step = trainer.begin(model, OneBatch(batch), teacher_forcing(0.1))
    return median(repeats, lambda: step.take([batch]))


@torch.inference_mode()
def decoding(model: Seq2Seq, prepared: SearchModel, batch: Batch, search: SearchConfig, repeats: int) -> float:
    """Milliseconds of encoding a batch and searching its outputs."""

    def work() -> None:
        state = prepared.start_from(model.encode(batch.source, batch.source_lengths), batch.source)
        beam_search(prepared.step, state, search.limits(batch.source_lengths), search, BOS_ID, EOS_ID, 1, DECODING_STEP)

    return median(repeats, work)


def median(repeats: int, work: Callable[[], None]) -> float:
    """Milliseconds, after two runs that build kernels."""
    times = [timed(CPU, work) for _ in range(2 + repeats)][2:]
    return 1000 * statistics.median(times)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 2 where the input is at fault."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write the pictures")
    parser.add_argument(
        "--repeats", type=number_within(COUNTS), default=5, help="runs of which the median is told (default: 5)"
    )
    parser.add_argument("--axes", nargs="+", choices=AXES, default=list(AXES), help="(default: all)")
    parser.add_argument(
        "--points", type=number_within(COUNTS), default=9, help="most points on each axis, smallest first (default: 9)"
    )

    def work() -> None:
        chosen = parser.parse_args(arguments)
        prepare_process()
        plotting.check_available()
        chosen.folder.mkdir(parents=True, exist_ok=True)
        print("axis\tvalue\twork\tmilliseconds")
        for axis in chosen.axes:
            lines: dict[str, list[tuple[float, float]]] = {}
            for value in AXES[axis][: chosen.points]:
                setting = replace(Setting(), **{axis: value})
                for name, figure in measure(setting, chosen.repeats, train=axis != "beam").items():
                    lines.setdefault(name, []).append((value, figure))
                    print(f"{axis}\t{value}\t{name}\t{figure:.1f}", flush=True)
            plotting.plot_lines(lines, chosen.folder / f"cost_{axis}.png", UNITS[axis], "milliseconds")

    return guarded("cost.py", work)


if __name__ == "__main__":
    sys.exit(main())
