"""Spelling to pronunciation in many languages, a model each (SIGMORPHON 2020, task 1: Gorman et al. 2020).

python recipes/g2p_languages.py --data DIR [--languages fre,ice] [--output DIR] [--any.config.field VALUE]

DIR holds LNG_train.tsv and LNG_dev.tsv for each language: a word, a tab, its sounds with spaces between them. Every
12th word of the training file is kept out to choose the best model; the figures are those of LNG_dev.tsv. Sizes and
length of training are chosen by the size of the data, as `seq2seq train` does it. Each language's run lies in a folder
of its own, and is taken up again where it was interrupted.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from dataclasses import replace
from pathlib import Path

from language_table import Config, evaluate, print_table, progress, read_table, row_of

CONFIG = Config(
    data="not given",
    source="word",
    target="sounds",
    columns="word,sounds",
    source_units="characters",
    target_units="symbols",
    vocabulary=seq2seq.VocabularyConfig(joint=False),
    model=seq2seq.ModelConfig(tie="two_way"),
)


def main(config: Config) -> None:
    """Trains each language and prints the table."""
    rows, folder = {}, Path(str(config.data))
    for name in config.named("_train.tsv"):
        training, test = (read_table(folder / f"{name}_{part}.tsv", 2) for part in ("train", "dev"))
        evaluation = evaluate(replace(config, output=str(Path(config.output) / name)), training, test)
        if evaluation is not None:
            rows[name] = row_of(evaluation, spaced=True)
            progress(name, rows[name])
    if rows:
        print_table(rows)


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
