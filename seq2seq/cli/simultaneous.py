"""translate --wait-k."""

from __future__ import annotations

import argparse
import sys
from itertools import islice

from seq2seq.cli.decoding_options import decoding_settings
from seq2seq.cli.tags import read_by, tags_of
from seq2seq.cli.verbs import load_translator, search_settings

LINES_TOGETHER = 256
OF_SEARCH = ("ensemble", "lm", "shortlist", "n_best", "prefixes")
OTHERS = (*OF_SEARCH, "interactive", "split_sentences", "scores", "attention", "output")
"""Options that do not go with it."""


def write_simultaneously(options: argparse.Namespace) -> None:
    """Translates lines as they would come in, and reports the average lagging. Raises UserError where options do not go
    together."""
    from seq2seq.cli.lines import lines_of
    from seq2seq.errors import check

    given = [name for name in OTHERS if getattr(options, name)] + [
        *search_settings(options),
        *decoding_settings(options),
    ]
    given += ["precision"] * (options.precision != "fp32")
    spelled = ", ".join(f"--{name.replace('_', '-')}" for name in given)
    check(not given, f"--wait-k is a greedy search of one model: leave {spelled} out")
    total, count, done = 0.0, 0, 0
    with lines_of(options.files, "the sentences to translate") as lines:
        translator = load_translator(options)
        tags = tags_of(translator, options)
        from seq2seq.inference.simultaneous import wait_k

        while group := list(islice(lines, LINES_TOGETHER)):
            numbered = enumerate(group, done + 1)
            sources = [read_by(translator, tags, line, lines.place(number)) for number, line in numbered]
            for each in wait_k(translator, sources, options.wait_k):
                sys.stdout.buffer.write((each.text + "\n").encode("utf-8", errors="replace"))
                total, count = total + each.average_lagging, count + bool(each.reads)
            sys.stdout.buffer.flush()
            done += len(group)
    print(f"seq2seq: average lagging {total / max(1, count):.2f} source tokens, of {count} sentences", file=sys.stderr)
