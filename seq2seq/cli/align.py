"""seq2seq align."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from seq2seq.cli.arguments import named, path_named
from seq2seq.cli.features import check_features, features_before
from seq2seq.cli.verbs import add_input_length, add_verb, load_other, load_translator

if TYPE_CHECKING:
    from seq2seq.evaluation.alignments import Links
    from seq2seq.evaluation.symmetrisation import Symmetrisation


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
    align.add_argument(
        "--reverse",
        type=named,
        metavar="RUN2",
        help="a run of the opposite direction: links are those of both directions, symmetrised",
    )
    align.add_argument(
        "--symmetrise",
        choices=("grow-diag-final-and", "intersection", "union"),
        help="how links of both directions become one set (default: grow-diag-final-and)",
    )
    align.add_argument(
        "--statistics",
        action="store_true",
        help="print entropy, coverage and monotonicity of the attention instead of links, before AER where both are "
        "asked for",
    )


def _align(options: argparse.Namespace) -> None:
    from seq2seq.cli.lines import check_standard_input, lines_of, paired_lines
    from seq2seq.errors import check
    from seq2seq.evaluation.alignments import alignment_error_rate, check_gold, hard_links, pharaoh, read_gold

    names = ("source_file", "target_file", "gold")
    check_standard_input({f"--{name.replace('_', '-')}": getattr(options, name) for name in names})
    check(options.reverse or not options.symmetrise, "--symmetrise goes with --reverse: name a run of that direction")
    idle = options.statistics and options.reverse and options.gold is None
    check(not idle, "--statistics describes the attention of one run: leave --reverse out, or give --gold, too")
    sources, targets = paired_lines(options.source_file, options.target_file)
    gold = None
    if options.gold is not None:
        with lines_of([options.gold], "gold alignments") as lines:
            gold = read_gold(lines, str(options.gold))
        check_gold(gold, sources, targets, str(options.gold))
    translator = load_translator(options)
    alignments = translator.align(sources, targets)
    if options.statistics:
        from seq2seq.evaluation.attention_statistics import attention_statistics

        for line in attention_statistics([each.weights for each in alignments]).report():
            print(line)
        if gold is None:
            return
    found = [
        hard_links(*each, features_before(translator, source)) for source, each in zip(sources, alignments, strict=True)
    ]
    if options.reverse:
        found = _both_ways(options, sources, targets, found)
    if gold is not None:
        print(f"AER {alignment_error_rate(found, gold):.2f} %")
        return
    for links in found:
        print(pharaoh(links))


def _both_ways(
    options: argparse.Namespace, sources: list[str], targets: list[str], forward: list[Links]
) -> list[Links]:
    """The links of both directions."""
    from seq2seq.errors import UserError
    from seq2seq.evaluation.alignments import hard_links
    from seq2seq.evaluation.symmetrisation import symmetrised

    reverse = load_other(options, options.reverse, "translator")
    reverse.max_source_tokens = options.max_input_length or reverse.max_source_tokens
    for number, target in enumerate(targets, 1):
        check_features(reverse, target, f"--reverse {options.reverse}: {options.target_file}, line {number}")
    try:
        alignments = reverse.align(targets, [source.partition("\t")[0] for source in sources])
    except UserError as error:
        raise UserError(f"--reverse {options.reverse}: {error}") from None
    way: Symmetrisation = options.symmetrise or "grow-diag-final-and"
    turned = [{(target, source) for source, target in hard_links(*each)} for each in alignments]
    return [symmetrised(one, other, way) for one, other in zip(forward, turned, strict=True)]
