#!/usr/bin/env python
"""Measures speed at the reference setting, beside the matrix peak of the same process.

    tools/benchmark.py train --data ../shared/data/multi30k
    tools/benchmark.py decode --data ../shared/data/multi30k [--run runs/multi30k_en_de]

Reference setting: joint vocabulary of 8,000 pieces, encoder 256 units a direction, decoder 512, embeddings 256, tied
output, 2,000 padded tokens a batch.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from seq2seq.batching import Batch, BatchingConfig, BucketedBatches
from seq2seq.config import UserError
from seq2seq.corpus import DataConfig, load_split, tokenise
from seq2seq.decoder import DecoderConfig
from seq2seq.distributed import World
from seq2seq.encoder import EncoderConfig
from seq2seq.guard import guarded
from seq2seq.hardware import compute_type, keep_freed_memory
from seq2seq.model import ModelConfig, Seq2Seq, build_model
from seq2seq.objectives import teacher_forcing
from seq2seq.schedule import OptimizerConfig
from seq2seq.search import SearchConfig
from seq2seq.trainer import Trainer, TrainerConfig
from seq2seq.translator import Translator, load
from seq2seq.vocabulary import Vocabulary, VocabularyConfig, train_vocabularies

FORCED_LENGTH = 15
"""Tokens of every output when an untrained model is decoded: it does not know where to end."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    work: str
    unit: str
    median: float
    spread: float
    """Half the distance between the fastest and the slowest repeat."""
    peak_fraction: float | None
    """Share of the matrix peak of the same element type; None where the arithmetic is not counted."""


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=("train", "decode"))
    parser.add_argument("--data", required=True, help="folder, file or Hub id of a parallel corpus")
    parser.add_argument("--source", default="en", help="source column (default: en)")
    parser.add_argument("--target", default="de", help="target column (default: de)")
    parser.add_argument("--run", help="decode: a trained run (default: random weights, outputs forced to 15 tokens)")
    parser.add_argument("--coupling", choices=("none", "bottom_up", "input_feeding", "all"), default="all")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="(default: auto)")
    parser.add_argument("--budget", type=int, default=2000, help="padded tokens per batch (default: 2000)")
    parser.add_argument("--warmup", type=int, default=20, help="steps before the clock starts (default: 20)")
    parser.add_argument("--steps", type=int, default=20, help="steps per repeat (default: 20)")
    parser.add_argument("--repeats", type=int, default=3, help="repeats, of which the median is told (default: 3)")
    parser.add_argument("--sentences", type=int, default=1000, help="decode: test sentences (default: 1000)")
    parser.add_argument("--beam-size", type=int, default=5, help="decode: width of the beam (default: 5)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(arguments)


def matrix_peak(dtype: torch.dtype, device: torch.device, size: int = 1024, repeats: int = 20) -> float:
    """FLOP/s of the best of some square matrix products."""
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    times = []
    for _ in range(repeats):
        synchronise(device)
        start = time.perf_counter()
        left @ right
        synchronise(device)
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)


def synchronise(device: torch.device) -> None:
    """Waits for the device; nothing to wait for on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def forward_flops(model: Seq2Seq, batch: Batch) -> float:
    """Multiplications and additions of a forward pass over the real tokens, counted from the model's shapes.

    Each weight matrix costs 2 per element for every token it is applied to; attention costs 2 x S x (H + H') for every
    target token on top. Embedding lookups, biases and elementwise functions are not counted.
    """
    source = float(batch.source_lengths.sum())
    target = float((batch.target_output != 0).sum())
    counted = 0.0
    decoder = model.decoder
    keys = [weight for name, weight in decoder.attention.named_parameters() if name == "project.weight"]
    per_source = [*model.encoder.parameters(), *keys]
    counted += source * sum(2 * weight.numel() for weight in per_source if weight.dim() == 2)
    per_target = [*decoder.layers.parameters(), decoder.readout.weight, decoder.output.weight]
    counted += target * sum(2 * weight.numel() for weight in per_target if weight.dim() == 2)
    width = decoder.lstms()[0].hidden_size + decoder.readout.in_features - decoder.lstms()[-1].hidden_size
    return counted + target * 2 * (source / len(batch.source)) * width


def reference_model(coupling: Any, vocabulary: Vocabulary) -> tuple[ModelConfig, Seq2Seq]:
    """The model of the reference setting."""
    layers = 2 if coupling == "bottom_up" else 1
    config = ModelConfig(256, 0.2, "three_way", EncoderConfig(256), DecoderConfig(512, layers, coupling=coupling))
    torch.manual_seed(1)
    return config, build_model(config, len(vocabulary), len(vocabulary))


def measure_training(chosen: argparse.Namespace, directory: Path) -> list[Row]:
    """Target tokens per second of each coupling, in the trainer's own step."""
    data = DataConfig(chosen.data, chosen.source, chosen.target)
    training = load_split(data, data.train_split)
    vocabulary, _ = train_vocabularies(training, VocabularyConfig(size=8000))
    tokenised, _ = tokenise(training, vocabulary, vocabulary, data.max_length)
    batches = BucketedBatches(tokenised, BatchingConfig(max_tokens_per_batch=chosen.budget), seed=1)
    couplings = ("none", "bottom_up", "input_feeding") if chosen.coupling == "all" else (chosen.coupling,)
    rows = []
    for coupling in couplings:
        _, model = reference_model(coupling, vocabulary)
        rows.append(_train(coupling, model, batches, chosen, directory))
    return rows


def _train(coupling: str, model: Seq2Seq, batches: BucketedBatches, chosen: argparse.Namespace, directory: Path) -> Row:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    trainer = Trainer(directory, TrainerConfig(precision=chosen.precision), OptimizerConfig(), World(device=device))
    trainer.begin(model.to(device), batches, teacher_forcing(0.1))
    stream = (batch for epoch in range(10_000) for batch in batches.iterate(epoch))
    for _ in range(chosen.warmup):
        trainer.step([next(stream)])
    speeds, flops = [], []
    for _ in range(chosen.repeats):
        group = [next(stream) for _ in range(chosen.steps)]
        synchronise(device)
        start = time.perf_counter()
        for batch in group:
            trainer.step([batch])
        synchronise(device)
        seconds = time.perf_counter() - start
        speeds.append(sum(int((batch.target_output != 0).sum()) for batch in group) / seconds)
        flops.append(3 * sum(forward_flops(model, batch) for batch in group) / seconds)
    fraction = statistics.median(flops) / matrix_peak(compute_type(chosen.precision, device), device)
    return _row(f"train, {coupling}", "target tokens/s", speeds, fraction)


def measure_decoding(chosen: argparse.Namespace) -> list[Row]:
    """Sentences per second of beam search, of a trained run or of random weights with outputs of one length."""
    data = DataConfig(chosen.data, chosen.source, chosen.target)
    test = load_split(data, data.test_split)
    texts = [row["source"] for row in test][: chosen.sentences]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if chosen.run:
        translators = {f"decode, {Path(chosen.run).name}": load(chosen.run, device)}
    else:
        vocabulary, _ = train_vocabularies(load_split(data, data.train_split), VocabularyConfig(size=8000))
        couplings = ("none", "bottom_up", "input_feeding") if chosen.coupling == "all" else (chosen.coupling,)
        translators = {f"decode, {each}": _untrained(each, vocabulary, device) for each in couplings}
    return [_decode(name, translator, texts, chosen) for name, translator in translators.items()]


def _untrained(coupling: str, vocabulary: Vocabulary, device: str) -> Translator:
    config, model = reference_model(coupling, vocabulary)
    model.decoder.output.bias.data[3] = -1e4  # never ends by itself; the length limit ends it
    search = SearchConfig(max_length=FORCED_LENGTH)
    return Translator(model.to(device), config, vocabulary, vocabulary, search)


def _decode(name: str, translator: Translator, texts: list[str], chosen: argparse.Namespace) -> Row:
    translator.search_config = replace(translator.search_config, beam_size=chosen.beam_size)
    translator.translate(texts[:64])
    speeds = []
    for _ in range(chosen.repeats):
        synchronise(translator.device)
        start = time.perf_counter()
        translator.translate(texts)
        synchronise(translator.device)
        speeds.append(len(texts) / (time.perf_counter() - start))
    return _row(f"{name}, beam {chosen.beam_size}", "sentences/s", speeds, None)


def _row(work: str, unit: str, figures: list[float], fraction: float | None) -> Row:
    return Row(work, unit, statistics.median(figures), (max(figures) - min(figures)) / 2, fraction)


def report(rows: list[Row], as_json: bool) -> str:
    """The table, with the process's largest resident memory and the matrix peak."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    peaks = {"fp32": matrix_peak(torch.float32, device) / 1e12}
    if compute_type("auto", device) == torch.bfloat16:
        peaks["bf16"] = matrix_peak(torch.bfloat16, device) / 1e12
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "linux" else 1 << 30)
    if as_json:
        return json.dumps({"rows": [vars(row) for row in rows], "peak_tflops": peaks, "resident_gib": memory}, indent=1)
    lines = [f"{'work':<34}{'median':>10}{'spread':>9}  {'unit':<18}{'of peak':>8}"]
    for row in rows:
        fraction = "" if row.peak_fraction is None else f"{row.peak_fraction:.0%}"
        lines.append(
            f"{row.work:<34}{row.median:>10,.0f}{'± ' + format(row.spread, ',.0f'):>9}  {row.unit:<18}{fraction:>8}"
        )
    shown = ", ".join(f"{name} {value:.2f} TFLOP/s" for name, value in peaks.items())
    return "\n".join(
        [*lines, f"matrix peak: {shown}; threads: {torch.get_num_threads()}; largest resident memory: {memory:.2f} GiB"]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 2 where the input is at fault."""
    chosen = options(arguments)

    def work() -> None:
        keep_freed_memory()
        if chosen.sentences < 1 or chosen.steps < 1 or chosen.repeats < 1:
            raise UserError("--sentences, --steps and --repeats must be positive")
        with tempfile.TemporaryDirectory() as directory:
            rows = measure_training(chosen, Path(directory)) if chosen.work == "train" else measure_decoding(chosen)
        print(report(rows, chosen.json))

    return guarded("benchmark.py", work)


if __name__ == "__main__":
    sys.exit(main())
