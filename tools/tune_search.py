#!/usr/bin/env python3
"""Finds the weights of `seq2seq rerank` on validation data, and writes them as JSON on standard output.

    seq2seq translate RUN --n-best 20 validation.en > nbest.tsv
    tools/tune_search.py nbest.tsv --source-file validation.en --forward R2L --reverse BACK --references validation.de \
        > weights.json
    seq2seq rerank nbest.tsv --source-file validation.en --forward R2L --reverse BACK --weights weights.json

The weights are those of the highest BLEU (or chrF) of the best outputs, found coordinate by coordinate. Figures before
and after go to standard error; those after are of the data that was tuned on: score other data with them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from seq2seq.cli.arguments import Parser, path_named
from seq2seq.cli.exit_status import guarded
from seq2seq.cli.lines import file_lines
from seq2seq.cli.rerank import add_rerank_options, default_weights, features_of, read_pools
from seq2seq.errors import check
from seq2seq.evaluation.metrics import bleu, chrf
from seq2seq.evaluation.weight_search import search_weights
from seq2seq.inference.reranking import Pools, reranked


def parser() -> Parser:
    """The options."""
    parse = Parser(description=(__doc__ or "").split("\n\n")[0])
    add_rerank_options(parse)
    parse.add_argument(
        "--references", type=path_named, nargs="+", required=True, metavar="FILE", help="expected texts, line by line"
    )
    parse.add_argument("--metric", choices=("bleu", "chrf"), default="bleu", help="what to raise (default: bleu)")
    parse.add_argument("--bleu-tokenizer", default="", metavar="NAME", help="sacreBLEU's tokenizer (default: 13a)")
    return parse


def tuned(
    pools: Pools,
    features: dict[str, list[list[float]]],
    references: Sequence[Sequence[str]],
    metric: str,
    tokenizer: str = "",
) -> dict[str, float]:
    """The weights of the features, by their names."""
    values, begin = list(features.values()), default_weights(features)

    def score(weights: Sequence[float]) -> float:
        best = [pool[0].text for pool in reranked(pools, values, weights)]
        return bleu(best, references, "", tokenizer) if metric == "bleu" else chrf(best, references)

    first = {name: float(name == "score") for name in features}
    signs = [name == "words" for name in features]
    found = [search_weights(list(start.values()), score, signs) for start in (first, begin)]
    weights, highest = max(found, key=lambda each: each[1])
    print(f"{metric} {score(list(first.values())):.2f} in the search's order, {highest:.2f} anew", file=sys.stderr)
    return dict(zip(features, weights, strict=True))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 2 where the input is at fault."""

    def work() -> None:
        options = parser().parse_args(arguments)
        sources, pools = read_pools(options)
        streams = [file_lines(path, "references") for path in options.references]
        for path, lines in zip(options.references, streams, strict=True):
            check(len(lines) == len(sources), f"{path} has {len(lines)} lines, {options.source_file} {len(sources)}")
        features = features_of(options, sources, pools)
        references = [list(lines) for lines in zip(*streams, strict=True)]
        print(json.dumps(tuned(pools, features, references, options.metric, options.bleu_tokenizer), indent=1))

    return guarded("tune_search.py", work)


if __name__ == "__main__":
    sys.exit(main())
