"""What a request is refused with."""

from __future__ import annotations

import math
from collections.abc import Mapping


class RequestError(Exception):
    """A request that is not answered: HTTP status, a message for its sender, further headers."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, dict(headers or {})


def bad(message: str) -> RequestError:
    """400: the sender's mistake."""
    return RequestError(400, message)


def later(message: str, seconds: float, status: int = 503) -> RequestError:
    """503 (or 429): the same request may be sent again after so many seconds."""
    return RequestError(status, message, {"Retry-After": str(max(1, math.ceil(seconds)))})
