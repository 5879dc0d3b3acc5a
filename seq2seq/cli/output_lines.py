"""Lines that translate writes. Needs no torch."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seq2seq.inference.outputs import Translation


def output_lines(number: int, best: list[Translation], options: argparse.Namespace) -> str:
    """The output lines of one input line; tabs separate columns, so those inside a text become spaces there."""
    if options.n_best:
        rows = [(number, rank, f"{each.score:.6f}", _cell(each.text)) for rank, each in enumerate(best, 1)]
        return "".join("\t".join(map(str, row)) + "\n" for row in rows)
    if options.scores:
        return f"{best[0].score:.6f}\t{_cell(best[0].text)}\n"
    return best[0].text + "\n"


def _cell(text: str) -> str:
    return text.replace("\t", " ")
