"""Training options from the command line and from files: generated from ExperimentConfig's fields by jsonargparse."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser, set_parsing_settings

from seq2seq.config import UserError, from_dict, read_mapping, to_dict
from seq2seq.experiment import ExperimentConfig

Config = TypeVar("Config")

# Help texts are the docstrings below the fields; no value, of a file or an option, makes jsonargparse import anything.
set_parsing_settings(docstring_parse_attribute_docstrings=True, import_path_denylist=["*"])


def training_parser(program: str, description: str, defaults: ExperimentConfig | None = None) -> ArgumentParser:
    """Parser of all options of text to text; defaults: a recipe's choices, which options and files override."""
    parser = task_parser(program, description, defaults or ExperimentConfig)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check configuration, data and one batch, print the model's shape and memory, train nothing",
    )
    return parser


def task_parser(program: str, description: str, defaults: Any) -> ArgumentParser:
    """Parser of the options of a configuration class, or of an instance of one, whose values are then the defaults."""
    parser = ArgumentParser(prog=program, description=description, exit_on_error=False)
    parser.add_argument(
        "--config", action=ActionConfigFile, help="YAML or JSON file of options, such as a run's config.json"
    )
    if isinstance(defaults, type):
        parser.add_class_arguments(defaults, None)
    else:
        parser.add_class_arguments(type(defaults), None)
        parser.set_defaults(to_dict(defaults))
    return parser


def parse_training(parser: ArgumentParser, arguments: Sequence[str]) -> tuple[ExperimentConfig, bool]:
    """The configuration that the arguments give, and whether it is a dry run. Raises UserError on a wrong option."""
    values = _parse(parser, arguments)
    dry_run = bool(values.pop("dry_run"))
    return from_dict(ExperimentConfig, values), dry_run


def parse_task(parser: ArgumentParser, arguments: Sequence[str], cls: type[Config]) -> Config:
    """The configuration that the arguments give. Raises UserError on a wrong option."""
    return from_dict(cls, _parse(parser, arguments))


def _parse(parser: ArgumentParser, arguments: Sequence[str]) -> dict[str, Any]:
    for path in _config_files(arguments):
        _refuse_class_paths(read_mapping(path), path)
    # A switch of a configuration is written as one: --quick, not --quick true.
    words = [f"{word}=true" if word == "--quick" else word for word in arguments]
    try:
        namespace = parser.parse_args(words)
    except ArgumentError as error:
        raise UserError(_in_one_line(str(error), parser)) from None
    values: dict[str, Any] = namespace.as_dict()
    values.pop("config", None)
    return values


def _config_files(arguments: Sequence[str]) -> list[Path]:
    """The files that --config options name."""
    following = [value for option, value in pairwise(arguments) if option == "--config"]
    return [Path(value) for value in following + [word[9:] for word in arguments if word.startswith("--config=")]]


def _refuse_class_paths(value: Any, path: Path) -> None:
    """jsonargparse would import what a `class_path` names before finding that no option takes it: it never sees one."""
    if isinstance(value, dict):
        if "class_path" in value:
            raise UserError(f"{path}: class_path is not accepted; a configuration holds values, never names of code")
        for inner in value.values():
            _refuse_class_paths(inner, path)


def _in_one_line(message: str, parser: ArgumentParser) -> str:
    """jsonargparse's message without its line breaks, with the nearest option where one is unknown."""
    unknown = re.search(r"unrecognized arguments: (--[^\s=]+)", message)
    if unknown is not None:
        known = [option for action in parser._actions for option in action.option_strings]
        near = difflib.get_close_matches(unknown[1], known, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; --help lists the options"
        return f"unknown option {unknown[1]}{hint}"
    denied = re.search(r'key "([^"]+)":\s+Importing (\S+) is not allowed', message)
    if denied is not None:
        return (
            f"{denied[1]}: {denied[2]} is no value for it; a configuration holds values, never names of code or files"
        )
    return " ".join(message.split())
