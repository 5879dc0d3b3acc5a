"""Lines of UTF-8 text from files and standard input."""

from __future__ import annotations

import contextlib
import sys
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import IO

from seq2seq.errors import UserError, check

STDIN = "-"
"""What names standard input where a file is expected."""


def standard_input(content: str = "text") -> IO[bytes]:
    """The bytes of standard input. content: what should come from there, for the UserError where it is closed."""
    if sys.stdin is None:
        raise UserError(f"standard input is closed: give it {content}, one per line")
    return sys.stdin.buffer


class Lines(Iterator[str]):
    """The lines of several files, one file after the other, each of which can be named."""

    def __init__(self, files: Iterable[tuple[str, Iterator[str]]]) -> None:
        """files: each one's name and lines."""
        self.files, self.current = iter(files), iter(tuple[str]())
        self.read = 0
        self.begun: list[tuple[int, str]] = []
        """Lines before each file that was begun, and its name."""

    def __next__(self) -> str:
        while (line := next(self.current, None)) is None:
            name, self.current = next(self.files)
            self.begun.append((self.read, name))
        self.read += 1
        return line

    def place(self, number: int) -> str:
        """Where the number-th of the lines that were read stands, for errors."""
        before, name = self.begun[bisect_left(self.begun, number, key=itemgetter(0)) - 1]
        return f"{name}, line {number - before}"


@contextlib.contextmanager
def lines_of(paths: Sequence[str | Path], content: str) -> Iterator[Lines]:
    """The lines of several files, one file after the other; `-` is standard input, and so is no path at all.

    content: as in `standard_input`. All files are open from the beginning: a missing one is an OSError at once.
    """
    with contextlib.ExitStack() as stack:
        streams = [
            ("standard input", standard_input(content))
            if str(path) == STDIN
            else (str(path), stack.enter_context(Path(path).open("rb")))
            for path in paths or (STDIN,)
        ]
        yield Lines((name, read_lines(stream, name)) for name, stream in streams)


def file_lines(path: Path, content: str) -> list[str]:
    """All lines of a file, or of standard input."""
    with lines_of([path], content) as lines:
        return list(lines)


def check_standard_input(named: Mapping[str, object]) -> None:
    """Raises UserError where several files, by what names them, are `-`: the first that is read would take all."""
    given = [name for name, path in named.items() if str(path) == STDIN]
    check(len(given) < 2, f"{' and '.join(given)}: only one of them can come from standard input")


def paired_lines(source: Path, target: Path) -> tuple[list[str], list[str]]:
    """The lines of two files that belong together. Raises UserError where their numbers differ."""
    check([str(source), str(target)] != ["-", "-"], "only one side of the pairs can come from standard input")
    sources, targets = (file_lines(path, "one side of the pairs") for path in (source, target))
    if len(sources) != len(targets):
        raise UserError(
            f"{source} has {len(sources)} lines, {target} has {len(targets)}; "
            "line n of one belongs to line n of the other"
        )
    return sources, targets


def read_lines(stream: IO[bytes], name: str) -> Iterator[str]:
    """Lines of UTF-8 text. Only a line feed ends a line: U+2028, a lone CR and their kin are characters like others.

    Undecodable bytes become U+FFFD, with one warning, so that the lines stay in step.
    """
    warned = False
    for number, line in enumerate(stream, 1):
        content = line.removesuffix(b"\n")
        try:
            yield content.decode("utf-8")
        except UnicodeDecodeError:
            if not warned:
                print(f"seq2seq: warning: {name}, line {number}: not valid UTF-8; bytes replaced", file=sys.stderr)
            warned = True
            yield content.decode("utf-8", errors="replace")


def prompted_lines() -> Iterator[str]:
    """Lines of standard input, each as soon as it is there, with a prompt where a person types them."""
    stream, terminal = standard_input("sentences"), sys.stdin.isatty()
    while True:
        if terminal:
            print("> ", end="", file=sys.stderr, flush=True)
        line = stream.readline()
        if not line:
            return
        yield line.removesuffix(b"\n").decode("utf-8", errors="replace")
