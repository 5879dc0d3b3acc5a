"""Spelling to pronunciation in many languages, a model each or one for all (SIGMORPHON 2020: Gorman et al. 2020).

python recipes/g2p_languages.py --data DIR [--languages fre,ice] [--multilingual] [--output DIR]
    [--any.config.field VALUE]

DIR holds LNG_train.tsv and LNG_dev.tsv for each language: a word, a tab, its sounds with spaces between them. Every
12th word of the training file is kept out to choose the best model; the figures are those of LNG_dev.tsv. Sizes and
length of training are chosen by the size of the data, as `seq2seq train` does it. Each language's run lies in a folder
of its own, and is taken up again where it was interrupted. One model for all reads words behind their language's tag:
<fre> bonjour; languages of other sizes are drawn by mixing_temperature.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from dataclasses import dataclass, replace
from pathlib import Path

import language_table
from language_table import Row, Rows, evaluate, print_table, progress, read_table, row_of, write_parts


@dataclass(frozen=True)
class Config(language_table.Config):
    """Choices of this script."""

    multilingual: bool = False
    """One model for all languages, each of which has a tag."""


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
    """Trains each language, or one model of all, and prints the table."""
    rows = one_for_all(config) if config.multilingual else one_each(config)
    if rows:
        print_table(rows)


def one_each(config: Config) -> dict[str, Row]:
    """The figures of each language's own model."""
    rows = {}
    given = {name: tables(config, name) for name in config.named("_train.tsv")}
    for name, (training, test) in given.items():
        evaluation = evaluate(replace(config, output=str(Path(config.output) / name)), training, test)
        if evaluation is not None:
            rows[name] = row_of(evaluation, spaced=True)
            progress(name, rows[name])
    return rows


def one_for_all(config: Config) -> dict[str, Row]:
    """The figures of each language, of one model that reads words behind the tag of theirs."""
    own = replace(config, languages="", output=str(Path(config.output) / "multilingual"))
    given = {name: tables(config, name) for name in config.named("_train.tsv", quick=2)}
    with seq2seq.scratch_output(own, "data") as asked:
        folder = Path(asked.output) / "data"
        for name, (training, test) in given.items():
            write_parts(config, folder / name, training, test)
        corpora = [seq2seq.CorpusConfig(folder / name, tag=f"<{name}>") for name in given]
        evaluation = seq2seq.run(seq2seq.fit_to_data(replace(own, data=corpora)))[1]
    return {} if evaluation is None else {name: row_of(of_language(evaluation, name), spaced=True) for name in given}


def tables(config: Config, name: str) -> tuple[Rows, Rows]:
    """The words of a language that are there to train on, and those of the figures."""
    training, test = (read_table(Path(str(config.data)) / f"{name}_{part}.tsv", 2) for part in ("train", "dev"))
    return training, test


def of_language(evaluation: seq2seq.Evaluation, name: str) -> seq2seq.Evaluation:
    """What of an evaluation is of words behind that language's tag."""
    own = [row for row, source in enumerate(evaluation.sources) if source.startswith(f"<{name}> ")]
    return replace(
        evaluation,
        sources=[evaluation.sources[row] for row in own],
        references=[evaluation.references[row] for row in own],
        translations=[evaluation.translations[row] for row in own],
    )


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
