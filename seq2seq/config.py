"""Configurations as nested frozen dataclasses, read from and written to JSON or YAML.

A configuration class declares its options as typed fields with defaults and validates itself in
``__post_init__`` with `check`. Its annotations may be ``int``, ``float``, ``str``, ``bool``, a ``Literal``,
another configuration class, or any of these ``| None``.
"""

import dataclasses
import difflib
import json
import math
import os
import re
import signal
import types
import typing
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from seq2seq.files import write_atomically

Config = TypeVar("Config")

# YAML 1.1, which PyYAML follows, reads 1e-3 as a string (it lacks a dot).
FLOAT_WITHOUT_DOT = re.compile(r"^[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+$")
SCALAR_NAMES = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}


class UserError(ValueError):
    """A mistake the user can correct; its message is one line that names the file or option at fault."""


class Interrupted(Exception):
    """Training was asked to stop by a signal; its state is saved."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


class _Loader(yaml.SafeLoader):
    """Safe YAML, in which 1e-3 is a number and only true/false are booleans: "no" is the code of Norwegian."""


class _Dumper(yaml.SafeDumper):
    """Quotes every string that `_Loader` or another YAML reader would take for something else."""


for _yaml_class in (_Loader, _Dumper):
    _yaml_class.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT_WITHOUT_DOT, list("-+0123456789"))
for _first in "yYnNoO":
    _resolvers = _Loader.yaml_implicit_resolvers[_first]
    _Loader.yaml_implicit_resolvers[_first] = [pair for pair in _resolvers if pair[0] != "tag:yaml.org,2002:bool"]


def check(condition: bool, message: str) -> None:
    """Raise `UserError` with ``message`` unless ``condition`` holds."""
    if not condition:
        raise UserError(message)


def to_dict(config: Any) -> dict[str, Any]:
    """Return a configuration as nested plain dictionaries, ready for JSON or YAML."""
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise TypeError(f"expected a configuration object, got {config!r}")
    return dataclasses.asdict(config)


def from_dict(cls: type[Config], mapping: Any, where: str = "") -> Config:
    """Build the configuration ``cls`` from nested dictionaries.

    ``where`` names the origin of the mapping (a file, usually) in error messages. Options that are absent take
    their defaults. Raises `UserError` for an unknown option, a missing one that has no default, or a value of
    the wrong type.
    """
    return _build(cls, mapping, where, "")


def read_config(path: str | os.PathLike[str], cls: type[Config]) -> Config:
    """Read the configuration ``cls`` from a ``.json``, ``.yaml`` or ``.yml`` file."""
    return from_dict(cls, read_mapping(Path(path)), where=str(path))


def write_config(path: str | os.PathLike[str], config: Any) -> None:
    """Write a configuration to a ``.json``, ``.yaml`` or ``.yml`` file; `read_config` gives it back."""
    path = Path(path)
    mapping = to_dict(config)
    if _file_format(path) == "json":
        text = json.dumps(mapping, indent=2, ensure_ascii=False) + "\n"
    else:
        text = yaml.dump(mapping, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    try:
        write_atomically(path, text)
    except OSError as error:
        raise UserError(f"{path}: cannot write the configuration: {error.strerror}") from error


def _file_format(path: Path) -> Literal["json", "yaml"]:
    suffix = path.suffix.lower()
    check(suffix in (".json", ".yaml", ".yml"), f"{path}: a configuration file must end in .json, .yaml or .yml")
    return "json" if suffix == ".json" else "yaml"


def read_mapping(path: Path) -> Any:
    """The content of a JSON or YAML file. Raises UserError naming file and line where it cannot be read."""
    file_format = _file_format(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot read the configuration: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: the configuration is not UTF-8 text (byte {error.start})") from error
    if file_format == "json":
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}, line {error.lineno}: malformed JSON: {error.msg}") from error
        except (ValueError, RecursionError) as error:  # digits without end, brackets within brackets
            raise UserError(f"{path}: malformed JSON: {error}") from error
    try:
        mapping = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error).split("\n")[0]
        raise UserError(f"{path}{place}: malformed YAML: {problem}") from error
    return {} if mapping is None else mapping


def _build(cls: type[Config], mapping: Any, where: str, prefix: str) -> Config:
    origin = f"{where}: " if where else ""
    if not isinstance(mapping, dict):
        what = f"option '{prefix[:-1]}'" if prefix else "the configuration"
        raise UserError(f"{origin}{what} must be a mapping of options to values, got {_shown(mapping)}")
    types_of = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    for key in mapping:
        if key not in fields:
            raise UserError(f"{origin}unknown option '{prefix}{key}'{suggestion(str(key), list(fields))}")
    for name, field in fields.items():
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        check(name in mapping or has_default, f"{origin}option '{prefix}{name}' is required")
    values = {name: _convert(types_of[name], value, where, prefix + name) for name, value in mapping.items()}
    try:
        return cls(**values)
    except UserError as error:
        raise UserError(f"{origin}{error}") from error


def suggestion(name: str, valid: list[str]) -> str:
    """The end of an error about an unknown name: the valid one most like it, or all of them."""
    close = difflib.get_close_matches(name, valid, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; the options are {', '.join(valid)}"


def _convert(annotation: Any, value: Any, where: str, name: str) -> Any:
    alternatives = _alternatives(annotation)
    if value is None and type(None) in alternatives:
        return None
    for alternative in alternatives:
        if dataclasses.is_dataclass(alternative):
            return _build(alternative, value, where, name + ".")  # type: ignore[arg-type]
        if typing.get_origin(alternative) is Literal:
            # Types are compared too because True == 1 in Python.
            if any(type(choice) is type(value) and choice == value for choice in typing.get_args(alternative)):
                return value
        elif alternative is float:
            if type(value) in (int, float) and math.isfinite(value):
                return float(value)
        elif type(value) is alternative:
            return value
    origin = f"{where}: " if where else ""
    expected = " or ".join(_described(alternative) for alternative in alternatives)
    raise UserError(f"{origin}option '{name}' must be {expected}, got {_shown(value)}")


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _described(annotation: Any) -> str:
    if annotation is type(None):
        return "null"
    if typing.get_origin(annotation) is Literal:
        return "one of " + ", ".join(json.dumps(choice) for choice in typing.get_args(annotation))
    return SCALAR_NAMES.get(annotation, str(annotation))


def _shown(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= 60 else shown[:57] + "..."
