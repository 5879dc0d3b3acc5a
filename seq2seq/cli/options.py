"""Training options from the command line and from files: generated from a configuration's fields by jsonargparse."""

from __future__ import annotations

import dataclasses
import difflib
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser, DefaultHelpFormatter, set_parsing_settings

from seq2seq.cli.arguments import BUILD_HELP, Helpful, dashed, spelled
from seq2seq.cli.corpora import is_list, several_as_one, with_corpora, with_spelled_corpora
from seq2seq.cli.user_code import function_in
from seq2seq.config import (
    BUILD_OPTION,
    KIND_OPTION,
    check_types,
    fact_in,
    flat,
    from_dict,
    option_types,
    read_mapping,
    refusal,
    to_dict,
)
from seq2seq.data.corpus import DataConfig
from seq2seq.errors import UserError
from seq2seq.runs.layout import begun
from seq2seq.tasks.base import UNITS, start_options
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.small_data import options_by_data

log = logging.getLogger(__name__)

Config = TypeVar("Config")
# Help texts are the docstrings below the fields; no value, of a file or an option, makes jsonargparse import anything.
set_parsing_settings(docstring_parse_attribute_docstrings=True, import_path_denylist=["*"])

OPTION = re.compile(r"--[\w.]+")


class _Help(DefaultHelpFormatter):
    """Shows options with dashes, and that a switch may stand alone."""

    def format_help(self) -> str:
        """As argparse has it."""
        text = OPTION.sub(lambda option: dashed(option[0]), super().format_help())
        return text.replace("{true,false}", "[true|false]")

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """As argparse has it, for each paragraph of a script's docstring; those of commands keep their lines."""
        return "\n\n".join(
            part if part.startswith("python ") else super(_Help, self)._fill_text(part, width, indent)
            for part in text.split("\n\n")
        )


class _Parser(ArgumentParser, Helpful):
    """jsonargparse's parser, whose --help fails where it cannot be written."""


def training_parser(program: str, description: str, defaults: ExperimentConfig | None = None) -> ArgumentParser:
    """Parser of all options of text to text; defaults: a recipe's choices, which options and files override."""
    parser = _parser(program, description, ExperimentConfig, defaults)
    parser.add_argument("--build", metavar="FILE.py:FUNCTION", help=BUILD_HELP)
    return parser


def task_parser(program: str, description: str, defaults: Any) -> ArgumentParser:
    """Parser of the options of a configuration's class, whose defaults are that configuration's values."""
    return _parser(program, description, type(defaults), defaults)


def _parser(program: str, description: str, cls: type[Any], defaults: Any) -> ArgumentParser:
    parser = _Parser(prog=program, description=description, exit_on_error=False, formatter_class=_Help)
    parser.add_argument(
        "--config",
        action=ActionConfigFile,
        help="YAML or JSON file of options, such as a run's config.json; those of the command line override it",
    )
    parser.add_class_arguments(cls, None)
    for action in parser._actions:
        if action.dest == "data":  # several corpora come as text, see corpora.py; jsonargparse would take it apart
            vars(action)["_typehint"] = str
    if defaults is not None:
        parser.set_defaults(with_spelled_corpora(to_dict(defaults)))
    return parser


def parse_training(
    parser: ArgumentParser, arguments: Sequence[str], by_data: bool = False
) -> tuple[ExperimentConfig, Callable[..., Any] | None]:
    """The configuration that the arguments give, and the function that --build names. Raises UserError on a wrong
    option. by_data: options that nobody named are those for the data, see `options_by_data`."""
    values = _parse(parser, arguments, ExperimentConfig, by_data)
    build = values.pop("build")
    return from_dict(ExperimentConfig, values), function_in(build) if build else None


def parse_task(parser: ArgumentParser, arguments: Sequence[str], cls: type[Config]) -> Config:
    """The configuration that the arguments give. Raises UserError on a wrong option."""
    return from_dict(cls, _parse(parser, arguments, cls))


def _parse(parser: ArgumentParser, arguments: Sequence[str], cls: type[Any], by_data: bool = False) -> dict[str, Any]:
    """Options on the command line override those of files, these override what is taken from the run that training
    starts from, this what the data chooses, and that the parser's defaults."""
    words = several_as_one(list(_joined(arguments, cls)))
    files = [Path(word.removeprefix("--config=")) for word in words if word.startswith("--config=")]
    words = [word for word in words if not word.startswith("--config=")]
    given = {name[2:]: value for name, _, value in (word.partition("=") for word in words)}
    options_of = {file: _options_in(file, cls) for file in files}
    if cls is ExperimentConfig and "build" not in given:
        for file in files:
            _refuse_own_model(file)
    from_files = {name: value for options in options_of.values() for name, value in options.items()}
    of_start = _options_of_start(parser, given, from_files, cls)
    if by_data and "help" not in given:
        parser.set_defaults(_options_of_data(parser, {**of_start, **from_files, **given}))
    parser.set_defaults(of_start)
    parser.set_defaults(from_files)
    if is_list(given.get("data", from_files.get("data"))):  # whose corpora may name their columns themselves
        parser.set_defaults({name: "" for name in ("source", "target") if parser.get_default(name) is None})
    try:
        namespace = parser.parse_args(words)
    except ArgumentError as error:
        raise UserError(_in_one_line(str(error), parser, given, _annotations(cls))) from None
    if "output" not in given and from_files.get("output") and os.environ.get("RANK", "0") == "0":
        file = [file for file, options in options_of.items() if "output" in options][-1]
        log.warning("output: %s, from %s", from_files["output"], file)  # no log is set up yet: a warning is shown
    values: dict[str, Any] = namespace.as_dict()
    values.pop("config", None)
    return with_corpora(values)


def _joined(arguments: Sequence[str], cls: type[Any]) -> Iterator[str]:
    """The words with each option's value joined to it (`--name=value`), and names spelled as the fields are."""
    annotations = _annotations(cls)
    words = list(spelled(arguments, lambda name: "--" + name[2:].replace("-", "_")))
    rest = iter(range(len(words)))
    for place in rest:
        name, equals, _ = words[place].partition("=")
        value = words[place + 1] if place + 1 < len(words) and not words[place + 1].startswith("--") else None
        if equals or not name.startswith("--"):
            yield words[place]
        elif value is not None and name != "--help":
            next(rest)
            yield f"{name}={value}"
        else:
            yield f"{name}=true" if annotations.get(name[2:]) is bool else name


def _annotations(cls: type[Any], prefix: str = "") -> dict[str, Any]:
    """The annotation of every option, sections among them, by its dotted name."""
    found: dict[str, Any] = {}
    for name, annotation in option_types(cls).items():
        found[prefix + name] = annotation
        if dataclasses.is_dataclass(annotation):
            found |= _annotations(annotation, f"{prefix}{name}.")  # type: ignore[arg-type]
    return found


def _options_in(file: Path, cls: type[Any]) -> dict[str, Any]:
    """A file's options by their dotted names. Raises UserError, naming the file, where it holds others, or is the
    config.json of another kind of run."""
    mapping = read_mapping(file)
    kind = fact_in(file, KIND_OPTION)
    if kind not in ("", cls.kind):
        raise UserError(f"{file}: configures a {kind}, not a {cls.kind}; give the file of a {cls.kind}")
    _refuse_class_paths(mapping, file)
    check_types(cls, mapping, str(file))
    return with_spelled_corpora(flat(mapping))


def _refuse_own_model(file: Path) -> None:
    """Raises UserError where the file is a run's whose model a user's function built: by the same options, a
    standard one would be trained."""
    built_by = fact_in(file, BUILD_OPTION)
    if built_by:
        raise UserError(
            f"{file}: its model was built by {built_by}; give --build FILE.py:{built_by.rpartition(':')[2]}"
        )


def _options_of_start(
    parser: ArgumentParser, given: dict[str, Any], from_files: dict[str, Any], cls: type[Any]
) -> dict[str, Any]:
    """Options taken from the run that training starts from, by their dotted names: the model's sizes, and how its
    vocabulary was made. Raises UserError where a vocabulary is asked for besides."""

    def chosen(name: str) -> Path:
        return Path(given.get(name) or from_files.get(name) or parser.get_default(name) or "")

    if chosen("start_from") == Path():
        return {}
    # A run that has begun needs the one that it started from no more.
    directory = (
        chosen("output") if begun(chosen("output")) and not begun(chosen("start_from")) else chosen("start_from")
    )
    taken = flat(start_options(directory, cls))
    if "vocabulary" in option_types(cls):
        defaults = flat({"vocabulary": to_dict(option_types(cls)["vocabulary"]())})
        taken = {**defaults, **taken}
        asked = [name for name in given if name.startswith("vocabulary")]
        asked += [name for name, value in from_files.items() if name in defaults and value != taken[name]]
        asked += [name for name, value in {**from_files, **given}.items() if name in UNITS and value != taken[name]]
        if asked:
            raise UserError(
                f"--{dashed(asked[0])} has no effect beside --start-from, which takes the vocabulary of {directory}: "
                "leave it out"
            )
    return taken


def _options_of_data(parser: ArgumentParser, named: dict[str, Any]) -> dict[str, Any]:
    """Options chosen by the training data, by their dotted names, but for those named; says which are not the usual
    ones. None where the data itself is not named, or wrongly: then the parser says so."""
    types = option_types(DataConfig)
    corpus = {name: named[name] for name in types if name in named}
    several = is_list(corpus.get("data"))
    if not corpus.get("data") or not (several or (corpus.get("source") and corpus.get("target"))):
        return {}
    corpus = with_corpora({**({"source": "", "target": ""} if several else {}), **corpus})
    corpus |= {name: _scalar(str(value)) for name, value in corpus.items() if types[name] in (int, float)}
    corpus |= {name: str(value).lower() == "true" for name, value in corpus.items() if types[name] is bool}
    output = str(named.get("output", ""))
    vocabulary = {name.partition(".")[2]: value for name, value in named.items() if name.startswith("vocabulary.")}
    chosen = options_by_data(from_dict(DataConfig, corpus), vocabulary, output)
    chosen = {name: value for name, value in chosen.items() if name not in named}
    unusual = {name: value for name, value in chosen.items() if value != parser.get_default(name)}
    if unusual and not begun(Path(output)) and os.environ.get("RANK", "0") == "0":
        shown = " ".join(f"--{dashed(name)} {value}" for name, value in unusual.items())
        log.warning("chosen by the data, as not named: %s", shown)  # no log is set up yet: a warning is shown
    return chosen


def _refuse_class_paths(value: Any, path: Path) -> None:
    """What a `class_path` names is never imported: jsonargparse, which would do so, does not get to see one."""
    if isinstance(value, dict):
        if "class_path" in value:
            raise UserError(f"{path}: class_path is not accepted; a configuration holds values, never names of code")
        for inner in value.values():
            _refuse_class_paths(inner, path)


def _in_one_line(message: str, parser: ArgumentParser, given: Mapping[str, str], annotations: Mapping[str, Any]) -> str:
    """jsonargparse's message in the words of `config`, with the nearest option where one is unknown."""
    unknown = re.search(r"unrecognized arguments: (--[^\s=]+)", message)
    if unknown is not None:
        known = [option for action in parser._actions for option in action.option_strings]
        near = difflib.get_close_matches(unknown[1], known, n=1)
        hint = f"; did you mean {dashed(near[0])}?" if near else "; --help lists the options"
        return f"unknown option {dashed(unknown[1])}{hint}"
    missing = re.search(r"the following arguments are required: (.+)", message)
    if missing is not None:
        names = ", ".join(f"--{dashed(name)}" for name in missing[1].split(", "))
        return f"the following options are required: {names}; --help lists the options"
    denied = re.search(r'key "([^"]+)":\s+Importing (\S+) is not allowed', message)
    if denied is not None:
        name, value = denied.groups()
        return f"{name}: {value} is no value for it; a configuration holds values, never names of code or files"
    refused = re.search(r'^Parser key "([^"]+)"', message)
    if refused is not None and refused[1] in given and refused[1] in annotations:
        return refusal(annotations[refused[1]], dashed(refused[1]), _scalar(given[refused[1]]))
    return OPTION.sub(lambda option: dashed(option[0]), " ".join(message.split()))


def _scalar(text: str) -> Any:
    """The number that a text spells, else the text."""
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return text
    return value if isinstance(value, int | float) else text
