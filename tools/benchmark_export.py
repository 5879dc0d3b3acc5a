#!/usr/bin/env python3
"""Compares exports of a run with the run itself, on one machine in one call: `docs/deployment.md` shows the table.

    tools/benchmark_export.py RUN EXPORT... --data DATA [--source en --target de]

Each EXPORT is a directory that `seq2seq export RUN` wrote, in fp32 or int8. The run translates by `seq2seq translate`
and its Python form; each export by its own translate.py, in processes of their own where start and memory are measured.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from seq2seq.cli.arguments import Parser, number_within
from seq2seq.cli.exit_status import guarded
from seq2seq.config import COUNTS
from seq2seq.data.corpus import DataConfig, load_split, references
from seq2seq.deploy.check import TOLERANCE
from seq2seq.errors import check
from seq2seq.evaluation.metrics import bleu
from seq2seq.exported.translate import Exported
from seq2seq.inference.load import load

Answer = Callable[[list[str]], list[list[Any]]]
STARTS = 5


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What the command line says."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run directory of a translator")
    parser.add_argument("exports", nargs="+", type=Path, metavar="EXPORT", help="directories that export wrote of it")
    parser.add_argument("--data", required=True, help="folder, file or Hub id of a parallel corpus")
    parser.add_argument("--source", default="en", help="source column (default: en)")
    parser.add_argument("--target", default="de", help="target column (default: de)")
    parser.add_argument(
        "--sentences", type=number_within(COUNTS), default=1000, help="of the test split (default: 1000)"
    )
    parser.add_argument("--repeats", type=number_within(COUNTS), default=3, help="of the throughput (default: 3)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(arguments)


def sentence_seconds(answer: Answer, texts: list[str]) -> float:
    """Median time of one sentence alone, after some that are not counted."""
    seconds = []
    for text in texts[:100]:
        began = time.perf_counter()
        answer([text])
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[10:] or seconds)


def throughputs(answers: dict[str, Answer], texts: list[str], repeats: int) -> dict[str, float]:
    """Sentences per second: the median of repeats, in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in answers}
    for _ in tqdm(range(repeats), desc="throughput", disable=None):
        for name, answer in answers.items():
            began = time.perf_counter()
            answer(texts)
            seconds[name].append(time.perf_counter() - began)
    return {name: len(texts) / statistics.median(each) for name, each in seconds.items()}


def start_seconds(command: Sequence[str], text: str) -> float:
    """Median time from calling a program to its first output."""
    seconds = []
    for _ in range(STARTS):
        began = time.perf_counter()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{text}\n".encode())
            process.stdin.close()
            check(bool(process.stdout.readline()), f"{' '.join(command)} writes nothing")
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def peak_mib(command: Sequence[str], texts: list[str]) -> float:
    """Largest resident memory of a program that translates all texts (Linux). The kernel's count for an ended child
    would hold this process's own memory too, from before the program took its place."""
    peak = 0.0
    with tempfile.TemporaryFile() as given:
        given.write("".join(f"{text}\n" for text in texts).encode())
        given.seek(0)
        process = subprocess.Popen(command, stdin=given, stdout=subprocess.DEVNULL)
        while process.poll() is None:
            with contextlib.suppress(OSError, TypeError):  # it may just have ended
                status = Path(f"/proc/{process.pid}/status").read_text()
                peak = max(peak, float(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024)  # type: ignore[index]
            time.sleep(0.02)
    check(process.returncode == 0, f"{' '.join(command)} failed")
    return peak


def megabytes(folder: Path, names: Sequence[str] = ("*",)) -> float:
    """Size of a folder's own files."""
    return sum(path.stat().st_size for name in names for path in folder.glob(name) if path.is_file()) / 1e6


def rows_of(chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for the run, then one for each export."""
    split = load_split(DataConfig(chosen.data, chosen.source, chosen.target), "test")
    texts = [row["source"] for row in split][: chosen.sentences]
    lines = references(split)[: len(texts)]
    translator = load(chosen.run, kind="translator")
    exported = {str(path): Exported(path) for path in chosen.exports}
    answers: dict[str, Answer] = {
        str(chosen.run): translator.search,
        **{name: each.search for name, each in exported.items()},
    }
    program = [sys.executable, "-m", "seq2seq", "translate", str(chosen.run)]
    commands = {str(chosen.run): program}
    commands |= {name: [sys.executable, str(Path(name) / "translate.py")] for name in exported}
    expected = [best[0] for best in translator.search(texts)]
    speeds = throughputs(answers, texts, chosen.repeats)
    for name, answer in answers.items():
        found = [best[0] for best in answer(texts)]
        pairs = list(zip(found, expected, strict=True))
        files = ("*",) if name in exported else ("model.safetensors", "*.spm.model", "*config.json")
        yield {
            "model": name,
            "precision": exported[name].config["precision"] if name in exported else "fp32, torch",
            "equal": sum(one.text == other.text for one, other in pairs),
            "ties": sum(one.text != other.text and abs(one.score - other.score) < TOLERANCE for one, other in pairs),
            "BLEU": round(bleu([each.text for each in found], lines, chosen.target), 2),
            "start s": round(start_seconds(commands[name], texts[0]), 2),
            "sentence ms": round(1000 * sentence_seconds(answer, texts), 1),
            "sentences/s": round(speeds[name], 1),
            "MB": round(megabytes(Path(name), files), 1),
            "MiB resident": round(peak_mib(commands[name], texts)),
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""

    def work() -> None:
        chosen = options(arguments)
        rows = list(rows_of(chosen))
        if chosen.json:
            print(json.dumps(rows, indent=1))
            return
        print("\t".join(rows[0]))
        for row in rows:
            print("\t".join(str(value) for value in row.values()))

    return guarded("benchmark_export.py", work)


if __name__ == "__main__":
    sys.exit(main())
