"""Words of a command line: how options are spelled, switches, numbers within bounds. Needs no torch."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from seq2seq.config import Real, Whole
from seq2seq.errors import UserError

NEGATIVE = re.compile(r"-(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|-inf(inity)?|-nan", re.IGNORECASE)
SWITCH_VALUES = ("true", "false")
BUILD_HELP = "a function of your own that builds the model, given again whenever the run is used; the file is run"


def dashed(option: str) -> str:
    """The spelling that is shown: `--model.encoder.hidden-size`."""
    return option.replace("_", "-")


def spelled(words: Sequence[str], spelling: Callable[[str], str]) -> Iterator[str]:
    """The words, with the name of each option (`--name` or `--name=value`) in another spelling; not what follows a bare
    `--`."""
    for place, word in enumerate(words):
        if word == "--":
            yield from words[place:]
            return
        name, equals, value = word.partition("=")
        yield (spelling(name) if word.startswith("--") else name) + equals + value


class Helpful(argparse.ArgumentParser):
    """A parser whose --help fails where it cannot be written; argparse's own says nothing, and succeeds."""

    def _print_message(self, message: str, file: Any = None) -> None:
        try:
            print(message, end="", file=file or sys.stderr, flush=True)
        except BrokenPipeError:  # a reader that has gone, such as head, is no fault
            raise
        except OSError as error:
            raise UserError(f"standard output: {error.strerror or error}") from None


class Parser(Helpful):
    """argparse's parser, which takes options with dashes or underscores, a switch as `--json`, `--json true`,
    `--json false` or `--json=true`. Complaints are UserErrors."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._negative_number_matcher = NEGATIVE  # argparse's own takes -1e-3 for an option

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse has it."""
        words = list(spelled(sys.argv[1:] if args is None else args, dashed))
        joined = [word for word in words[: words.index("--") if "--" in words else None] if word.endswith("=--")]
        if joined:  # argparse takes such a value for the end of options, and gives none
            self.error(f"{joined[0][:-3]} must not be '--'")
        return super().parse_known_args(self._without_values(words), namespace)

    def error(self, message: str) -> NoReturn:
        """Raises UserError where argparse would print how the program is used and end it."""
        message = re.sub(r"^argument (\S+): must ", r"\1 must ", message)
        raise UserError(f"{message}; {self.prog} --help lists the options")

    def _without_values(self, words: list[str]) -> list[str]:
        """The words, where a switch that is true stands bare and one that is false is left out; the last one counts."""
        bare = [action for action in self._actions if isinstance(action, argparse._StoreTrueAction)]
        switches = {name for action in bare for name in action.option_strings}
        kept: list[str] = []
        for name, word, value in switch_values(words, switches):
            if name is None:
                kept.append(word)
                continue
            if value not in SWITCH_VALUES:
                self.error(f"{name} must be true or false, got {value!r}")
            kept = [each for each in kept if each != name] + [name] * (value == "true")
        return kept


def switch_values(words: Sequence[str], switches: Collection[str]) -> Iterator[tuple[str | None, str, str]]:
    """(name, word, value) of each switch, bare or with its value joined or as the next word, else (None, word, "")."""
    rest = iter(range(len(words)))
    for place in rest:
        name, equals, value = words[place].partition("=")
        if name not in switches:
            yield None, words[place], ""
        elif equals:
            yield name, words[place], value
        elif words[place + 1 : place + 2] and words[place + 1] in SWITCH_VALUES:
            yield name, words[place], words[next(rest)]
        else:
            yield name, words[place], "true"


def named(text: str) -> str:
    """The type of an argparse option that names something: an empty path would mean the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def path_named(text: str) -> Path:
    """As `named`, for a file or folder."""
    return Path(named(text))


def number_within(allowed: Whole | Real) -> Callable[[str], Any]:
    """The type of an argparse option that is a number within bounds."""

    def parse(text: str) -> int | float:
        value: int | float | None = None
        with contextlib.suppress(ValueError):
            value = int(text) if isinstance(allowed, Whole) else float(text)
        if value is None or not allowed.admits(value):
            shown = text if len(text) <= 40 else text[:37] + "..."
            raise argparse.ArgumentTypeError(f"must be {allowed}, got {shown!r}")
        return value

    return parse
