"""Servers to ask: real processes on free ports, and applications within the test."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from seq2seq.cli.main import main
from tests.forking import SERVER

FIXTURES = Path(__file__).parents[1] / "fixtures"
TRANSLATOR = FIXTURES / "translator-0.1.0-format2"
KINDS = ("translator", "generator", "predictor", "characters")
STORED = {kind: FIXTURES / f"{kind}-0.1.0-format2" for kind in KINDS}
NEEDED = ("starlette", "uvicorn", "prometheus_client", "python_multipart", "bs4", "sentencex", "py3langid", "httpx")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the server are skipped, and say so, where its packages are absent."""
    from importlib.util import find_spec

    missing = [name for name in NEEDED if find_spec(name) is None]
    here = str(Path(__file__).parent)
    for item in items:
        if missing and str(item.path).startswith(here):
            item.add_marker(pytest.mark.skip(reason=f"not installed: {', '.join(missing)}"))


def _serve(words: list[str], errors: str) -> None:
    descriptor = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 2)
    sys.exit(main(["serve", *words]))


class ServerProcess:
    """A server on a free port, forked from a process that has imported torch."""

    def __init__(self, errors: Path, *words: object) -> None:
        self.errors = errors
        self.process: BaseProcess = SERVER.Process(
            target=_serve, args=([str(word) for word in (*words, "--port", "0")], str(errors))
        )
        self.process.start()
        self.url = self._url()

    def _url(self) -> str:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = re.search(r" at (http://\S+)", self.said())
            if found:
                return found[1]
            assert self.process.is_alive(), self.said()
            time.sleep(0.02)
        raise AssertionError("the server did not begin")

    def said(self) -> str:
        """What it wrote on standard error."""
        return self.errors.read_text() if self.errors.exists() else ""

    def send(self, number: int) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def stop(self, number: int = signal.SIGTERM) -> int | None:
        """Its exit status."""
        if self.process.is_alive():
            self.send(number)
        self.process.join(60)
        assert not self.process.is_alive()
        return self.process.exitcode


Start = Callable[..., ServerProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers, which end with the test."""
    started: list[ServerProcess] = []

    def begin(*words: object) -> ServerProcess:
        started.append(ServerProcess(tmp_path / f"server-{len(started)}", *words))
        return started[-1]

    yield begin
    for server in started:
        server.stop()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One that all tests ask which need nothing of their own: a translator, and a run of each other kind."""
    runs = [TRANSLATOR, *(f"{kind}={STORED[kind]}" for kind in KINDS[1:])]
    made = ServerProcess(tmp_path_factory.mktemp("server") / "errors", *runs)
    yield made
    assert made.stop() == 0, made.said()
    assert "Traceback" not in made.said(), made.said()
