"""seq2seq rerank."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seq2seq.cli.arguments import Parser, named, number_within, path_named
from seq2seq.cli.tags import add_tag, read_by, tags_of
from seq2seq.cli.verbs import add_input_length
from seq2seq.config import SEARCH, Real

if TYPE_CHECKING:
    from seq2seq.inference.reranking import Pools
    from seq2seq.inference.translator import Translator

WEIGHTS = Real(-1_000, 1_000)
KINDS = {
    "forward": "runs that read the source and write the target: of another seed, or from right to left "
    "(--target-order right_to_left of train)",
    "reverse": "runs that read the target and write the source",
    "language_model": "language models of the target, such as recipes/character_lm.py trains",
}
"""Options that name runs, by what they are for."""


def add_rerank(verbs: Any) -> None:
    """Adds the verb."""
    rerank = verbs.add_parser(
        "rerank",
        description="Order n best outputs anew by the weighted sum of their scores under several models, each a mean "
        "log-probability per token, and of their number of words. tools/tune_search.py finds the weights.",
    )
    rerank.set_defaults(run=_rerank, verb="rerank")
    add_rerank_options(rerank)
    rerank.add_argument(
        "--weights",
        type=path_named,
        metavar="FILE",
        help="JSON of weights by their names, as tools/tune_search.py writes it (default: 1 for each model and for the "
        "search's own score, 0 for words)",
    )
    rerank.add_argument(
        "--n-best",
        type=number_within(SEARCH["beam_size"]),
        metavar="K",
        help="write the K best as TSV: line, rank, score, text (default: the text of the best)",
    )


def add_rerank_options(parser: Parser) -> None:
    """What is ordered anew, and by what."""
    parser.add_argument("outputs", metavar="NBEST", type=path_named, help="what translate --n-best K wrote, or -")
    parser.add_argument("--source-file", type=path_named, required=True, help="the texts that were translated, or -")
    for name, text in KINDS.items():
        spelled = f"--{name.replace('_', '-')}"
        parser.add_argument(spelled, nargs="+", action="extend", default=[], type=named, metavar="RUN", help=text)
    add_tag(parser, "each source that --forward reads")
    add_input_length(parser, "longer outputs, and sources that --reverse writes, are refused")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")


def read_pools(options: argparse.Namespace) -> tuple[list[str], Pools]:
    """The sources and their candidates. Raises UserError where their numbers differ."""
    from seq2seq.cli.lines import check_standard_input, file_lines, lines_of
    from seq2seq.errors import check
    from seq2seq.inference.reranking import read_n_best

    check_standard_input({"the n best": options.outputs, "--source-file": options.source_file})
    sources = file_lines(options.source_file, "the texts that were translated")
    with lines_of([options.outputs], "n best outputs") as lines:
        pools = read_n_best(lines, str(options.outputs))
    fits = len(sources) == len(pools)
    check(fits, f"{options.source_file} has {len(sources)} lines, {options.outputs} has outputs of {len(pools)}")
    return sources, pools


def features_of(options: argparse.Namespace, sources: list[str], pools: Pools) -> dict[str, list[list[float]]]:
    """All features of the candidates, by the names that their weights have."""
    from seq2seq.data.mixing import untagged
    from seq2seq.inference.load import load
    from seq2seq.inference.reranking import forward_scores, language_scores, lengths, reverse_scores
    from seq2seq.runtime.device import prepare_process

    prepare_process()
    found = {"score": [[each.score for each in pool] for pool in pools], "words": lengths(pools)}
    known: set[str] = set()
    for run in options.forward:
        translator = _translator(run, options)
        known.update(translator.tags)
        found[f"forward {run}"] = forward_scores(translator, _read_by(translator, run, options, sources), pools)
    # Behind a tab stand features, before the text a tag, which none writes.
    words = [untagged(source.partition("\t")[0], tuple(known)) for source in sources]
    for run in options.reverse:
        found[f"reverse {run}"] = reverse_scores(_translator(run, options), words, pools)
    for run in options.language_model:
        found[f"language_model {run}"] = language_scores(load(run, options.device, kind="language_model"), pools)
    return found


def _translator(run: str, options: argparse.Namespace) -> Translator:
    from seq2seq.inference.load import load

    translator = load(run, options.device, kind="translator")
    translator.max_source_tokens = options.max_input_length or translator.max_source_tokens
    return translator


def _read_by(translator: Translator, run: str, options: argparse.Namespace, sources: list[str]) -> list[str]:
    """The sources as that run reads them. Raises UserError, naming the line, where one lacks features or a tag."""
    tags = tags_of(translator, argparse.Namespace(model=run, tag=options.tag))
    numbered = enumerate(sources, 1)
    return [read_by(translator, tags, source, f"{options.source_file}, line {number}") for number, source in numbered]


def default_weights(names: Any) -> dict[str, float]:
    """Of features, by their names."""
    return {name: 0.0 if name == "words" else 1.0 for name in names}


def _rerank(options: argparse.Namespace) -> None:
    from seq2seq.cli.exit_status import quick_imports
    from seq2seq.cli.output_lines import output_lines

    weights = None if options.weights is None else _read_weights(options.weights)
    with quick_imports():
        from seq2seq.inference.outputs import Translation
        from seq2seq.inference.reranking import reranked
    sources, pools = read_pools(options)
    names = ["score", "words", *(f"{kind} {run}" for kind in KINDS for run in getattr(options, kind))]
    chosen = _checked_weights(weights, names, options.weights) if weights is not None else default_weights(names)
    features = features_of(options, sources, pools)
    best = reranked(pools, list(features.values()), [chosen[name] for name in features])
    options.scores = False
    for number, pool in enumerate(best, 1):
        kept = [Translation(each.text, each.score, each.score, []) for each in pool[: options.n_best or 1]]
        sys.stdout.buffer.write(output_lines(number, kept, options).encode("utf-8", errors="replace"))
    sys.stdout.buffer.flush()


def _read_weights(path: Path) -> Mapping[str, Any]:
    from seq2seq.errors import UserError

    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError):
        raise UserError(f"{path}: not JSON of weights by their names, as tools/tune_search.py writes it") from None


def _checked_weights(weights: Mapping[str, Any], names: list[str], path: Path) -> dict[str, float]:
    """The weights of these features. Raises UserError where the file has others, or one is no number."""
    from seq2seq.errors import check

    for name in names:
        check(name in weights, f"{path}: no weight for {name!r}; tune again with the same runs")
    for name, value in weights.items():
        check(name in names, f"{path}: a weight for {name!r}, which is not among the runs given")
        check(WEIGHTS.admits(value), f"{path}: the weight for {name!r} must be {WEIGHTS}")
    return {name: float(value) for name, value in weights.items()}
