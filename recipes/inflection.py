"""Inflection in many languages, a model each: a lemma and features to a form (SIGMORPHON 2023, part 1: Goldman et al.).

python recipes/inflection.py --data DIR [--languages deu,tur] [--output DIR] [--any.config.field VALUE]

DIR holds LNG.trn and LNG.dev for each language: lemma, features with ; between them, and form, with tabs. Every 12th
lemma of the training file is kept out to choose the best model; the figures are those of LNG.dev, whose lemmas are new.
Sizes and length of training are chosen by the size of the data, as `seq2seq train` does it. Each language's run lies in
a folder of its own, and is taken up again where it was interrupted.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from dataclasses import replace
from pathlib import Path

from language_table import Config, by_feature, evaluate, print_table, progress, read_table, row_of

MOST_FEATURES = 8
"""Of a language, the most frequent: those that are printed."""

CONFIG = Config(
    data="not given",
    source="lemma",
    target="form",
    columns="lemma,features,form",
    features="features",
    source_units="characters",
    target_units="characters",
    model=seq2seq.ModelConfig(tie="two_way"),
)


def main(config: Config) -> None:
    """Trains each language, prints the table, and accuracy by feature."""
    rows, folder = {}, Path(str(config.data))
    given = {
        name: [read_table(folder / f"{name}.{part}", 3) for part in ("trn", "dev")] for name in config.named(".trn")
    }
    for name, (training, test) in given.items():
        evaluation = evaluate(replace(config, output=str(Path(config.output) / name)), training, test)
        if evaluation is None:
            continue
        rows[name] = row_of(evaluation, spaced=False)
        progress(name, rows[name])
        for feature, (right, count) in list(by_feature(evaluation.sources, evaluation).items())[:MOST_FEATURES]:
            print(f"{name}\t{feature}\tright {100 * right / count:.1f} % of {count:,}")
    if rows:
        print_table(rows)


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
