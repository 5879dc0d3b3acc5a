"""Texts through the models: what /translate and /v1/translate have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from seq2seq.serving.batcher import Asked, Found
from seq2seq.serving.detection import Guess
from seq2seq.serving.errors import RequestError, bad
from seq2seq.serving.fields import Fields
from seq2seq.serving.paragraphs import Document, document
from seq2seq.serving.service import Service

AUTO = "auto"
LONG = 4_000
"""Characters from which texts are cut up in another thread, so that other requests go on."""


class Texts(NamedTuple):
    """What a request asks to be translated."""

    texts: list[str]
    several: bool
    """Whether it came as an array, so that the answer is one, too."""
    sources: list[str]
    """The language of each text."""
    target: str
    guesses: list[Guess] | None
    """With "auto": what each text's language was taken for."""


class Translated(NamedTuple):
    """A text, and the model's answers to its sentences."""

    document: Document
    found: list[Found]


async def read_texts(fields: Fields, service: Service) -> Texts:
    """The texts of a request and their languages. Raises RequestError where they are too many, or not served."""
    texts, several = checked_texts(fields, service)
    source, target = fields.text("source"), service.code(fields.text("target"))
    if source != AUTO:
        code = service.code(source)
        service.translator(code, target)
        return Texts(texts, several, [code] * len(texts), target, None)
    detector = service.source_detectors.get(target)
    if detector is None:
        raise bad(f"{target} is not available as a target language")
    guesses = await _aside(texts, lambda: detector.of_texts(texts))
    return Texts(texts, several, [guess.language for guess in guesses], target, guesses)


def checked_texts(fields: Fields, service: Service) -> tuple[list[str], bool]:
    """q, within the limits."""
    texts, several = fields.texts("q")
    limits = service.limits
    if len(texts) > limits.items:
        raise bad(f"Invalid request: request ({len(texts)}) exceeds batch limit ({limits.items})")
    size = sum(map(len, texts))
    if size > limits.characters:
        raise bad(f"Invalid request: request ({size}) exceeds text limit ({limits.characters})")
    return texts, several


async def translate(service: Service, texts: Texts, asked: Asked, split: bool, markup: str) -> list[Translated]:
    """The sentences of all texts, translated together; those of one pair of languages in one batch."""

    def cut() -> list[Document]:
        pairs = zip(texts.texts, texts.sources, strict=True)
        tags = {source: service.translator(source, texts.target).backend.tags for source in texts.sources}
        return [document(text, source, split, markup, tags[source]) for text, source in pairs]

    documents = await _aside(texts.texts, cut)
    sources = list(dict.fromkeys(texts.sources))
    jobs = [asyncio.ensure_future(_of_source(service, source, texts, documents, asked)) for source in sources]
    try:
        results = {source: iter(found) for source, found in zip(sources, await asyncio.gather(*jobs), strict=True)}
    finally:
        for job in jobs:  # where one fails, or the client has gone, the others' work is dropped
            job.cancel()
    return [
        Translated(each, [next(results[source]) for _ in each.sentences])
        for each, source in zip(documents, texts.sources, strict=True)
    ]


async def _of_source(
    service: Service, source: str, texts: Texts, documents: Sequence[Document], asked: Asked
) -> list[Found]:
    chosen = [each for each, other in zip(documents, texts.sources, strict=True) if other == source]
    sentences = [sentence for each in chosen for sentence in each.sentences]
    return await service.translator(source, texts.target).batcher.run(sentences, asked)


async def _aside(texts, work):  # type: ignore[no-untyped-def]
    """The work's result; done in another thread where there is much text."""
    return await asyncio.to_thread(work) if sum(map(len, texts)) > LONG else work()


def check_key(fields: Fields, service: Service) -> None:
    """Raises RequestError 403 where keys are asked for and the request has none of them."""
    if service.config.api_keys and fields.text("api_key", "") not in service.config.api_keys:
        raise RequestError(403, "Invalid API key")
