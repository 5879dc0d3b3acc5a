"""One process of the server: socket, signals, uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

from seq2seq.errors import UserError
from seq2seq.serving.metrics import Metrics
from seq2seq.serving.service import Service, ServiceSettings

BACKLOG = 2_048
"""Connections that the system accepts on our behalf."""
STOP = (signal.SIGTERM, signal.SIGINT)


def bound(host: str, port: int) -> socket.socket:
    """A socket at an address. Raises UserError where it cannot be had. It does not listen yet: until the models are
    loaded, connections are refused."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"--host {host} --port {port}: cannot listen there ({reason})") from None
    return made


def address_of(listening: socket.socket) -> str:
    """The address as a browser takes it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def work(config: ServiceSettings, listening: socket.socket, ready: Callable[[list[str]], None]) -> None:
    """One process of the server, from loading to the last answer. ready: hears the models' names when they are
    loaded. Raises UserError where one cannot be."""
    import uvicorn

    from seq2seq.serving.app import application

    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what is being loaded is as new as what it would load again
    service = Service(config, Metrics())
    settings = uvicorn.Config(
        application(service),
        log_level="warning",
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=int(config.limits.seconds) + 1,
    )
    listening.listen(BACKLOG)
    server = Server(settings, service)
    asyncio.run(server.serve([listening], lambda: ready(list(service.models))))


class Server:
    """uvicorn's server with our signals: SIGTERM and SIGINT drain, SIGHUP loads the runs again."""

    def __init__(self, settings: Any, service: Service) -> None:
        import uvicorn

        self._server, self._service = uvicorn.Server(settings), service
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
        self._reloading = threading.Lock()

    async def serve(self, sockets: list[socket.socket], ready: Callable[[], None]) -> None:
        """Until a signal."""
        loop = asyncio.get_running_loop()
        for number in STOP:
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, lambda: threading.Thread(target=self._reload, daemon=True).start())
        ready()
        await self._server.serve(sockets=sockets)

    def _stop(self) -> None:
        self._server.should_exit = True

    def _reload(self) -> None:
        with self._reloading:
            self._service.reload()
