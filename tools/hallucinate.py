#!/usr/bin/env python3
"""Makes up words for inflection from those of a training file: hallucinated data (Anastasopoulos & Neubig 2019).

    tools/hallucinate.py deu.trn --columns lemma,features,form --count 10000 > made/train.tsv

Where lemma and form have at least three characters in common one after the other, these are taken for a stem, and each
of their letters is replaced, in both alike, by one drawn from all that occur in the file. Features, affixes and the
rest stay. The rows have the columns of the file. Train on both, seq2seq train --data DIR --data made ..., where weights
say how often each is seen (docs/mixing.md).
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path

from seq2seq.cli.exit_status import guarded
from seq2seq.data.formats import numbered_lines
from seq2seq.data.units import columns_of
from seq2seq.errors import check

SHORTEST_STEM = 3
"""Characters, as in the paper."""

Blocks = list[tuple[int, int, int]]
"""Where stems begin in lemma and form, and how long they are."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the rows; exit status as the command seq2seq has it."""
    return guarded("hallucinate.py", lambda: print_made_up(_parser().parse_args(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE", type=Path, help="table without a header, tabs between its columns")
    parser.add_argument("--columns", default="lemma,features,form", help="names of its columns (default: %(default)s)")
    parser.add_argument("--source", default="lemma", help="column of the lemma (default: lemma)")
    parser.add_argument("--target", default="form", help="column of the form (default: form)")
    parser.add_argument("--count", type=int, default=10_000, help="rows to make (default: 10000)")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn (default: 1)")
    return parser


def print_made_up(options: argparse.Namespace) -> None:
    """Prints rows. Raises UserError where no word of the file has a stem."""
    check(bool(options.columns.strip()), "--columns must name the columns of the file")
    check(options.source != options.target, f"--source and --target are the same column {options.source!r}")
    names = columns_of(options.columns, options.source, options.target)
    sides = names.index(options.source), names.index(options.target)
    check(options.count > 0, "--count must be at least 1")
    for row in made_up(list(_rows(options.file, names)), sides, options.count, options.seed, str(options.file)):
        print("\t".join(row))


def _rows(path: Path, names: Sequence[str]) -> Iterator[list[str]]:
    for number, line in numbered_lines(path):
        cells = line.split("\t")
        fits = not line or len(cells) == len(names)
        check(fits, f"{path}, line {number}: {len(cells)} columns, but --columns names {', '.join(names)}")
        if line:
            yield cells


def made_up(
    rows: Sequence[list[str]], sides: tuple[int, int], count: int, seed: int, name: str = "the file"
) -> Iterator[list[str]]:
    """So many rows, each made of one that has a stem: of all in turn, in an order drawn anew each time round.

    sides: the columns of lemma and form. name: of what was read, for the UserError where no row has a stem.
    """
    draw = random.Random(seed)
    letters = sorted({letter for row in rows for side in sides for letter in row[side] if letter.isalpha()})
    stems = [(row, found) for row in rows if (found := stems_of(row[sides[0]], row[sides[1]]))]
    check(bool(stems), f"{name}: no lemma has {SHORTEST_STEM} letters in common with its form")
    made = 0
    while made < count:
        for row, found in draw.sample(stems, min(len(stems), count - made)):
            yield _with_other_stems(row, found, sides, letters, draw)
            made += 1


def stems_of(lemma: str, form: str) -> Blocks:
    """The stretches of characters that lemma and form have in common, in the same order, and that are long enough."""
    matches = SequenceMatcher(None, lemma, form, autojunk=False).get_matching_blocks()
    return [(each.a, each.b, each.size) for each in matches if each.size >= SHORTEST_STEM]


def _with_other_stems(
    row: list[str], stems: Blocks, sides: tuple[int, int], letters: list[str], draw: random.Random
) -> list[str]:
    lemma, form = (list(row[side]) for side in sides)
    for in_lemma, in_form, size in stems:
        for place in range(size):
            if lemma[in_lemma + place].isalpha():  # a hyphen or a space stays
                lemma[in_lemma + place] = form[in_form + place] = draw.choice(letters)
    made = list(row)
    made[sides[0]], made[sides[1]] = "".join(lemma), "".join(form)
    return made


if __name__ == "__main__":
    sys.exit(main())
