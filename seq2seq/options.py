"""Training options from the command line and from files: generated from ExperimentConfig's fields by jsonargparse."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser, set_parsing_settings

from seq2seq.config import UserError, from_dict, to_dict
from seq2seq.experiment import ExperimentConfig

# Help texts are the docstrings below the fields; a file never makes jsonargparse import a class that it names.
set_parsing_settings(docstring_parse_attribute_docstrings=True)


def training_parser(program: str, description: str, defaults: ExperimentConfig | None = None) -> ArgumentParser:
    """Parser of all training options; defaults: a recipe's choices, which options and files override."""
    parser = ArgumentParser(prog=program, description=description, exit_on_error=False)
    parser.add_argument(
        "--config", action=ActionConfigFile, help="YAML or JSON file of options, such as a run's config.json"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check configuration, data and one batch, print the model's shape and memory, train nothing",
    )
    parser.add_class_arguments(ExperimentConfig, None)
    if defaults is not None:
        parser.set_defaults(to_dict(defaults))
    return parser


def parse_training(parser: ArgumentParser, arguments: Sequence[str]) -> tuple[ExperimentConfig, bool]:
    """The configuration that the arguments give, and whether it is a dry run. Raises UserError on a wrong option."""
    try:
        namespace = parser.parse_args(list(arguments))
    except ArgumentError as error:
        raise UserError(_in_one_line(str(error), parser)) from None
    values: dict[str, Any] = namespace.as_dict()
    dry_run = bool(values.pop("dry_run"))
    values.pop("config", None)
    return from_dict(ExperimentConfig, values), dry_run


def _in_one_line(message: str, parser: ArgumentParser) -> str:
    """jsonargparse's message without its line breaks, with the nearest option where one is unknown."""
    unknown = re.search(r"unrecognized arguments: (--[^\s=]+)", message)
    if unknown is not None:
        known = [option for action in parser._actions for option in action.option_strings]
        near = difflib.get_close_matches(unknown[1], known, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; --help lists the options"
        return f"unknown option {unknown[1]}{hint}"
    return " ".join(message.split())
