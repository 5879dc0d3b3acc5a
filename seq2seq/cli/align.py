"""seq2seq align."""

from __future__ import annotations

import argparse
from typing import Any

from seq2seq.cli.arguments import path_named
from seq2seq.cli.features import features_before
from seq2seq.cli.verbs import add_input_length, add_verb, load_translator


def add_align(verbs: Any) -> None:
    """Adds the verb."""
    align = add_verb(
        verbs,
        "align",
        "Which words of given pairs belong together, by attention: i-j for source word i and target word j, from 0, "
        "where a piece of j attends most to a piece of i (Pharaoh's format). White space separates words.",
        _align,
    )
    align.set_defaults(precision="fp32", ensemble=[])
    add_input_length(align)
    align.add_argument(
        "--source-file", type=path_named, required=True, help="source sentences, one per line, UTF-8, or -"
    )
    align.add_argument(
        "--target-file", type=path_named, required=True, help="their translations, one per line, UTF-8, or -"
    )
    align.add_argument(
        "--gold",
        type=path_named,
        metavar="FILE",
        help="print the alignment error rate (AER) against these links instead: 0-0 is sure, 0?0 or 0p0 possible",
    )


def _align(options: argparse.Namespace) -> None:
    from seq2seq.cli.lines import check_standard_input, lines_of, paired_lines
    from seq2seq.evaluation.alignments import alignment_error_rate, check_gold, hard_links, pharaoh, read_gold

    names = ("source_file", "target_file", "gold")
    check_standard_input({f"--{name.replace('_', '-')}": getattr(options, name) for name in names})
    sources, targets = paired_lines(options.source_file, options.target_file)
    gold = None
    if options.gold is not None:
        with lines_of([options.gold], "gold alignments") as lines:
            gold = read_gold(lines, str(options.gold))
        check_gold(gold, sources, targets, str(options.gold))
    translator = load_translator(options)
    found = [
        hard_links(*each, features_before(translator, source))
        for source, each in zip(sources, translator.align(sources, targets), strict=True)
    ]
    if gold is not None:
        print(f"AER {alignment_error_rate(found, gold):.2f} %")
        return
    for links in found:
        print(pharaoh(links))
