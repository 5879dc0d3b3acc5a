"""The server's OpenAPI description."""

from __future__ import annotations

from typing import Any

from seq2seq.runtime.version import version
from seq2seq.serving.service import Service

STRING: dict[str, Any] = {"type": "string"}
NUMBER: dict[str, Any] = {"type": "number"}
FLAG: dict[str, Any] = {"type": "boolean"}
WHOLE: dict[str, Any] = {"type": "integer", "minimum": 0}
TEXTS: dict[str, Any] = {"oneOf": [STRING, {"type": "array", "items": STRING}]}
TEXT_FIELDS = {"q": TEXTS, "source": STRING, "target": STRING, "api_key": STRING}
FORMAT = {"type": "string", "enum": ["text", "html"], "default": "text"}
SEARCH_FIELDS = {
    "n_best": WHOLE,
    "beam_size": WHOLE,
    "length_penalty": NUMBER,
    "length_penalty_kind": {"type": "string", "enum": ["average", "gnmt"]},
    "max_length": WHOLE,
    "max_length_ratio": NUMBER,
    "attention": FLAG,
}
TRANSLATE_FIELDS = {**TEXT_FIELDS, **SEARCH_FIELDS, "format": FORMAT, "prefix": STRING, "split_sentences": FLAG}
"""Of /v1/translate."""
PREDICT_FIELDS = {
    "model": STRING,
    "q": TEXTS,
    "values": {"type": "array", "items": {}},
    "file": {"type": "string", "format": "binary"},
    "length": WHOLE,
    "temperature": NUMBER,
    "seed": WHOLE,
    "api_key": STRING,
    **SEARCH_FIELDS,
}
"""Of /v1/predict."""
DETECTION = {"type": "object", "properties": {"confidence": NUMBER, "language": STRING}}
ERRORS = {
    "400": "the request is at fault",
    "403": "no such API key",
    "413": "the body is too large",
    "429": "too many requests of one address; see Retry-After",
    "500": "the model failed",
    "503": "too much is waiting, or the time is up; see Retry-After",
}


def specification(service: Service) -> dict[str, Any]:
    """OpenAPI 3.0 of what is served."""
    return {
        "openapi": "3.0.3",
        "info": {"title": "seq2seq serve", "version": version()},
        "paths": {
            "/translate": _post(
                "Translate a text or several (LibreTranslate's protocol)",
                {**TEXT_FIELDS, "format": FORMAT, "alternatives": WHOLE},
                ("q", "source", "target"),
                {
                    "translatedText": TEXTS,
                    "detectedLanguage": {"oneOf": [DETECTION, {"type": "array", "items": DETECTION}]},
                    "alternatives": {"type": "array", "items": TEXTS},
                },
            ),
            "/detect": _post("Tell the language of a text", {"q": TEXTS, "api_key": STRING}, ("q",), None),
            "/languages": _get("Languages, and what each can be translated to"),
            "/health": _get("Whether the server answers"),
            "/frontend/settings": _get("What LibreTranslate's clients ask first"),
            "/metrics": _get("Figures for Prometheus", "text/plain"),
            "/spec": _get("This description"),
            "/v1/models": _get("The models, their kinds and languages"),
            "/v1/translate": _post(
                "Translate with n best, scores, attention and settings of the search",
                TRANSLATE_FIELDS,
                ("q", "source", "target"),
                {"translation": {}, "target": STRING, "seconds": NUMBER},
            ),
            "/v1/predict": _post(
                "Answer inputs of a model of any kind",
                {**PREDICT_FIELDS, "model": {"type": "string", "enum": list(service.models)}},
                (),
                {"model": STRING, "answers": {"type": "array", "items": {}}, "seconds": NUMBER},
                upload=True,
            ),
        },
    }


def _get(summary: str, kind: str = "application/json") -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": {"200": {"description": "the answer", "content": {kind: {}}}}}}


def _post(
    summary: str,
    fields: dict[str, Any],
    required: tuple[str, ...],
    answer: dict[str, Any] | None,
    upload: bool = False,
) -> dict[str, Any]:
    body: dict[str, Any] = {"type": "object", "properties": fields}
    if required:
        body["required"] = list(required)
    kinds = ("application/json", "multipart/form-data" if upload else "application/x-www-form-urlencoded")
    given = {"type": "array", "items": DETECTION} if answer is None else {"type": "object", "properties": answer}
    error = {"application/json": {"schema": {"type": "object", "properties": {"error": STRING}}}}
    refused = {status: {"description": text, "content": error} for status, text in ERRORS.items()}
    answered = {"200": {"description": "the answer", "content": {"application/json": {"schema": given}}}}
    content = {kind: {"schema": body} for kind in kinds}
    return {"post": {"summary": summary, "requestBody": {"content": content}, "responses": answered | refused}}
