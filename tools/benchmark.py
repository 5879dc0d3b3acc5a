#!/usr/bin/env python3
"""Measures speed at the reference setting, beside the matrix peak of the same process.

    tools/benchmark.py train --data DIR             training, target tokens/s, for each coupling
    tools/benchmark.py decode --data DIR --run RUN  beam search in batches, sentences/s
    tools/benchmark.py latency --data DIR --run RUN one sentence at a time, and from start to first output
    tools/benchmark.py prepare --data DIR           tokenising and batching
    tools/benchmark.py serve --data DIR --run RUN   the server under many clients, beside `seq2seq translate`
    tools/benchmark.py processes --data DIR         training by 1 and 2 processes, and what of a message is hidden

Reference setting: joint vocabulary of 8,000 pieces, encoder 256 units a direction, decoder 512, embeddings 256, tied
output, 2,000 padded tokens a batch. `torchrun --nproc-per-node 2 tools/benchmark.py train ...` measures two processes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import benchmark_processes
import benchmark_serve
import torch
from benchmark_parts import COUPLINGS, Row, reference_model, timed

from seq2seq.cli.arguments import Parser, number_within
from seq2seq.cli.exit_status import guarded
from seq2seq.config import COUNTS, COUNTS_OR_NONE, SEARCH
from seq2seq.data.batch import Batch
from seq2seq.data.bucketing import BatchingConfig, BucketedBatches
from seq2seq.data.corpus import DataConfig, load_split, references, tokenise
from seq2seq.data.symbols import PAD_ID
from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig, train_vocabularies
from seq2seq.errors import UserError, check
from seq2seq.evaluation.metrics import bleu
from seq2seq.inference.load import load
from seq2seq.inference.translator import Translator
from seq2seq.model.seq2seq import Seq2Seq
from seq2seq.runtime.device import compute_type, prepare_process
from seq2seq.runtime.distributed import World, world
from seq2seq.search.beam import SearchConfig
from seq2seq.training.config import TrainerConfig
from seq2seq.training.objectives import teacher_forcing
from seq2seq.training.optimizer import OptimizerConfig
from seq2seq.training.step import TrainingStep
from seq2seq.training.trainer import Trainer

FORCED_LENGTH = 15
"""Tokens of every output when an untrained model is decoded: it does not know where to end."""


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=tuple(MEASURES))
    parser.add_argument("--data", required=True, help="folder, file or Hub id of a parallel corpus")
    parser.add_argument("--source", default="en", help="source column (default: en)")
    parser.add_argument("--target", default="de", help="target column (default: de)")
    parser.add_argument("--run", help="decode, latency: a trained run (default: random weights, outputs of 15 tokens)")
    parser.add_argument("--coupling", choices=(*COUPLINGS, "all"), default="all")
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16", "int8"),
        default="auto",
        help="train: auto, fp32 or bf16; decode, latency: fp32 (also the meaning of auto) or int8 (default: auto)",
    )
    parser.add_argument(
        "--budget", type=number_within(COUNTS), default=2000, help="padded tokens per batch (default: 2000)"
    )
    parser.add_argument("--no-cuda-graphs", action="store_true", help="train, on a GPU: launch kernels one by one")
    parser.add_argument(
        "--warmup",
        type=number_within(COUNTS_OR_NONE),
        default=20,
        help="train: steps before the clock starts (default: 20)",
    )
    parser.add_argument("--steps", type=number_within(COUNTS), default=20, help="train: steps per repeat (default: 20)")
    parser.add_argument(
        "--repeats", type=number_within(COUNTS), default=3, help="repeats, of which the median is told (default: 3)"
    )
    parser.add_argument(
        "--sentences", type=number_within(COUNTS), default=1000, help="decode: test sentences (default: 1000)"
    )
    parser.add_argument(
        "--beam-size", type=number_within(SEARCH["beam_size"]), default=5, help="width of the beam (default: 5)"
    )
    parser.add_argument(
        "--pairs", type=number_within(COUNTS), default=1_000_000, help="prepare: pairs (default: 1,000,000)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="write a Chrome trace of the measured work")
    return parser.parse_args(arguments)


def check_profile(chosen: argparse.Namespace) -> None:
    """Raises UserError, before anything is measured, where no trace is taken, or it cannot be written."""
    if chosen.profile is None:
        return
    check(chosen.work != "prepare", "--profile has no effect on prepare; leave it out")
    try:
        chosen.profile.open("ab").close()
    except OSError as error:
        raise UserError(f"--profile {chosen.profile}: cannot be written ({error.strerror})") from None


def matrix_peak(dtype: torch.dtype, device: torch.device, size: int = 1024, repeats: int = 20) -> float:
    """FLOP/s of the best of some square matrix products."""
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / min(timed(device, torch.mm, left, right) for _ in range(repeats))


def forward_flops(model: Seq2Seq, source: float, target: float, mean_source: float) -> float:
    """Multiplications and additions of a forward pass over so many source and target tokens, from the model's shapes.

    Each weight matrix costs 2 per element for every token it is applied to; attention costs 2 x S x (H + H') for every
    target token on top. Embedding lookups, biases and elementwise functions are not counted.
    """
    decoder = model.decoder
    keys = [weight for name, weight in decoder.attention.named_parameters() if name == "project.weight"]
    per_source = [*model.encoder.parameters(), *keys]
    per_target = [*decoder.layers.parameters(), decoder.readout.weight, decoder.output.weight]
    matrices = source * sum(2 * weight.numel() for weight in per_source if weight.dim() == 2)
    matrices += target * sum(2 * weight.numel() for weight in per_target if weight.dim() == 2)
    width = decoder.recurrent_layers()[0].hidden_size + decoder.attention.context_size
    return matrices + target * 2 * mean_source * width


def batch_flops(model: Seq2Seq, batch: Batch) -> float:
    """`forward_flops` of a batch's real tokens."""
    source, target = float(batch.source_lengths.sum()), float((batch.target_output != PAD_ID).sum())
    return forward_flops(model, source, target, source / len(batch.source))


def couplings(chosen: argparse.Namespace) -> Sequence[str]:
    """Those to measure."""
    return COUPLINGS if chosen.coupling == "all" else (chosen.coupling,)


def measure_training(chosen: argparse.Namespace, here: World, trace: Trace) -> list[Row]:
    """Target tokens per second of each coupling, in the trainer's own step."""
    data = DataConfig(chosen.data, chosen.source, chosen.target)
    training = load_split(data, data.train_split)
    vocabulary, _ = train_vocabularies(training, VocabularyConfig(size=8000))
    tokenised, _ = tokenise(training, vocabulary, vocabulary, data.max_length)
    batches = BucketedBatches(tokenised, BatchingConfig(max_tokens_per_batch=chosen.budget), 1, here)
    rows = []
    for name in couplings(chosen):
        rows.append(_train(name, reference_model(name, vocabulary)[1], batches, chosen, here, trace))
        if here.device.type == "cuda":
            rows.append(_layers_alone(name, batches, chosen, here.device))
    return rows


def _train(
    coupling: str, model: Seq2Seq, batches: BucketedBatches, chosen: argparse.Namespace, here: World, trace: Trace
) -> Row:
    with tempfile.TemporaryDirectory() as directory:
        config = TrainerConfig(precision=chosen.precision, cuda_graphs=not chosen.no_cuda_graphs)
        trainer = Trainer(Path(directory), config, OptimizerConfig(), here)
        step = trainer.begin(model.to(here.device), batches, teacher_forcing(0.1))
    stream = (batch for epoch in range(10_000) for batch in batches.iterate(epoch))
    for _ in range(chosen.warmup):
        step.take([next(stream)])
    peak_type = compute_type(chosen.precision, here.device)
    speeds, fractions = [], []
    for _ in range(chosen.repeats):
        group = [next(stream) for _ in range(chosen.steps)]
        if step.recordings:  # the first pass sets up, the second records
            _take_steps(step, 2 * group)
        with trace():
            seconds = timed(here.device, _take_steps, step, group)
        tokens = sum(int((batch.target_output != PAD_ID).sum()) for batch in group)
        speeds.append(here.size * tokens / seconds)
        arithmetic = 3 * sum(batch_flops(model, batch) for batch in group)  # its own; backward costs two
        fractions.append(arithmetic / seconds / matrix_peak(peak_type, here.device))
    processes = f", {here.size} processes" if here.size > 1 else ""
    return Row.of(f"train, {coupling}{processes}", "target tokens/s", speeds, statistics.median(fractions))


def _layers_alone(coupling: str, batches: BucketedBatches, chosen: argparse.Namespace, device: torch.device) -> Row:
    """Target tokens per second of torch's own LSTM layers of these sizes alone, forward and backward over the same
    batches: no attention, no output layer, no optimiser. What the step could reach if all else cost nothing."""
    layers = 2 if coupling == "bottom_up" else 1
    encoder = torch.nn.LSTM(256, 256, batch_first=True, bidirectional=True).to(device)
    decoder = torch.nn.LSTM(256, 512, layers, batch_first=True).to(device)
    dtype = compute_type(chosen.precision, device)
    for module in (encoder, decoder):
        module.to(dtype)

    def work(group: list[Batch]) -> None:
        for batch in group:
            source = torch.ones(*batch.source.shape, 256, device=device, dtype=dtype, requires_grad=True)
            target = torch.ones(*batch.target_input.shape, 256, device=device, dtype=dtype, requires_grad=True)
            (encoder(source)[0].sum() + decoder(target)[0].sum()).backward()

    stream = (batch for epoch in range(10_000) for batch in batches.iterate(epoch))
    work([next(stream) for _ in range(chosen.warmup)])
    speeds = []
    for _ in range(chosen.repeats):
        group = [next(stream) for _ in range(chosen.steps)]
        tokens = sum(int((batch.target_output != PAD_ID).sum()) for batch in group)
        speeds.append(tokens / timed(device, work, group))
    return Row.of(f"layers alone, {layers} of the decoder", "target tokens/s", speeds)


def _take_steps(step: TrainingStep, batches: list[Batch]) -> None:
    for batch in batches:
        step.take([batch])


def measure_decoding(chosen: argparse.Namespace, here: World, trace: Trace) -> list[Row]:
    """Sentences per second of beam search."""
    texts, expected = _test_sentences(chosen, chosen.sentences)
    rows = []
    for name, translator in _translators(chosen, here).items():
        rows.append(_decode(name, translator, texts, chosen, trace))
        if translator.precision != "fp32":
            rows += _compare_with_fp32(name, translator, texts, expected if chosen.run else [])
    return rows


def _compare_with_fp32(name: str, translator: Translator, texts: list[str], expected: list[list[str]]) -> list[Row]:
    """How many outputs the precision changes, and, where there are references, both BLEUs."""
    precision = translator.precision
    outputs = {precision: translator.translate(texts)}
    translator.precision = "fp32"
    outputs["fp32"] = translator.translate(texts)
    translator.precision = precision
    differing = sum(one != other for one, other in zip(*outputs.values(), strict=True))
    rows = [Row.of(f"decode, {name}: of {len(texts):,}, unlike fp32's", "sentences", [differing])]
    if expected:
        rows += [Row.of(f"decode, {name}: {each}", "BLEU", [bleu(outputs[each], expected)]) for each in outputs]
    return rows


def _decode(name: str, translator: Translator, texts: list[str], chosen: argparse.Namespace, trace: Trace) -> Row:
    outputs = translator.search(texts)
    source = sum(len(ids) + 1 for ids in translator.source_vocabulary.encode_batch(texts))
    hypotheses = chosen.beam_size * sum(len(best[0].tokens) + 1 for best in outputs)
    arithmetic = forward_flops(translator.model, source, hypotheses, source / len(texts))
    speeds, fractions = [], []
    for _ in range(chosen.repeats):
        with trace():
            seconds = timed(translator.device, translator.translate, texts)
        speeds.append(len(texts) / seconds)
        fractions.append(arithmetic / seconds / matrix_peak(torch.float32, translator.device))
    work = f"decode, {name}, beam {chosen.beam_size}, {translator.precision}"
    return Row.of(work, "sentences/s", speeds, statistics.median(fractions))


def measure_latency(chosen: argparse.Namespace, here: World, trace: Trace) -> list[Row]:
    """Milliseconds of one sentence at a time; with --run, seconds from the program's start to its first output."""
    texts, _ = _test_sentences(chosen, 100)
    rows = []
    for name, translator in _translators(chosen, here).items():
        translator.translate(texts)  # the first calls build kernels for their shapes
        with trace():
            times = [timed(here.device, translator.translate, [text]) for text in texts]
        shown = f"latency, {name}, beam {chosen.beam_size}, {translator.precision}"
        rows.append(Row.of(shown, "ms a sentence", [1000 * each for each in times]))
    if chosen.run:
        precision = "int8" if chosen.precision == "int8" else "fp32"
        starts = [_start_up(chosen.run, precision, texts[0]) for _ in range(chosen.repeats)]
        rows.append(Row.of(f"seq2seq translate, start to output, {precision}", "s", starts))
    return rows


def _start_up(run: str, precision: str, text: str) -> float:
    command = [sys.executable, "-m", "seq2seq", "translate", run, "--precision", precision]
    start = time.perf_counter()
    subprocess.run(command, input=text + "\n", text=True, encoding="utf-8", capture_output=True, check=True)
    return time.perf_counter() - start


def measure_preparing(chosen: argparse.Namespace, here: World, _trace: Trace) -> list[Row]:
    """Pairs per second of tokenising (a corpus repeated to the number asked for), and milliseconds a batch."""
    from datasets import concatenate_datasets

    data = DataConfig(chosen.data, chosen.source, chosen.target)
    training = load_split(data, data.train_split)
    vocabulary, _ = train_vocabularies(training, VocabularyConfig(size=8000))
    whole, rest = divmod(chosen.pairs, len(training))
    corpus = concatenate_datasets([training] * whole + [training.select(range(rest))])
    before = resident_gib()
    start = time.perf_counter()
    with _no_caching():
        tokenised, _ = tokenise(corpus, vocabulary, vocabulary, data.max_length)
    tokenising = time.perf_counter() - start
    start = time.perf_counter()
    batches = BucketedBatches(tokenised, BatchingConfig(max_tokens_per_batch=chosen.budget), 1, here)
    planning = time.perf_counter() - start
    grown = resident_gib() - before
    drawn = []
    iterator = batches.iterate(1)
    next(iterator)
    for _ in range(200):
        start = time.perf_counter()
        if next(iterator, None) is None:
            break
        drawn.append(1000 * (time.perf_counter() - start))
    return [
        Row.of(f"tokenise, {chosen.pairs:,} pairs", "s", [tokenising]),
        Row.of("plan an epoch's batches", "s", [planning]),
        Row.of("load a batch", "ms", drawn or [0.0]),
        Row.of("memory grown", "GiB", [grown]),
    ]


@contextlib.contextmanager
def _no_caching() -> Iterator[None]:
    """What was tokenised before is tokenised again."""
    import datasets

    enabled = datasets.is_caching_enabled()
    datasets.disable_caching()
    try:
        yield
    finally:
        if enabled:
            datasets.enable_caching()


def _test_sentences(chosen: argparse.Namespace, most: int) -> tuple[list[str], list[list[str]]]:
    """Sources and references of the first sentences of the test split."""
    data = DataConfig(chosen.data, chosen.source, chosen.target)
    split = load_split(data, data.test_split)
    split = split.select(range(min(most, len(split))))
    return [row["source"] for row in split], references(split)


def _translators(chosen: argparse.Namespace, here: World) -> dict[str, Translator]:
    """The run's, or one of random weights for each coupling."""
    if chosen.run:
        found = {Path(chosen.run).name: load(chosen.run, str(here.device), kind="translator")}
    else:
        data = DataConfig(chosen.data, chosen.source, chosen.target)
        vocabulary, _ = train_vocabularies(load_split(data, data.train_split), VocabularyConfig(size=8000))
        found = {name: _untrained(name, vocabulary, here.device) for name in couplings(chosen)}
    for translator in found.values():
        translator.search_config = replace(translator.search_config, beam_size=chosen.beam_size)
        translator.precision = "int8" if chosen.precision == "int8" else "fp32"
    return found


def _untrained(coupling: str, vocabulary: Vocabulary, device: torch.device) -> Translator:
    config, model = reference_model(coupling, vocabulary)
    model.decoder.output.bias.data[3] = -1e4  # never ends by itself; the length limit ends it
    search = SearchConfig(max_length=FORCED_LENGTH)
    return Translator(model.to(device), config, vocabulary, vocabulary, search)


MEASURES: dict[str, Callable[[argparse.Namespace, World, Trace], list[Row]]] = {
    "train": measure_training,
    "decode": measure_decoding,
    "latency": measure_latency,
    "prepare": measure_preparing,
}


class Trace:
    """A profiler around the measured work, where a file for its trace was asked for."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Around one repeat; each overwrites the trace of the one before."""
        if self.path is None:
            yield
            return
        with torch.profiler.profile() as profiler:
            yield
        profiler.export_chrome_trace(str(self.path))
        print(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=25), file=sys.stderr)


def resident_gib() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "linux" else 1 << 30)


def report(rows: list[Row], device: torch.device, as_json: bool) -> str:
    """The table, with the process's largest resident memory and the matrix peak."""
    peaks = {"fp32": matrix_peak(torch.float32, device) / 1e12}
    if compute_type("auto", device) == torch.bfloat16:
        peaks["bf16"] = matrix_peak(torch.bfloat16, device) / 1e12
    memory = resident_gib()
    if as_json:
        return json.dumps({"rows": [vars(row) for row in rows], "peak_tflops": peaks, "resident_gib": memory}, indent=1)
    lines = [f"{'work':<40}{'median':>10}{'spread':>10}  {'unit':<18}{'of peak':>8}"]
    for row in rows:
        fraction = "" if row.peak_fraction is None else f"{row.peak_fraction:.0%}"
        digits = 0 if row.median >= 100 else 2
        median, spread = f"{row.median:,.{digits}f}", f"± {row.spread:,.{digits}f}"
        lines.append(f"{row.work:<40}{median:>10}{spread:>10}  {row.unit:<18}{fraction:>8}")
    shown = ", ".join(f"{name} {value:.2f} TFLOP/s" for name, value in peaks.items())
    return "\n".join(
        [*lines, f"matrix peak: {shown}; threads: {torch.get_num_threads()}; largest resident memory: {memory:.2f} GiB"]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 2 where the input is at fault."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["serve"]:
        return benchmark_serve.main(words[1:])
    if words[:1] == ["processes"]:
        return benchmark_processes.main(words[1:])

    def work() -> None:
        chosen = options(words)
        prepare_process()
        accepted = ("auto", "fp32", "bf16" if chosen.work == "train" else "int8")
        if chosen.precision not in accepted:
            raise UserError(f"--precision of {chosen.work} is {', '.join(accepted)}, not {chosen.precision}")
        check_profile(chosen)
        with world() as here:
            rows = MEASURES[chosen.work](chosen, here, Trace(chosen.profile))
            if here.is_main:
                print(report(rows, here.device, chosen.json))

    return guarded("benchmark.py", work)


if __name__ == "__main__":
    sys.exit(main())
