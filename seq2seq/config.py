"""Configurations as nested frozen dataclasses, read from and written to JSON or YAML.

A configuration class declares its options as typed fields with defaults and validates itself in
``__post_init__``: types with `check_fields`, which comes first, its numbers with `check_numbers`, the rest with
`check`. Its annotations may be ``int``, ``float``, ``str``, ``bool``, a ``Literal``, another configuration class, or
any of these ``| None``, or ``tuple[X, ...]`` for a list of them.
"""

import dataclasses
import difflib
import json
import numbers
import os
import sys
import types
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

import yaml

from seq2seq.errors import UserError, check
from seq2seq.runtime.atomic_files import write_atomically
from seq2seq.runtime.yaml_text import Dumper, Loader

Config = TypeVar("Config")

if TYPE_CHECKING:
    PathOption: TypeAlias = str | os.PathLike[str]
    """An option that names a file or folder: in Python a path, too; what is stored is text."""
else:
    PathOption = str

SCALAR_NAMES = {int: "an integer", float: "a number", str: "a string", bool: "true or false"}


FORMAT = 2
"""Version of the layout of checkpoints and run directories; CHANGELOG.md says which release reads which."""
FORMAT_OPTION = "format"
"""What it is called in a run's config.json; files without it are of format 1."""
KIND_OPTION, BUILD_OPTION = "kind", "build"
"""What a run's config.json says from format 2 on: the kind of its model, and the user's function that built it
(module:name, information only), where one did."""
RUN_FACTS = (FORMAT_OPTION, KIND_OPTION, BUILD_OPTION)
"""What a run's config.json holds besides options."""


@dataclasses.dataclass(frozen=True)
class Whole:
    """The whole numbers from ``lowest`` to ``highest``, both included."""

    lowest: int
    highest: int

    def admits(self, value: Any) -> bool:
        """Whether ``value`` is one of them, Python's or NumPy's; True and False are no numbers here."""
        number = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        return number and self.lowest <= int(value) <= self.highest

    def __str__(self) -> str:
        return f"a whole number from {_grouped(self.lowest)} to {_grouped(self.highest)}"


@dataclasses.dataclass(frozen=True)
class Real:
    """The numbers from ``lowest`` to ``highest``, both included, but for those in ``without``."""

    lowest: float
    highest: float
    without: tuple[float, ...] = ()

    def admits(self, value: Any) -> bool:
        """Whether ``value`` is one of them, Python's or NumPy's: undefined (nan) and infinite values are not."""
        number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        return number and self.lowest <= value <= self.highest and value not in self.without

    def __str__(self) -> str:
        without = f", without {' and '.join(map(_grouped, self.without))}" if self.without else ""
        return f"a number from {_grouped(self.lowest)} to {_grouped(self.highest)}{without}"


SEEDS = Whole(0, 2**63 - 1)
"""What every generator of random numbers here takes."""
SIZES = Whole(1, 1_000_000)
"""Widths of layers and the like."""
COUNTS = Whole(1, 1_000_000_000)
"""Numbers of steps, examples and the like; with 0 for none: COUNTS_OR_NONE."""
COUNTS_OR_NONE = Whole(0, COUNTS.highest)
LAYERS = Whole(1, 100)
DROPOUT = Real(0, 1, without=(1,))
SEARCH: dict[str, Whole | Real] = {
    "beam_size": Whole(1, 1_000),
    "length_penalty": Real(0, 100),
    "max_length": Whole(1, 10_000),
    "max_length_ratio": Real(0, 1_000, without=(0,)),
}
"""Of SearchConfig; here, as the command line looks at them before it imports torch."""
FUSION_WEIGHTS = Real(0, 10)
"""Of language models that join in a search."""


def check_fields(config: Any, section: str) -> None:
    """Raise `UserError`, naming the option, for the first field of ``config`` that is not of its annotation's type.

    NumPy's numbers become Python's, and paths become text. Numbers that are wrong are left to `check_numbers`, which
    knows their bounds. ``section`` as there.
    """
    for name, annotation in option_types(type(config)).items():
        value = _plain(getattr(config, name))
        object.__setattr__(config, name, value)  # configurations are frozen
        option = f"{section}.{name}" if section else name
        if isinstance(value, str):  # the configuration could not be written
            check(is_utf8(value), f"option '{option}' must be UTF-8, not {value!r}")
        alternatives = _alternatives(annotation)
        if dataclasses.is_dataclass(annotation):
            fits, kind = isinstance(value, typing.cast(type, annotation)), annotation.__name__  # type: ignore[union-attr]
            check(fits, f"option '{option}' must be of type {kind}, not {type(value).__name__}")
        elif not {int, float} & set(alternatives) and not (isinstance(value, str) and str in alternatives):
            _convert(annotation, value, "", option)


def is_utf8(text: str) -> bool:
    """Whether the text has a UTF-8 form: names of files that have none come with lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain(value: Any) -> Any:
    """A NumPy number as Python's, a path as text, anything else as it is."""
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else value


def check_numbers(config: Any, section: str, **bounds: Whole | Real) -> None:
    """Raise `UserError`, naming option and bounds, for the first field of ``config`` that is not within its bounds.

    ``section`` is the options' place in the whole configuration, such as "model.encoder"; "" is the outermost.
    """
    for name, allowed in bounds.items():
        check_number(f"{section}.{name}" if section else name, getattr(config, name), allowed)


def check_number(name: str, value: Any, allowed: Whole | Real) -> None:
    """Raise `UserError` naming the option unless ``value`` is one of the numbers allowed."""
    check(allowed.admits(value), f"{name} must be {allowed}, not {_number_shown(value)}")


def _grouped(number: float) -> str:
    """Digits in groups of three where there are many."""
    return f"{number:,}" if abs(number) >= 10_000 else f"{number:g}"


def _number_shown(value: Any) -> str:
    # Python refuses to write out integers of more than some thousand digits.
    if isinstance(value, int) and abs(value) >= 10**40:
        return "one of more than 40 digits"
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def to_dict(config: Any) -> dict[str, Any]:
    """Return a configuration as nested plain dictionaries, ready for JSON or YAML."""
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise TypeError(f"expected a configuration object, got {config!r}")
    return dataclasses.asdict(config)


def flat(mapping: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values of nested sections by their dotted names."""
    found: dict[str, Any] = {}
    for name, value in mapping.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


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
    _write_mapping(Path(path), to_dict(config))


def write_run_config(path: Path, mapping: dict[str, Any], kind: str, built_by: str = "") -> None:
    """Write a run's config.json: the options in ``mapping``, the format of what lies beside it, the kind of the model,
    and the user's function that built it, where one did.
    """
    built = {BUILD_OPTION: built_by} if built_by else {}
    _write_mapping(path, {FORMAT_OPTION: FORMAT, KIND_OPTION: kind, **built, **mapping})


def _write_mapping(path: Path, mapping: dict[str, Any]) -> None:
    if _file_format(path) == "json":
        text = json.dumps(mapping, indent=2, ensure_ascii=False) + "\n"
    else:
        text = yaml.dump(mapping, Dumper=Dumper, sort_keys=False, allow_unicode=True)
    try:
        write_atomically(path, text)
    except OSError as error:
        raise UserError(f"{path}: cannot write the configuration: {error.strerror}") from error


def _file_format(path: Path) -> Literal["json", "yaml"]:
    suffix = path.suffix.lower()
    check(suffix in (".json", ".yaml", ".yml"), f"{path}: a configuration file must end in .json, .yaml or .yml")
    return "json" if suffix == ".json" else "yaml"


def read_mapping(path: Path) -> Any:
    """The options in a JSON or YAML file, without what else a run's config.json holds. Raises UserError naming file and
    line where it cannot be read, or is of a newer format."""
    mapping = _parsed(path)
    check_format(mapping, str(path))
    if not _is_mapping(mapping):
        return mapping
    facts = RUN_FACTS if format_of(mapping) > 1 else (FORMAT_OPTION,)
    return {key: value for key, value in mapping.items() if key not in facts}


def fact_in(path: Path, name: str) -> str:
    """What a run's config.json says besides options, by name: KIND_OPTION or BUILD_OPTION; empty where it is silent."""
    mapping = _parsed(path)
    return str(mapping.get(name, "")) if _is_mapping(mapping) and format_of(mapping) > 1 else ""


def format_of(mapping: dict[str, Any]) -> Any:
    """The format that a file's content names: a whole number, once `check_format` has passed it."""
    return mapping.get(FORMAT_OPTION, 1)


def check_format(mapping: Any, where: str) -> None:
    """Raise `UserError` where a file's content is of a newer format than this version reads."""
    number = format_of(mapping) if _is_mapping(mapping) else FORMAT
    check(
        type(number) is int and number > 0,
        f"{where}: option '{FORMAT_OPTION}' must be a whole number from 1 on, got {_shown(number)}",
    )
    check(
        number <= FORMAT,
        f"{where}: written by a newer version of seq2seq (format {_number_shown(number)}; this one reads up to "
        f"{FORMAT}): upgrade seq2seq",
    )


def _is_mapping(content: Any) -> bool:
    return isinstance(content, dict)


def _parsed(path: Path) -> Any:
    """The content of a JSON or YAML file; {} of an empty one."""
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
        mapping = yaml.load(text, Loader=Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error).split("\n")[0]
        raise UserError(f"{path}{place}: malformed YAML: {problem}") from error
    return {} if mapping is None else mapping


def check_types(cls: type[Any], mapping: Any, where: str = "", prefix: str = "") -> None:
    """Raise `UserError` for an unknown option, or a value of the wrong type, among options that are not all there.

    ``where`` as in `from_dict`; ``prefix`` ends with a dot: the place of the options of ``cls`` in the whole.
    """
    origin = f"{where}: " if where else ""
    if not isinstance(mapping, dict):
        what = f"option '{prefix[:-1]}'" if prefix else "the configuration"
        raise UserError(f"{origin}{what} must be a mapping of options to values, got {_shown(mapping)}")
    types_of = option_types(cls)
    for key, value in mapping.items():
        if key not in types_of:
            raise UserError(f"{origin}unknown option '{prefix}{key}'{suggestion(str(key), list(types_of))}")
        if dataclasses.is_dataclass(types_of[key]):
            check_types(types_of[key], value, where, f"{prefix}{key}.")
        else:
            _convert(types_of[key], value, where, prefix + key)


def option_types(cls: type[Any]) -> dict[str, Any]:
    """The annotation of every option of a configuration class."""
    types_of = typing.get_type_hints(cls)
    return {field.name: types_of[field.name] for field in dataclasses.fields(cls) if field.init}


def refusal(annotation: Any, name: str, value: Any) -> str:
    """Why a value is not one of those that an option's annotation admits, in words."""
    expected = " or ".join(_described(alternative) for alternative in _alternatives(annotation))
    return f"option '{name}' must be {expected}, got {_shown(value)}"


def _build(cls: type[Config], mapping: Any, where: str, prefix: str) -> Config:
    origin = f"{where}: " if where else ""
    check_types(cls, mapping, where, prefix)
    types_of = option_types(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
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
            if isinstance(value, alternative):  # type: ignore[arg-type]
                return value
            return _build(alternative, value, where, name + ".")  # type: ignore[arg-type]
        if typing.get_origin(alternative) is tuple:
            if isinstance(value, list | tuple):
                kind = typing.get_args(alternative)[0]
                return tuple(_convert(kind, each, where, f"{name}.{number}") for number, each in enumerate(value, 1))
            continue
        if typing.get_origin(alternative) is Literal:
            # Types are compared too because True == 1 in Python.
            if any(type(choice) is type(value) and choice == value for choice in typing.get_args(alternative)):
                return value
        elif alternative is float:
            if type(value) is float or (type(value) is int and abs(value) <= sys.float_info.max):
                return float(value)
        elif type(value) is alternative:
            return value
    origin = f"{where}: " if where else ""
    raise UserError(origin + refusal(annotation, name, value))


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _described(annotation: Any) -> str:
    if annotation is type(None):
        return "null"
    if dataclasses.is_dataclass(annotation):
        return "a mapping of options to values"
    if typing.get_origin(annotation) is Literal:
        return "one of " + ", ".join(json.dumps(choice) for choice in typing.get_args(annotation))
    if typing.get_origin(annotation) is tuple:
        return "a list"
    return SCALAR_NAMES.get(annotation, str(annotation))


def _shown(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= 60 else shown[:57] + "..."
