"""What LibreTranslate's protocol has no words for: n best, scores, attention, settings of the search, other models."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile

from seq2seq.config import SEARCH, SEEDS, Real, Whole
from seq2seq.errors import UserError
from seq2seq.serving.backend import Backend, Candidate
from seq2seq.serving.batcher import Asked
from seq2seq.serving.errors import bad
from seq2seq.serving.fields import Fields
from seq2seq.serving.limits import Limits
from seq2seq.serving.openapi import PREDICT_FIELDS, TRANSLATE_FIELDS
from seq2seq.serving.paragraphs import ranked, sentence_json
from seq2seq.serving.service import Model, Service
from seq2seq.serving.translation import Translated, checked_texts, read_texts, translate

NUMPY_BEGINS = b"\x93NUMPY"
KINDS = ("average", "gnmt")
MOST_OUTPUT, MOST_PREFIX = 1_000, 1_000
"""Tokens (of a language model characters) of an output, and characters of its given begin."""


async def translate_texts(fields: Fields, service: Service) -> dict[str, Any]:
    """POST /v1/translate."""
    began = time.perf_counter()
    fields.refuse_others(TRANSLATE_FIELDS)
    texts = await read_texts(fields, service)
    n_best = fields.number("n_best", Whole(1, service.limits.alternatives + 1), 1)
    prefix = fields.text("prefix", "")
    if len(prefix) > MOST_PREFIX:
        raise bad(f"Invalid request: prefix is longer than {MOST_PREFIX} characters")
    split = fields.flag("split_sentences", service.config.split_sentences and not prefix)
    if split and prefix:
        raise bad("Invalid request: a prefix is the begin of one translation: set split_sentences to false")
    chosen = search_settings(fields, service.limits, n_best) | ({"prefix": prefix} if prefix else {})
    asked = Asked(n_best, tuple(sorted(chosen.items())), fields.flag("attention", False))
    markup = fields.choice("format", "text", ("text", "html"))
    results = await translate(service, texts, asked, split, markup)
    answers = [_answer(each, n_best) for each in results]
    for answer, source in zip(answers, texts.sources, strict=True):
        answer["source"] = source
    if texts.guesses is not None:
        for answer, guess in zip(answers, texts.guesses, strict=True):
            answer["detectedLanguage"] = guess.as_json()
    shown = answers if texts.several else answers[0]
    return {"translation": shown, "target": texts.target, "seconds": round(time.perf_counter() - began, 6)}


def _answer(translated: Translated, n_best: int) -> dict[str, Any]:
    """A text's translations, and those of its sentences."""
    document, found = translated
    best = ranked(document, found, n_best)
    sentences = [sentence_json(*pair, n_best) for pair in zip(document.sentences, found, strict=True)]
    return {
        "text": best[0].text,
        "n_best": [each._asdict() for each in best],
        "truncated": any(sentence["truncated"] for sentence in sentences),
        "sentences": sentences,
    }


def search_settings(fields: Fields, limits: Limits, n_best: int) -> dict[str, Any]:
    """The settings of a search that a request names, within the limits."""
    allowed = {
        "beam_size": Whole(n_best, max(n_best, limits.beam)),
        "length_penalty": SEARCH["length_penalty"],
        "max_length": Whole(1, MOST_OUTPUT),
        "max_length_ratio": Real(0, 10, without=(0,)),
    }
    chosen = {name: fields.number(name, bounds) for name, bounds in allowed.items()}
    if fields.values.get("length_penalty_kind"):
        chosen["length_penalty_kind"] = fields.choice("length_penalty_kind", KINDS[0], KINDS)
    return {name: value for name, value in chosen.items() if value is not None}


async def predict(fields: Fields, service: Service) -> dict[str, Any]:
    """POST /v1/predict."""
    began = time.perf_counter()
    fields.refuse_others(PREDICT_FIELDS)
    model = service.model(fields.text("model", ""))
    backend = model.backend
    inputs = await _inputs(fields, service, model)
    n_best = fields.number("n_best", Whole(1, service.limits.alternatives + 1), 1)
    chosen = _settings(fields, backend, service.limits, n_best)
    asked = Asked(n_best, tuple(sorted(chosen.items())), fields.flag("attention", False))
    found = await model.batcher.run(inputs, asked)
    answers = []
    for each in found:
        answer = _described(each.candidates[0], backend.kind)
        if len(each.candidates) > 1:
            answer["n_best"] = [_described(candidate, backend.kind) for candidate in each.candidates]
        if each.attention is not None:
            answer["attention"] = each.attention._asdict()
        answers.append(answer)
    return {"model": model.name, "answers": answers, "seconds": round(time.perf_counter() - began, 6)}


def _described(candidate: Candidate, kind: str) -> dict[str, Any]:
    answer = candidate.text if candidate.answer is None else candidate.answer
    shown: dict[str, Any] = {"answer": answer}
    if kind != "language_model" and (candidate.text or candidate.answer is None):
        shown["score"] = candidate.score
    if candidate.truncated:
        shown["truncated"] = True
    return shown


def _settings(fields: Fields, backend: Backend, limits: Limits, n_best: int) -> dict[str, Any]:
    if backend.kind != "language_model":
        return search_settings(fields, limits, n_best)
    allowed: dict[str, Whole | Real] = {
        "length": Whole(0, MOST_OUTPUT),
        "temperature": Real(0, 1_000, without=(0,)),
        "seed": Whole(0, SEEDS.highest - 1_000),
    }
    chosen = {name: fields.number(name, bounds) for name, bounds in allowed.items()}
    return {name: value for name, value in chosen.items() if value is not None}


async def _inputs(fields: Fields, service: Service, model: Model) -> list[Any]:
    """Files, texts or numbers as the model reads them. Raises RequestError where there are none, or of another sort."""
    backend, steps = model.backend, service.limits.steps
    given: list[Any] = []
    if backend.reads == "text":
        given, _ = checked_texts(fields, service)
    elif fields.files:
        given = fields.files
    elif backend.reads == "array" and "values" in fields.values:
        given = [_csv_of(fields.values["values"])]
    if not given:
        wanted = "texts as q" if backend.reads == "text" else f"a file ({backend.reads}) of a multipart form"
        raise bad(f"Invalid request: {model.name} wants {wanted}")
    try:
        return [
            await asyncio.to_thread(backend.read, one, steps)
            if isinstance(one, str)
            else await _read_file(backend, one, steps)
            for one in given
        ]
    except UserError as error:
        raise bad(str(error)) from None


def _csv_of(values: Any) -> bytes:
    """Numbers of a JSON request (a row per step) as a CSV file has them."""
    rows = [row if isinstance(row, list) else [row] for row in values] if isinstance(values, list) else []
    cells = [cell for row in rows for cell in row]
    if not rows or not all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells):
        raise bad("Invalid request: values must be an array of numbers, or of a row of numbers for each step")
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise bad(
                f"Invalid request: values, row {number}: has {len(row)} numbers, but the first row {len(rows[0])}"
            )
    return "\n".join(",".join(map(repr, row)) for row in rows).encode()


async def _read_file(backend: Backend, given: UploadFile | bytes, steps: int) -> Any:
    """An upload, or values, as the model reads it. It gets a name of our own: nothing goes by the sender's."""
    content, name = (given, "values") if isinstance(given, bytes) else (await given.read(), "the upload")

    def read() -> Any:
        with tempfile.TemporaryDirectory(prefix="seq2seq-") as folder:
            suffix = ".npy" if content.startswith(NUMPY_BEGINS) else ".csv"
            path = Path(folder) / f"upload{suffix if backend.reads == 'array' else ''}"
            path.write_bytes(content)
            try:
                return backend.read(path, steps)
            except UserError as error:
                raise bad(str(error).replace(str(path), name)) from None

    return await asyncio.to_thread(read)
