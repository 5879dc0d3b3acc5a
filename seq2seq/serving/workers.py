"""The server as one process or several, which share a socket."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

from seq2seq.errors import UserError
from seq2seq.serving.metrics import SHARED_FOLDER
from seq2seq.serving.server import STOP, address_of, bound, work
from seq2seq.serving.service import ServiceSettings

SECONDS_TO_RESTART = 2.0
"""How long the place of a process that died stays empty: one that dies at once must not keep the machine busy."""


@dataclass(frozen=True)
class ServerSettings:
    """Where the service listens, and with how many processes."""

    service: ServiceSettings
    host: str = "127.0.0.1"
    port: int = 5000
    workers: int = 1


def serve(config: ServerSettings) -> None:
    """Serves until a signal ends it: SIGTERM and SIGINT answer what was asked first. Raises UserError where the address
    is taken, or a run cannot be loaded."""
    with contextlib.closing(bound(config.host, config.port)) as listening:

        def ready(names: list[str]) -> None:
            print(f"seq2seq serve: {', '.join(names)} at {address_of(listening)}", file=sys.stderr, flush=True)

        if config.workers == 1:
            work(config.service, listening, ready)
        else:
            Workers(config, listening).run(ready)


class Worker:
    """A process of the server, as its parent sees it."""

    def __init__(self, config: ServiceSettings, listening: socket.socket) -> None:
        context = multiprocessing.get_context("spawn")
        self.news, writer = context.Pipe(duplex=False)
        self.process = context.Process(target=_work, args=(config, listening, writer))
        self.process.start()
        writer.close()

    def names(self) -> list[str]:
        """The models that it has loaded. Waits for them; raises UserError with the reason where it has not."""
        try:
            names, error = self.news.recv()
        except EOFError:
            self.process.join()
            names, error = [], f"a worker process ended with status {self.process.exitcode} as it began"
        if error:
            raise UserError(error)
        return list(names)


def _work(config: ServiceSettings, listening: socket.socket, news: Connection) -> None:
    try:
        work(config, listening, lambda names: news.send((names, "")))
    except UserError as error:
        with contextlib.suppress(OSError):
            news.send(([], str(error)))
        sys.exit(2)


class Workers:
    """Several processes. One that dies is started again; SIGTERM, SIGINT and SIGHUP go to all."""

    def __init__(self, config: ServerSettings, listening: socket.socket) -> None:
        self._config, self._listening = config, listening
        self._workers: list[Worker] = []
        self._stopping = threading.Event()

    def run(self, ready: Callable[[list[str]], None]) -> None:
        """Until a signal. ready: hears the models' names. Raises UserError where a process does not come up."""
        threads = max(1, (os.cpu_count() or 1) // self._config.workers)
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
        with _shared_figures(), self._signals():
            try:
                self._workers = [self._worker() for _ in range(self._config.workers)]
                names = [worker.names() for worker in self._workers]
                ready(names[0])
                while not self._stopping.is_set():
                    self._watch()
            finally:
                self._send(signal.SIGTERM)
                for worker in self._workers:
                    worker.process.join()

    def _worker(self) -> Worker:
        return Worker(self._config.service, self._listening)

    def _watch(self) -> None:
        """Puts another process in the place of each that has died."""
        wait([worker.process.sentinel for worker in self._workers], timeout=0.5)
        for place, worker in enumerate(self._workers):
            if worker.process.is_alive() or self._stopping.is_set():
                continue
            status, number = worker.process.exitcode, worker.process.pid
            print(f"seq2seq serve: process {number} ended ({status}); another one begins", file=sys.stderr, flush=True)
            _forget_figures(number)
            self._stopping.wait(SECONDS_TO_RESTART)
            if not self._stopping.is_set():
                self._workers[place] = self._worker()

    def _send(self, number: int) -> None:
        for worker in self._workers:
            if worker.process.is_alive() and worker.process.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.process.pid, number)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(_number: int, _frame: object) -> None:
            self._stopping.set()
            self._send(signal.SIGTERM)

        handlers = {**dict.fromkeys(STOP, stop), signal.SIGHUP: lambda number, _frame: self._send(number)}
        former = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def _shared_figures() -> Iterator[None]:
    """A folder in which the processes add up what they count."""
    if SHARED_FOLDER in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="seq2seq-figures-") as folder:
        os.environ[SHARED_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[SHARED_FOLDER]


def _forget_figures(process: int | None) -> None:
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(process)
