"""Tags before lines to translate, for models trained on several corpora. Needs no torch."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

from seq2seq.cli.arguments import named

if TYPE_CHECKING:
    from seq2seq.inference.translator import Translator


def add_tag(parser: argparse.ArgumentParser, what: str = "each line") -> None:
    """The tag of all lines."""
    parser.add_argument(
        "--tag",
        type=named,
        metavar="TAG",
        help=f"what stands before {what}, such as '<2de>', of a model that was trained with tags; a line that begins "
        "with one of the model's tags keeps its own",
    )


class Tags(NamedTuple):
    """The tags that a model knows, and which of them lines get."""

    given: str
    """Of lines that have none; empty: none."""
    known: tuple[str, ...]
    needed: bool
    """Whether the model never saw a line without a tag."""

    def before(self, line: str, place: str) -> str:
        """The line with its tag. Raises UserError, naming the place, where it has none and the model needs one."""
        from seq2seq.data.mixing import tagged

        if self.apart(line)[0]:
            return line
        line = tagged(line, self.given)
        self.check(line, place)
        return line

    def check(self, line: str, place: str) -> None:
        """Raises UserError, naming the place, where a line that is not blank has no tag and the model needs one."""
        from seq2seq.errors import check

        problem = f"begins with none of the tags that this model reads, {', '.join(self.known)}; give --tag"
        check(not self.needed or not line.strip() or bool(self.apart(line)[0]), f"{place}: {problem}")

    def apart(self, line: str) -> tuple[str, str]:
        """The tag that a line begins with, empty where there is none, and the rest."""
        from seq2seq.data.mixing import tag_apart

        return tag_apart(line, self.known)


def tags_of(translator: Translator, options: argparse.Namespace) -> Tags:
    """The tags of a run. Raises UserError where --tag is none of them."""
    from seq2seq.config import read_mapping
    from seq2seq.data.mixing import every_tagged
    from seq2seq.errors import check
    from seq2seq.runs.hub import find_run
    from seq2seq.runs.layout import CONFIG_FILE

    known, given = translator.tags, options.tag or ""
    check(not given or bool(known), f"--tag: {options.model} was trained without tags; leave it out")
    check(
        not given or given in known, f"--tag must be one of {', '.join(known)}, which {options.model} was trained with"
    )
    path = find_run(options.model, {}) / CONFIG_FILE
    needed = bool(known) and path.is_file() and every_tagged(read_mapping(path))
    return Tags(given, tuple(known), needed)
