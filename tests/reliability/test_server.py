"""A server under random requests: every one is answered or refused, none with 500, and memory stays."""

from __future__ import annotations

import json
import os
import random
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.conftest import STORED, Trials
from tests.reliability.test_input import TEXTS, WORDS
from tests.serving.conftest import ServerProcess

httpx = pytest.importorskip("httpx")
pytest.importorskip("uvicorn")

TRANSLATOR = next(run for run in STORED if run.name == "translator-0.1.0-format2")
PREDICTOR = next(run for run in STORED if run.name == "predictor-0.1.0-format2")
PATHS = ("/translate", "/v1/translate", "/detect", "/v1/predict", "/languages", "/health", "/metrics", "/", "/x")
NAMES = (
    "q",
    "source",
    "target",
    "format",
    "alternatives",
    "n_best",
    "beam_size",
    "prefix",
    "attention",
    "values",
    "model",
)
VALUES: tuple[Any, ...] = (
    None,
    "",
    "en",
    "de",
    "auto",
    "html",
    "text",
    0,
    1,
    -1,
    2,
    1e308,
    True,
    [],
    {},
    [[]],
    "ba",
    ["so", 1],
)
WARM_UP_MINUTES, MINUTES = 15, 60


def text(chance: random.Random) -> str:
    return " ".join(chance.choices([*WORDS, *TEXTS, ".", "!\n", "<b>", "</p>", "&amp;"], k=chance.randint(1, 30)))


def fields(chance: random.Random) -> dict[str, Any]:
    """A request that is right, but for what chance does to it."""
    made: dict[str, Any] = {"q": text(chance), "source": "en", "target": "de"}
    if chance.random() < 0.3:
        made["q"] = [text(chance) for _ in range(chance.randint(1, 8))]
    for _ in range(chance.choice((0, 0, 1, 3))):
        made[chance.choice(NAMES)] = chance.choice(VALUES)
    return made


def ask(session: Any, chance: random.Random) -> int:
    """The status of one random request."""
    path = chance.choice(PATHS[:4]) if chance.random() < 0.8 else chance.choice(PATHS)
    method = "POST" if path in PATHS[:4] else "GET"
    kind = chance.random()
    if kind < 0.6:
        answer = session.request(method, path, json=fields(chance))
    elif kind < 0.75:
        form = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields(chance).items()}
        answer = session.request(method, path, data=form)
    elif kind < 0.9:
        body = bytearray(json.dumps(fields(chance)).encode())
        for _ in range(chance.randint(0, 4)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        answer = session.request(method, path, content=bytes(body), headers={"content-type": "application/json"})
    else:
        answer = session.request("POST", "/v1/predict", data={"model": "series"}, files={"file": chance.randbytes(99)})
    if answer.status_code >= 400:
        assert list(answer.json()) == ["error"]
    return int(answer.status_code)


def leave(server: ServerProcess, chance: random.Random) -> None:
    """A client that sends a part of a request, or does not wait for the answer, or reads it byte by byte."""
    host, port = server.url.removeprefix("http://").split(":")
    body = json.dumps({"q": [text(chance)] * 5, "source": "en", "target": "de"}).encode()
    head = (
        f"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    whole = head.encode() + body
    with socket.create_connection((host, int(port)), timeout=30) as client:
        if chance.random() < 0.5:
            client.sendall(whole[: chance.randrange(len(whole))])
            return
        client.sendall(whole)
        for _ in range(chance.choice((0, 40))):
            client.recv(1)


def session_of(server: ServerProcess, seed: str, seconds: float, most: int) -> list[int]:
    """Statuses of the requests of one client."""
    chance, statuses, deadline = random.Random(seed), [], time.monotonic() + seconds
    with httpx.Client(base_url=server.url, timeout=120) as session:
        while time.monotonic() < deadline and len(statuses) < most:
            statuses.append(ask(session, chance))
            if chance.random() < 0.1:
                leave(server, chance)
    return statuses


def resident(process: int | None) -> float:
    """MiB."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def statuses(server: ServerProcess, name: str, seconds: float, most: int) -> set[int]:
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda client: session_of(server, f"{name}.{client}", seconds, most), range(4))
        return {status for client in found for status in client}


@pytest.mark.fault(20, "random requests to a server, clients that leave", 200, 40_000)
def test_random_requests_are_answered_or_refused(trials: Trials, tmp_path: Path) -> None:
    began = time.monotonic()
    server = ServerProcess(tmp_path / "errors", TRANSLATOR, f"series={PREDICTOR}")
    try:
        found = statuses(server, "fuzz", 3_600, trials.wanted // 4)
        assert 200 in found
        assert found <= {200, 400, 404, 413, 503}
        assert server.process.is_alive()
        trials.done, trials.seconds = trials.wanted, time.monotonic() - began
    finally:
        assert server.stop() == 0
    assert "Traceback" not in server.said(), server.said()


@pytest.mark.fault(21, "soak: an hour of random requests to a server", 0, 1)
def test_a_servers_memory_stays(trials: Trials, tmp_path: Path) -> None:
    if not trials.wanted:
        pytest.skip("an hour: --full")
    server = ServerProcess(tmp_path / "errors", TRANSLATOR, f"series={PREDICTOR}")
    try:
        statuses(server, "warm", 60 * WARM_UP_MINUTES, 10**9)
        peaks = []
        for part in range(12):
            assert 500 not in statuses(server, f"part {part}", 60 * MINUTES / 12, 10**9)
            peaks.append(resident(server.process.pid))
        grown = max(peaks[8:]) / max(peaks[:4]) - 1
        assert grown < 0.02, f"resident memory grew by {100 * grown:.1f} %"
        trials.done = 1
    finally:
        server.stop()
