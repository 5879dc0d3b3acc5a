"""Several corpora among the options: what the option data is given several times, or as a list or mapping.

jsonargparse, which knows options of one value, sees their list as text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import yaml

from seq2seq.errors import UserError
from seq2seq.runtime.yaml_text import Loader

OPTION = "--data="


def several_as_one(words: Sequence[str]) -> list[str]:
    """The words of a command line, each with its value, where options --data that are given several times, or as a
    mapping or list, are one of a list. Raises UserError where such a value cannot be read."""
    given = [word.removeprefix(OPTION) for word in words if word.startswith(OPTION)]
    if len(given) < 2 and not any(value.startswith(("{", "[")) for value in given):
        return list(words)
    corpora: list[Any] = []
    for value in given:
        read = _read(value)
        corpora += read if isinstance(read, list) else [read]
    place = next(place for place, word in enumerate(words) if word.startswith(OPTION))
    others = [word for word in words if not word.startswith(OPTION)]
    return [*others[:place], OPTION + _spelled(corpora), *others[place:]]


def _read(value: str) -> Any:
    """A corpus in YAML's short form, a list of some, or a name."""
    if not value.startswith(("{", "[")):
        return value
    try:
        return yaml.load(value, Loader=Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = getattr(error, "problem", None) or str(error).split("\n")[0]
        form = "{path: DIR, source: en, target: de, tag: <2de>, weight: 1}"
        raise UserError(f"--data {value:.60}: cannot be read ({problem}); the form is {form}") from error


def _spelled(corpora: Any) -> str:
    """A list of corpora as text. Raises UserError where it holds itself, as YAML can have it."""
    try:
        return json.dumps(corpora)
    except (ValueError, TypeError) as error:
        raise UserError(f"--data: a corpus cannot be written as text ({error})") from None


def is_list(value: Any) -> bool:
    """Whether a value of the option data is the text of a list."""
    return isinstance(value, str) and value.startswith("[")


def with_spelled_corpora(options: dict[str, Any]) -> dict[str, Any]:
    """Options of a file, a list of corpora as text."""
    data = options.get("data")
    return {**options, "data": _spelled(data)} if isinstance(data, list | tuple) else options


def with_corpora(options: dict[str, Any]) -> dict[str, Any]:
    """Options, the text of a list of corpora as that list."""
    data = options.get("data")
    return {**options, "data": json.loads(data)} if data is not None and is_list(data) else options
