"""The ASGI application: routes, the life of a request, errors as JSON."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from seq2seq.serving import libretranslate, own_api
from seq2seq.serving.errors import RequestError, later
from seq2seq.serving.fields import Fields, read_fields
from seq2seq.serving.middleware import Counting, RateLimit
from seq2seq.serving.openapi import specification
from seq2seq.serving.pages import PAGE_HEADERS, page_files
from seq2seq.serving.service import Service
from seq2seq.serving.translation import check_key

Handler = Callable[[Request], Awaitable[Response]]
Work = Callable[[Fields, Service], Awaitable[Any]]
GONE = 499
"""Status, for the figures alone, of a request whose client did not wait for the answer."""


def application(service: Service) -> Starlette:
    """The application of a service. It closes the service when it ends."""
    limits = service.limits
    uploads = max(limits.text_bytes, limits.upload_bytes)
    routes = [
        Route("/translate", _posted(service, libretranslate.translate_texts, limits.text_bytes), methods=["POST"]),
        Route("/detect", _posted(service, libretranslate.detect, limits.text_bytes), methods=["POST"]),
        Route("/v1/translate", _posted(service, own_api.translate_texts, limits.text_bytes), methods=["POST"]),
        Route("/v1/predict", _posted(service, own_api.predict, uploads), methods=["POST"]),
        Route("/languages", _shown(service, libretranslate.languages)),
        Route("/frontend/settings", _shown(service, libretranslate.settings)),
        Route("/v1/models", _shown(service, _models)),
        Route("/spec", _shown(service, specification)),
        Route("/health", _health(service)),
        Route("/metrics", _metrics(service)),
        *[Route("/" if name == "index.html" else f"/page/{name}", _file(*file)) for name, file in page_files().items()],
    ]
    cors = Middleware(
        CORSMiddleware,
        allow_origins=list(service.config.origins),
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type"],
    )
    counting = Middleware(Counting, metrics=service.metrics, paths=[route.path for route in routes])
    limit = Middleware(RateLimit, per_minute=limits.requests_per_minute)
    handlers: dict[Any, Any] = {RequestError: _refused, HTTPException: _http_error, Exception: _failed}

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.close)

    return Starlette(routes=routes, middleware=[counting, cors, limit], exception_handlers=handlers, lifespan=lifespan)


def _posted(service: Service, work: Work, most_bytes: int) -> Handler:
    """The handler of a request with a body: it reads and answers it within the time, and ends with its client."""
    limits = service.limits

    async def answer(request: Request) -> Response:
        try:
            reading = read_fields(request, limits.text_bytes, most_bytes)
            fields = await asyncio.wait_for(reading, limits.seconds)
        except ClientDisconnect:
            return Response(status_code=GONE)
        except asyncio.TimeoutError:
            raise RequestError(408, f"the request did not arrive within {limits.seconds:g} seconds") from None
        try:
            check_key(fields, service)
            return await _while_connected(request, work(fields, service), limits.seconds)
        finally:
            for file in fields.files:
                await file.close()

    return answer


async def _while_connected(request: Request, work: Awaitable[Any], seconds: float) -> Response:
    """The work's result as JSON. The work is cancelled where the client goes, or the time is up."""
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({working, watching}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return JSONResponse(working.result())
        if watching.done():
            return Response(status_code=GONE)
        raise later(f"the answer took more than {seconds:g} seconds", seconds)
    finally:
        watching.cancel()
        working.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _shown(service: Service, show: Callable[[Service], Any]) -> Handler:
    async def answer(_request: Request) -> Response:
        return JSONResponse(show(service))

    return answer


def _models(service: Service) -> dict[str, Any]:
    """GET /v1/models."""
    return {
        "models": service.described(),
        "keyRequired": bool(service.config.api_keys),
        "limits": {"characters": service.limits.characters, "n_best": service.limits.alternatives + 1},
    }


def _health(service: Service) -> Handler:
    async def answer(_request: Request) -> Response:
        if any(model.batcher.alive for model in service.models.values()):
            return JSONResponse({"status": "ok"})
        raise later("no model is at work", 10)

    return answer


def _metrics(service: Service) -> Handler:
    async def answer(_request: Request) -> Response:
        content, kind = service.metrics.text()
        return Response(content, headers={"Content-Type": kind})

    return answer


def _file(content: bytes, kind: str) -> Handler:
    async def answer(_request: Request) -> Response:
        return Response(content, headers={"Content-Type": kind, **PAGE_HEADERS})

    return answer


async def _refused(_request: Request, error: RequestError) -> Response:
    return JSONResponse({"error": error.message}, error.status, error.headers)


async def _http_error(_request: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _failed(_request: Request, _error: Exception) -> Response:
    return JSONResponse({"error": "the server failed at this request"}, 500)
