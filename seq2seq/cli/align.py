"""seq2seq align."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from seq2seq.cli.arguments import named, path_named
from seq2seq.cli.features import check_features, features_before
from seq2seq.cli.tags import add_tag, read_by, tags_of
from seq2seq.cli.verbs import add_input_length, add_verb, load_other, load_translator

if TYPE_CHECKING:
    from seq2seq.evaluation.alignments import Links
    from seq2seq.evaluation.symmetrisation import Symmetrisation
    from seq2seq.inference.outputs import Alignment
    from seq2seq.inference.translator import Translator


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
    add_tag(align, "each source, and is no word of it")
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
    from seq2seq.cli.lines import check_standard_input, paired_lines
    from seq2seq.errors import check
    from seq2seq.evaluation.alignments import alignment_error_rate, pharaoh

    names = ("source_file", "target_file", "gold")
    check_standard_input({f"--{name.replace('_', '-')}": getattr(options, name) for name in names})
    check(options.reverse or not options.symmetrise, "--symmetrise goes with --reverse: name a run of that direction")
    idle = options.statistics and options.reverse and options.gold is None
    check(not idle, "--statistics describes the attention of one run: leave --reverse out, or give --gold, too")
    lines, targets = paired_lines(options.source_file, options.target_file)
    translator = load_translator(options)
    tags = tags_of(translator, options)
    untagged = [tags.apart(line)[1] for line in lines]
    gold = None if options.gold is None else _gold(options, untagged, targets)
    numbered = enumerate(lines, 1)
    sources = [read_by(translator, tags, line, f"{options.source_file}, line {row}") for row, line in numbered]
    alignments = translator.align(sources, targets)
    if options.statistics:
        _print_statistics(alignments)
        if gold is None:
            return
    found = [_links(translator, *each) for each in zip(sources, targets, alignments, strict=True)]
    if options.reverse:
        found = _both_ways(options, untagged, targets, found)
    if gold is not None:
        print(f"AER {alignment_error_rate(found, gold):.2f} %")
        return
    for links in found:
        print(pharaoh(links))


def _gold(options: argparse.Namespace, sources: list[str], targets: list[str]) -> list[tuple[Links, Links]]:
    """Sure and possible links of each line. sources: without tags, which links do not count."""
    from seq2seq.cli.lines import lines_of
    from seq2seq.evaluation.alignments import check_gold, read_gold

    with lines_of([options.gold], "gold alignments") as lines:
        gold = read_gold(lines, str(options.gold))
    check_gold(gold, sources, targets, str(options.gold))
    return gold


def _print_statistics(alignments: list[Alignment]) -> None:
    from seq2seq.evaluation.attention_statistics import attention_statistics

    for line in attention_statistics([each.weights for each in alignments]).report():
        print(line)


def _links(translator: Translator, source: str, target: str, alignment: Alignment) -> Links:
    """The words that belong together. The source's features and its tag are of no word."""
    from seq2seq.data.mixing import tag_apart
    from seq2seq.data.units import normalised
    from seq2seq.evaluation.alignments import hard_links, spelled_pieces

    reader, writer = translator.source_vocabulary, translator.target_vocabulary
    before = features_before(translator, source) + bool(tag_apart(source, translator.tags)[0])
    written = normalised(target, getattr(reader, "unicode", "unchanged"))
    pieces = spelled_pieces(alignment.source, reader, source), spelled_pieces(alignment.target, writer, written)
    return hard_links(*pieces, alignment.weights, before)


def _both_ways(
    options: argparse.Namespace, sources: list[str], targets: list[str], forward: list[Links]
) -> list[Links]:
    """The links of both directions. sources: without tags."""
    from seq2seq.errors import UserError
    from seq2seq.evaluation.symmetrisation import symmetrised

    reverse = load_other(options, options.reverse, "translator")
    reverse.max_source_tokens = options.max_input_length or reverse.max_source_tokens
    for number, target in enumerate(targets, 1):
        check_features(reverse, target, f"--reverse {options.reverse}: {options.target_file}, line {number}")
    texts = [source.partition("\t")[0] for source in sources]
    try:
        alignments = reverse.align(targets, texts)
    except UserError as error:
        raise UserError(f"--reverse {options.reverse}: {error}") from None
    way: Symmetrisation = options.symmetrise or "grow-diag-final-and"
    backward = [_links(reverse, *each) for each in zip(targets, texts, alignments, strict=True)]
    turned = [{(target, source) for source, target in links} for links in backward]
    return [symmetrised(one, other, way) for one, other in zip(forward, turned, strict=True)]
