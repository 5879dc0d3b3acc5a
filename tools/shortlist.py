#!/usr/bin/env python3
"""Makes a vocabulary shortlist of a run, from the data that it was trained on.

    tools/shortlist.py RUN FILE
    seq2seq translate RUN --shortlist FILE < in > out

For each source token FILE has its likely translations, by IBM Model 1, and the most frequent target tokens.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from seq2seq.cli.arguments import Parser, named, number_within, path_named
from seq2seq.cli.exit_status import guarded
from seq2seq.config import read_config
from seq2seq.data.batch import Pair
from seq2seq.data.corpus import as_list, load_split
from seq2seq.errors import UserError, check
from seq2seq.inference.shortlist import SIZES, Shortlist, learned_shortlist, vocabularies_sum
from seq2seq.runs.layout import CONFIG_FILE
from seq2seq.runs.stored_model import refuse_other_kind
from seq2seq.runs.vocabularies import load_vocabularies
from seq2seq.tasks.configs import ExperimentConfig

SEED, TOGETHER = 1, 1_000


def parser() -> Parser:
    """The options."""
    parse = Parser(description=(__doc__ or "").split("\n\n")[0])
    parse.add_argument("run", metavar="RUN", type=named, help="run directory of a translator")
    parse.add_argument("file", metavar="FILE", type=path_named, help="what to write, such as shortlist.npz")
    for name, default, what in (
        ("translations", 50, "likely translations of each source token"),
        ("frequent", 500, "most frequent target tokens, which are in each list"),
    ):
        spelled = f"{what} (default: {default})"
        parse.add_argument(f"--{name}", type=number_within(SIZES), default=default, metavar="N", help=spelled)
    return parse


def main(words: Sequence[str] | None = None) -> int:
    """Makes the file; gives the exit status."""
    return guarded("shortlist.py", lambda: make(parser().parse_args(words)))


def check_file(file: Path) -> None:
    """Raises UserError where there is no folder for the file, or what is there is no shortlist."""
    check(file.parent.is_dir(), f"{file}: there is no folder {file.parent}")
    if file.exists():
        try:
            Shortlist.load(file)
        except UserError as error:
            raise UserError(f"{error}; move it, or name another file") from None


def make(options: argparse.Namespace) -> None:
    """Makes the file that the options name."""
    run, file = Path(options.run), options.file
    check_file(file)
    refuse_other_kind(run, "translator", "name a run that translates")
    config = replace(read_config(run / CONFIG_FILE, ExperimentConfig), streaming=False)
    source, target = load_vocabularies(run)
    split = load_split(config, config.train_split)
    rows = np.random.default_rng(SEED).permutation(len(split))

    def pairs() -> Iterator[Pair]:
        """In random order, as a part of a large corpus is enough."""
        for start in range(0, len(rows), TOGETHER):
            batch = split[rows[start : start + TOGETHER]]
            texts = [as_list(each)[0] for each in batch["target"]]
            yield from zip(source.encode_batch(batch["source"]), target.encode_batch(texts), strict=True)

    sizes, sums = (len(source), len(target)), vocabularies_sum(source, target)
    shortlist = learned_shortlist(pairs(), sizes, sums, options.translations, options.frequent)
    shortlist.save(file)
    print(f"seq2seq: {file}: {options.translations} translations of each token, {options.frequent} frequent tokens")


if __name__ == "__main__":
    sys.exit(main())
