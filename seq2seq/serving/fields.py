"""The fields of a request, from JSON or a form, each checked as it is read."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import UploadFile
from starlette.requests import Request

from seq2seq.config import Real, Whole, suggestion
from seq2seq.serving.errors import RequestError, bad

MOST_FILES, MOST_FIELDS, THROWN_AWAY = 64, 2_000, 100_000_000


class Fields:
    """What a request says, by name. Everything of another type than it should be raises RequestError 400."""

    def __init__(self, values: Mapping[str, Any], files: list[UploadFile] | None = None, form: bool = False) -> None:
        self.values, self.files, self.form = values, files or [], form

    def refuse_others(self, known: Collection[str]) -> None:
        """Raises RequestError 400 at a field of another name: a misspelt setting would go unheeded."""
        for name in self.values:
            if name not in known:
                shown = whole_characters(name)[:40]
                raise bad(f"Invalid request: unknown field {shown}{suggestion(shown, list(known))}")

    def text(self, name: str, default: str | None = None) -> str:
        """A string; without a default it must be there and not be empty."""
        value = self.values.get(name)
        if value is None or (value == "" and default is None):
            if default is None:
                raise bad(f"Invalid request: missing {name} parameter")
            return default
        if not isinstance(value, str):
            raise bad(f"Invalid request: {name} must be a string")
        return whole_characters(value)

    def texts(self, name: str) -> tuple[list[str], bool]:
        """A string or an array of strings, and whether it was an array."""
        value = self.values.get(name)
        if value is None or value == "" or value == []:
            raise bad(f"Invalid request: missing {name} parameter")
        several = isinstance(value, list)
        texts = value if several else [value]
        if not all(isinstance(text, str) for text in texts):
            raise bad(f"Invalid request: {name} must be a string or an array of strings")
        if self.form:  # a form's lines end in CR LF, whatever was typed
            texts = [text.replace("\r\n", "\n") for text in texts]
        return [whole_characters(text) for text in texts], several

    def choice(self, name: str, default: str, choices: Collection[str]) -> str:
        """One of a few words."""
        value = self.text(name, default) or default
        if value not in choices:
            raise bad(f"Invalid request: {value[:40]} is not supported as {name}; it is {' or '.join(choices)}")
        return value

    def number(self, name: str, allowed: Whole | Real, default: Any = None) -> Any:
        """A number within bounds; a form spells it as a text, and JSON may."""
        value = self.values.get(name)
        if value is None or value == "":
            return default
        if isinstance(value, str):
            try:
                value = int(value) if isinstance(allowed, Whole) else float(value)
            except ValueError:
                raise bad(f"Invalid request: {name} parameter is not a number") from None
        if not allowed.admits(value):
            raise bad(f"Invalid request: {name} must be {allowed}")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self.values.get(name)
        if value is None or value == "":
            return default
        known = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}
        value = known.get(value, value) if isinstance(value, str) else value
        if not isinstance(value, bool):
            raise bad(f"Invalid request: {name} must be true or false")
        return value


def whole_characters(text: str) -> str:
    """The text, with U+FFFD for halves of characters, which JSON can spell and no encoding can write."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


async def read_fields(request: Request, text_bytes: int, upload_bytes: int) -> Fields:
    """The fields of a request. Raises RequestError: 413 where the body is too large, 400 where it cannot be read."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    upload = kind == "multipart/form-data"
    request = await _bounded(request, upload_bytes if upload else text_bytes)
    if kind == "application/json" or kind.endswith("+json"):
        return Fields(_parsed(await request.body()))
    values: dict[str, Any] = dict(request.query_params)
    files: list[UploadFile] = []
    if kind == "application/x-www-form-urlencoded":  # the framework takes unescaped bytes for Latin-1
        for name, given in _form(await request.body()).items():
            values[name] = given if len(given) > 1 else given[0]
        return Fields(values, form=True)
    form = await request.form(max_files=MOST_FILES, max_fields=MOST_FIELDS, max_part_size=text_bytes)
    for name in form:
        texts = [each for each in form.getlist(name) if isinstance(each, str)]
        files += [each for each in form.getlist(name) if isinstance(each, UploadFile)]
        if texts:
            values[name] = texts if len(texts) > 1 else texts[0]
    return Fields(values, files, form=True)


def _form(body: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise bad(f"Invalid request: more than {MOST_FIELDS} fields") from None


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):  # no JSON, no UTF-8, digits without end, brackets within brackets
        raise bad("Invalid JSON format") from None
    if not isinstance(content, dict):
        raise bad("Invalid JSON format: an object is wanted")
    return content


async def _bounded(request: Request, most: int) -> Request:
    """The request, whose body ends with RequestError 413 as soon as it is too large. One that says so beforehand is
    read and thrown away up to `THROWN_AWAY` bytes: most clients look at the answer only when they have sent all."""
    too_large = RequestError(413, f"the request is larger than {most:,} bytes", {"Connection": "close"})
    declared = request.headers.get("content-length", "0")
    size = int(declared) if declared.isdecimal() and len(declared) <= 15 else math.inf
    if size > most:
        if size <= THROWN_AWAY:
            async for _ in request.stream():
                pass
        raise too_large
    received = 0

    async def receive() -> Any:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > most:
            raise too_large
        return message

    return Request(request.scope, receive)
