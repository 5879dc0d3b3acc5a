#!/usr/bin/env python3
"""Compares ways to decode: a Markdown table of BLEU, chrF and the share of outputs that a way changes.

    tools/decoding_table.py RUN --data DIR [--split validation] [--rows 200] [--only NAME...] [--time]

Every way is compared with the plain beam of the run's own width. With --time each translates the split once more, and
sentences per second are a column: on a machine where nothing else runs. The terminology is made of the training split:
words of both sides, each once, that stand most surely together (Dice), 200 of them.
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seq2seq.cli.arguments import Parser, named, number_within, path_named
from seq2seq.cli.exit_status import guarded
from seq2seq.config import COUNTS, read_mapping
from seq2seq.data.corpus import DataConfig, load_split, references
from seq2seq.errors import check
from seq2seq.evaluation.metrics import bleu, chrf
from seq2seq.inference.load import load
from seq2seq.inference.translator import Translator
from seq2seq.runs.layout import CONFIG_FILE
from seq2seq.runtime.device import prepare_process

TERMS, SEEN = 200, 10
"""Entries of the terminology, and how often the words of an entry must stand together."""
GNMT = {"length_penalty_kind": "gnmt", "length_penalty": 1.0}
SAMPLED = {"sampling": "ancestral", "seed": 1}

WAYS: dict[str, dict[str, Any]] = {
    "plain beam": {},
    "greedy": {"beam_size": 1},
    "beam 10": {"beam_size": 10},
    "--length-penalty 0 --length-reward 0.5, beam 10": {"length_penalty": 0.0, "length_reward": 0.5, "beam_size": 10},
    "--length-penalty-kind gnmt, beam 10": {**GNMT, "beam_size": 10},
    "--length-penalty-kind gnmt --coverage-penalty 0.2, beam 10": {**GNMT, "coverage_penalty": 0.2, "beam_size": 10},
    "--min-length 12": {"min_length": 12},
    "--no-repeat-ngram 3": {"no_repeat_ngram": 3},
    "--no-unknown": {"no_unknown": True},
    "--ban: the 10 most frequent words of the training targets": {"ban": 10},
    "--prefixes: the first 5 characters of the references": {"prefixes": 5},
    "--terminology: 200 entries of the training data": {"terminology": TERMS},
    "the same, beam 10": {"terminology": TERMS, "beam_size": 10},
    "--beam-groups 5 --diversity 0.5, beam 10": {"beam_groups": 5, "diversity": 0.5, "beam_size": 10},
    "--sampling ancestral": SAMPLED,
    "--sampling ancestral --temperature 0.5": {**SAMPLED, "temperature": 0.5},
    "--sampling ancestral --top-k 10": {**SAMPLED, "top_k": 10},
    "--sampling ancestral --top-p 0.7": {**SAMPLED, "top_p": 0.7},
    "--sampling without_replacement": {"sampling": "without_replacement", "seed": 1},
    "--mbr chrf, beam 20": {"mbr": "chrf", "beam_size": 20},
    "--mbr bleu, beam 20": {"mbr": "bleu", "beam_size": 20},
    "--mbr chrf --sampling ancestral --candidates 50": {**SAMPLED, "mbr": "chrf", "candidates": 50},
    "--mbr bleu --sampling ancestral --candidates 50": {**SAMPLED, "mbr": "bleu", "candidates": 50},
    "--mbr chrf --sampling ancestral --temperature 0.5 --candidates 50": {
        **SAMPLED,
        "temperature": 0.5,
        "mbr": "chrf",
        "candidates": 50,
    },
}


def parser() -> Parser:
    """The options."""
    parse = Parser(description=(__doc__ or "").split("\n\n")[0])
    parse.add_argument("run_directory", metavar="RUN", type=path_named, help="run directory of a translator")
    parse.add_argument("--data", type=named, required=True, help="data set, as seq2seq evaluate takes it")
    parse.add_argument("--split", type=named, default="validation", help="split to translate (default: validation)")
    parse.add_argument("--rows", type=number_within(COUNTS), help="translate the first so many only (default: all)")
    parse.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="ways that hold one of these texts")
    parse.add_argument("--time", action="store_true", help="a column of sentences per second")
    return parse


def terminology_of(sources: Sequence[str], targets: Sequence[str]) -> dict[str, str]:
    """Words of the sources with capitalised words of the targets that stand with them, the surest first."""
    pairs: Counter[tuple[str, str]] = Counter()
    counts: Counter[tuple[int, str]] = Counter()
    for source, target in zip(sources, targets, strict=True):
        left, right = set(re.findall(r"\b[a-z]+\b", source)), set(re.findall(r"\b[A-ZÄÖÜ][a-zäöüß]+\b", target))
        counts.update([*((0, word) for word in left), *((1, word) for word in right)])
        pairs.update((one, two) for one in left for two in right)
    dice = {
        (one, two): 2 * count / (counts[0, one] + counts[1, two])
        for (one, two), count in pairs.items()
        if count >= SEEN
    }
    terms: dict[str, str] = {}
    for one, two in sorted(dice, key=lambda pair: (-dice[pair], pair)):
        if one not in terms and two not in terms.values() and len(terms) < TERMS:
            terms[one] = two
    return terms


def frequent_words(texts: Sequence[str], count: int) -> list[str]:
    """The most frequent words."""
    words = Counter(word for text in texts for word in re.findall(r"\w+", text))
    return [word for word, _ in words.most_common(count)]


def settings_of(way: dict[str, Any], train: Any, lines: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The options of a search: what stands for texts in `WAYS` made of the data."""
    settings = dict(way)
    if "ban" in way:
        settings["ban"] = frequent_words([each[0] for each in references(train)], way["ban"])
    if "prefixes" in way:
        settings["prefixes"] = [each[0][: way["prefixes"]] for each in lines]
    if "terminology" in way:
        settings["terminology"] = terminology_of(train["source"], [each[0] for each in references(train)])
    return settings


def satisfied(sources: Sequence[str], outputs: Sequence[str], terms: dict[str, str]) -> str:
    """How many of the terms asked for stand in the outputs."""
    asked = [
        terms[word] in output
        for source, output in zip(sources, outputs, strict=True)
        for word in set(re.findall(r"\w+", source)) & terms.keys()
    ]
    return f" ({sum(asked)} of {len(asked)} terms)"


def compare(translator: Translator, config: DataConfig, options: Any) -> None:
    """Prints the table row by row."""
    split, train = load_split(config, options.split), load_split(config, config.train_split)
    sources, lines = [row["source"] for row in split][: options.rows], references(split)[: options.rows]
    timed = " sentences/s |" if options.time else ""
    print(f"| way | BLEU | chrF | changed |{timed}\n|---|---|---|---|{'---|' if timed else ''}", flush=True)
    plain = [best[0].text for best in translator.search(sources)]
    for name, way in WAYS.items():
        if options.only and not any(text in name for text in options.only):
            continue
        settings = settings_of(way, train, lines)
        began = time.perf_counter()
        outputs = [best[0].text for best in translator.search(sources, **settings)]
        speed = len(sources) / (time.perf_counter() - began)
        changed = sum(one != two for one, two in zip(outputs, plain, strict=True)) / len(plain)
        note = satisfied(sources, outputs, settings["terminology"]) if "terminology" in settings else ""
        figures = f"{bleu(outputs, lines, config.target):.2f} | {chrf(outputs, lines):.2f} | {changed:.1%}"
        print(f"| {name}{note} | {figures} |{f' {speed:,.0f} |' if timed else ''}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 2 where the input is at fault."""

    def work() -> None:
        options = parser().parse_args(arguments)
        stored = read_mapping(Path(options.run_directory) / CONFIG_FILE)
        check("source" in stored, f"{options.run_directory}: not the run of a translator")
        prepare_process()
        config = DataConfig(data=options.data, source=stored["source"], target=stored["target"])
        compare(load(options.run_directory, kind="translator"), config, options)

    return guarded("decoding_table.py", work)


if __name__ == "__main__":
    sys.exit(main())
