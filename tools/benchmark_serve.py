#!/usr/bin/env python3
"""Measures the server beside `seq2seq translate` on the same sentences, in the same run.

    tools/benchmark.py serve --run RUN --data DIR [--sentences 10000] [--clients 64]

Each client keeps its connection and sends one sentence after the other. Every answer is compared with what
`seq2seq translate` wrote for that sentence: none may be lost, none another's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from seq2seq.cli.arguments import Parser, number_within
from seq2seq.cli.exit_status import guarded
from seq2seq.config import COUNTS
from seq2seq.data.corpus import DataConfig, load_split
from seq2seq.errors import UserError, check

COMMAND = (sys.executable, "-m", "seq2seq")


class Load(NamedTuple):
    """What the clients saw."""

    seconds: float
    latencies: list[float]
    answers: dict[str, str]
    failures: int


def options(arguments: Sequence[str] | None) -> Any:
    """The command line."""
    parser = Parser(prog="benchmark.py serve", description=__doc__.split("\n")[0])
    parser.add_argument("--run", required=True, help="a trained translator")
    parser.add_argument("--data", required=True, help="folder, file or Hub id with sentences")
    parser.add_argument("--source", default="en", help="source column, and language of the run (default: en)")
    parser.add_argument("--target", default="de", help="target column, and language of the run (default: de)")
    parser.add_argument("--sentences", type=number_within(COUNTS), default=10_000, help="default: 10,000")
    parser.add_argument("--clients", type=number_within(COUNTS), default=64, help="clients at once (default: 64)")
    parser.add_argument("--precision", choices=("fp32", "int8"), default="fp32", help="default: fp32")
    parser.add_argument("--workers", type=number_within(COUNTS), default=1, help="processes (default: 1)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(arguments)


def sentences_of(chosen: Any) -> list[str]:
    """Different sentences of the training split, each on one line."""
    config = DataConfig(data=chosen.data, source=chosen.source, target=chosen.target)
    rows = (row["source"] for row in load_split(config, config.train_split))
    texts = (text if isinstance(text, str) else text[0] for text in rows)
    different = dict.fromkeys(" ".join(text.split()) for text in texts)
    different.pop("", None)
    found = list(islice(different, chosen.sentences))
    check(len(found) == chosen.sentences, f"{chosen.data}: holds {len(found)} different sentences; lower --sentences")
    return found


def translated(chosen: Any, sentences: Sequence[str]) -> tuple[list[str], float]:
    """What `seq2seq translate` writes, and the seconds it takes, from its start to its end."""
    began = time.perf_counter()
    words = [*COMMAND, "translate", chosen.run, "--precision", chosen.precision]
    ended = subprocess.run(words, input="\n".join(sentences) + "\n", capture_output=True, encoding="utf-8")
    if ended.returncode:
        raise UserError(ended.stderr.strip().split("\n")[-1])
    return ended.stdout.split("\n")[:-1], time.perf_counter() - began


@contextlib.contextmanager
def server(chosen: Any) -> Iterator[str]:
    """The address of a server, which ends with the context."""
    words = [*COMMAND, "serve", chosen.run, "--port", "0", "--precision", chosen.precision]
    words += ["--workers", str(chosen.workers), "--split-sentences", "false"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, encoding="utf-8")
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        found = re.search(r" at (http://\S+)", line)
        if found is None:
            raise UserError(f"the server did not begin: {line.strip()}")
        yield found[1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


async def load(address: str, chosen: Any, sentences: Sequence[str]) -> Load:
    """Asks for every sentence once."""
    waiting, latencies, answers = iter(sentences), [], {}
    failures = 0

    async def client() -> None:
        nonlocal failures
        place = urlsplit(address)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        for sentence in waiting:
            began = time.perf_counter()
            answer = await asked(reader, writer, {"q": sentence, "source": chosen.source, "target": chosen.target})
            latencies.append(time.perf_counter() - began)
            if answer is None:
                failures += 1
            else:
                answers[sentence] = answer
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*[client() for _ in range(chosen.clients)])
    return Load(time.perf_counter() - began, latencies, answers, failures)


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fields: dict[str, str]) -> str | None:
    """One translation; None where it was refused. Written out, as a client's library would take more time than the
    server."""
    body = json.dumps(fields).encode()
    head = (
        f"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", answer, re.IGNORECASE)
    assert length is not None
    content = json.loads(await reader.readexactly(int(length[1])))
    return content["translatedText"] if b" 200 " in answer[:16] else None


def measured(chosen: Any) -> dict[str, float]:
    """The figures of the table."""
    sentences = sentences_of(chosen)
    expected, seconds = translated(chosen, sentences)
    with server(chosen) as address:
        asyncio.run(load(address, chosen, sentences[: chosen.clients]))  # to warm up
        found = asyncio.run(load(address, chosen, sentences))
    wrong = sum(found.answers.get(one, two) != two for one, two in zip(sentences, expected, strict=True))
    cuts = statistics.quantiles(found.latencies, n=100) if len(found.latencies) > 1 else found.latencies * 99
    return {
        "requests": len(sentences),
        "lost": len(sentences) - len(found.answers),
        "answered with another text": wrong,
        "sentences/s of translate": len(sentences) / seconds,
        "sentences/s of serve": len(sentences) / found.seconds,
        "serve over translate": seconds / found.seconds,
        "p50 latency, ms": 1000 * cuts[49],
        "p95 latency, ms": 1000 * cuts[94],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 2 where the input is at fault, or an answer was lost or wrong."""

    def work() -> None:
        chosen = options(arguments)
        figures = measured(chosen)
        lines = [f"{name:<30}{value:>12,.{0 if value == int(value) else 2}f}" for name, value in figures.items()]
        print(json.dumps(figures) if chosen.json else "\n".join(lines))
        check(not figures["lost"] + figures["answered with another text"], "answers were lost, or are another's")

    return guarded("benchmark.py", work)


if __name__ == "__main__":
    sys.exit(main())
