"""LibreTranslate's protocol: its clients work unchanged."""

from __future__ import annotations

from typing import Any

from seq2seq.config import Whole
from seq2seq.data.languages import language_tag
from seq2seq.serving.batcher import Asked
from seq2seq.serving.errors import bad
from seq2seq.serving.fields import Fields
from seq2seq.serving.paragraphs import ranked
from seq2seq.serving.service import Service
from seq2seq.serving.translation import Translated, checked_texts, read_texts, translate


async def translate_texts(fields: Fields, service: Service) -> dict[str, Any]:
    """POST /translate."""
    texts = await read_texts(fields, service)
    markup = fields.choice("format", "text", ("text", "html"))
    alternatives = fields.number("alternatives", Whole(0, service.limits.alternatives), 0)
    asked = Asked(alternatives + 1)
    results = await translate(service, texts, asked, service.config.split_sentences, markup)
    best = [_best(each, alternatives) for each in results]
    answer: dict[str, Any] = {"translatedText": [text for text, _ in best]}
    if texts.guesses is not None:
        answer["detectedLanguage"] = [guess.as_json() for guess in texts.guesses]
    if alternatives:
        answer["alternatives"] = [others for _, others in best]
    return answer if texts.several else {name: value[0] for name, value in answer.items()}


def _best(translated: Translated, alternatives: int) -> tuple[str, list[str]]:
    """The translation, and others."""
    first, *others = ranked(translated.document, translated.found, alternatives + 1)
    return first.text, [each.text for each in others]


async def detect(fields: Fields, service: Service) -> list[dict[str, Any]]:
    """POST /detect."""
    texts, _ = checked_texts(fields, service)
    if not service.languages:
        raise bad("no languages are served")
    return [guess.as_json() for guess in service.detector.guesses("\n".join(texts))]


def languages(service: Service) -> list[dict[str, Any]]:
    """GET /languages."""
    return [
        {
            "code": code,
            "name": language_name(service.config.aliases.get(code, code), code),
            "targets": sorted(target for source, target in service.pairs if source == code),
        }
        for code in service.languages
    ]


def language_name(name: str, code: str) -> str:
    """The English name of a language, by a run's name for it or by its code; the code where it means none."""
    import langcodes

    tag = language_tag(name) or language_tag(code)
    return langcodes.get(tag).display_name() if tag else code


def settings(service: Service) -> dict[str, Any]:
    """GET /frontend/settings: what some clients ask first."""
    pair = next(iter(service.pairs), ("", ""))
    named = [{"code": code, "name": language_name(service.config.aliases.get(code, code), code)} for code in pair]
    return {
        "apiKeys": bool(service.config.api_keys),
        "charLimit": service.limits.characters,
        "filesTranslation": False,
        "frontendTimeout": 500,
        "keyRequired": bool(service.config.api_keys),
        "language": {"source": named[0], "target": named[1]},
        "suggestions": False,
        "supportedFilesFormat": [],
    }
