"""Tags before lines to translate, for models trained on several corpora. Needs no torch."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from seq2seq.cli.arguments import named
from seq2seq.cli.features import check_features

if TYPE_CHECKING:
    from seq2seq.data.mixing import Tags
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


def tags_of(translator: Translator, options: argparse.Namespace) -> Tags:
    """The tags of a run. Raises UserError where --tag is none of them."""
    from seq2seq.data.mixing import Tags
    from seq2seq.errors import check

    known, given = translator.tags, options.tag or ""
    check(not given or bool(known), f"--tag: {options.model} was trained without tags; leave it out")
    check(
        not given or given in known, f"--tag must be one of {', '.join(known)}, which {options.model} was trained with"
    )
    return Tags(given, tuple(known), translator.needs_tag)


def read_by(translator: Translator, tags: Tags, line: str, place: str) -> str:
    """A line as the model reads it, with its tag. Raises UserError, naming the place, where it lacks the features, or
    the tag, that the model needs."""
    check_features(translator, line, place)
    return tags.before(line, place)
