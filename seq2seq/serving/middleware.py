"""What every request passes through: counting, and the number of requests of one address."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from seq2seq.serving.metrics import Metrics

OTHER = "other"
"""Path, in the figures, of requests for what is not there: their senders choose no label."""
MOST_ADDRESSES = 100_000
"""Addresses whose requests are counted at a time."""


class Counting:
    """Counts requests and their seconds; no page may take an answer for another kind of file."""

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: Iterable[str]) -> None:
        self.app, self.metrics, self.paths = app, metrics, frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if not any(name == b"x-content-type-options" for name, _ in message["headers"]):
                    message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
            await send(message)

        path = scope["path"] if scope["path"] in self.paths else OTHER
        try:
            await self.app(scope, receive, counted)
        finally:
            self.metrics.requests.labels(path, str(status)).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - began)


class RateLimit:
    """Refuses requests (POST) of an address that sends too many: 429 with Retry-After.

    An address may send a minute's requests at once; they come back evenly.
    """

    def __init__(self, app: ASGIApp, per_minute: int) -> None:
        self.app, self.per_minute = app, per_minute
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Requests left, and when that was, by address; the one seen last comes last."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if self.per_minute and scope["type"] == "http" and scope["method"] == "POST":
            wait = self._seconds_to_wait((scope.get("client") or ("",))[0], time.monotonic())
            if wait:
                content = {"error": f"Slowdown: {self.per_minute} requests per minute"}
                await JSONResponse(content, 429, {"Retry-After": str(int(wait) + 1)})(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _seconds_to_wait(self, address: str, now: float) -> float:
        """0 where a request is allowed, which is counted."""
        left, then = self._left.pop(address, (float(self.per_minute), now))
        left = min(self.per_minute, left + (now - then) * self.per_minute / 60)
        allowed = left >= 1
        self._left[address] = (left - allowed, now)
        if len(self._left) > MOST_ADDRESSES:
            self._left.popitem(last=False)
        return 0.0 if allowed else (1 - left) * 60 / self.per_minute
