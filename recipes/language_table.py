"""Recipes of words in many languages, a model each: a table of what each reaches on held-out words (a module of theirs,
no script)."""

import hashlib
import statistics
import sys
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import seq2seq

HELD_OUT = 12
"""Of so many words of the training file one is kept out of training, to choose the best model."""
QUICK_ROWS = 60

Rows = list[tuple[str, ...]]


@dataclass(frozen=True)
class Config(seq2seq.ExperimentConfig):
    """Choices of these scripts."""

    languages: str = ""
    """Names of languages, with commas; empty: all that the folder has."""

    def named(self, suffix: str, quick: int = 1) -> list[str]:
        """The languages to train, of files NAME + suffix in the folder of the data. quick: how many on a smoke run."""
        there = sorted(path.name.removesuffix(suffix) for path in Path(str(self.data)).glob(f"*{suffix}"))
        seq2seq.check(bool(there), f"{self.data}: no file *{suffix}; give --data DIR")
        names = [name.strip() for name in self.languages.split(",") if name.strip()] if self.languages else there
        seq2seq.check(bool(names), f"languages names none; there are {', '.join(there)}")
        for name in names:
            seq2seq.check(name in there, f"{self.data}: no language '{name}'; there are {', '.join(there)}")
        return names[:quick] if self.quick else names


@dataclass(frozen=True)
class Row:
    """What a language came to, in percent."""

    words: float
    """With an error: where several are right, unlike all of them."""
    symbols: float
    """Edits of symbols per symbol of the nearest right one."""


def read_table(path: Path, columns: int) -> Rows:
    """The rows of a table without a header. Raises UserError, naming the line, at one of other columns, or that is not
    UTF-8."""
    rows = []
    for number, line in enumerate(seq2seq.read_text(path).split("\n"), 1):
        cells = tuple(line.split("\t"))
        seq2seq.check(not line or len(cells) == columns, f"{path}, line {number}: must have {columns} columns")
        seq2seq.check(not line or all(map(str.strip, cells)), f"{path}, line {number}: a column is empty; fill it in")
        rows += [cells] if line else []
    seq2seq.check(bool(rows), f"{path}: has no rows; it needs some, of {columns} columns")
    return rows


def evaluate(config: Config, training: Rows, test: Rows) -> seq2seq.Evaluation | None:
    """Trains on rows, but for some words, and evaluates on those of `test`; None where others do so. Raises UserError
    where the run's folder holds other data."""
    with seq2seq.scratch_output(config, "data") as asked:
        folder = Path(asked.output) / "data"
        write_parts(config, folder, training, test)
        own = replace(config, data=str(folder), languages="")  # a run does not depend on which others are trained
        return seq2seq.run(seq2seq.fit_to_data(own))[1]


def write_parts(config: Config, folder: Path, training: Rows, test: Rows) -> None:
    """Writes the words to train on, those that choose the best model, and those of the figures into the folder. Raises
    UserError where it holds others."""
    folder.mkdir(parents=True, exist_ok=True)
    if config.quick:
        training, test = training[:QUICK_ROWS], test[:QUICK_ROWS]
    word = [name.strip() for name in config.columns.split(",")].index(config.source)
    kept = [row for row in training if is_kept(row[word])]
    parts = {"train": [row for row in training if not is_kept(row[word])], "validation": kept, "test": test}
    for split, rows in parts.items():
        content = "".join("\t".join(row) + "\n" for row in rows)
        seq2seq.write_once(folder / f"{split}.tsv", content)


def is_kept(word: str) -> bool:
    """Whether a word is kept out of training: by a hash, so that neighbours in the alphabet part."""
    return int(hashlib.sha256(word.encode()).hexdigest(), 16) % HELD_OUT == 0


def row_of(evaluation: seq2seq.Evaluation, spaced: bool) -> Row:
    """The figures of a language. spaced: whether symbols have spaces between them; else they are characters."""
    hypotheses, expected = evaluation.hypotheses, evaluation.references
    if not spaced:
        hypotheses = [" ".join(text.replace(" ", "_")) for text in hypotheses]
        expected = [[" ".join(text.replace(" ", "_")) for text in several] for several in expected]
    rates = seq2seq.error_rates(hypotheses, expected)
    return Row(100 - seq2seq.exact_match(evaluation.hypotheses, evaluation.references), rates.token)


def print_table(rows: dict[str, Row]) -> None:
    """A line per language, and the mean of all."""
    for name, row in rows.items():
        print(f"{name}\twords with an error {row.words:.2f} %\tsymbol error rate {row.symbols:.2f} %")
    words, symbols = (
        statistics.fmean(each) for each in zip(*((row.words, row.symbols) for row in rows.values()), strict=True)
    )
    print(f"mean of {len(rows)}\twords with an error {words:.2f} %\tsymbol error rate {symbols:.2f} %")


def by_feature(sources: list[str], evaluation: seq2seq.Evaluation) -> dict[str, tuple[int, int]]:
    """Right answers and all, of each feature of sources with features behind a tab; the most frequent first."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for source, hypothesis, several in zip(sources, evaluation.hypotheses, evaluation.references, strict=True):
        for feature in source.partition("\t")[2].split(";"):
            counts[feature][0] += hypothesis in several
            counts[feature][1] += 1
    ordered = sorted(counts.items(), key=lambda each: -each[1][1])
    return {feature: (right, count) for feature, (right, count) in ordered}


def progress(name: str, row: Row) -> None:
    """Says on stderr that a language is done."""
    print(f"{name}: words with an error {row.words:.2f} %", file=sys.stderr, flush=True)
