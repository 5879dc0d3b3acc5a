"""A sentence to its class: BiLSTM over words and their characters (question types, opinions).

python recipes/text_classification.py --data DIR_OR_HUB_ID [--text COLUMN] [--label COLUMN] [--output DIR] [--quick]

DIR holds train.txt and test.txt with a line per sentence: its label, a space, its words with spaces between them, as
TREC's questions (of DESC:manner the label is DESC) and the Stanford Sentiment Treebank's sentences have it; or it is a
data set with a column of texts and one of labels. The best model is chosen on the split validation; where there is
none, on a tenth of train. Without a test split, the figures are validation's, and the choice is by a tenth of train.
Under --quick alone, data may be left out: two words are told apart.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

Examples = list[tuple[str, str]]
"""Texts and their labels."""
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Config(seq2seq.WordTask):
    """Choices of this script."""

    data: str = ""
    """Folder or Hub id."""
    text: str = "text"
    """Column of the texts."""
    label: str = "label"
    """Column of the labels."""


CONFIG = Config(
    model=seq2seq.PredictorConfig(
        seq2seq.FrontEndConfig("words", characters=1, character_size=64, word_dropout=0.1),
        size=192,
        dropout=0.25,
        encoder=seq2seq.EncoderConfig(hidden_size=128),
        answer="max",
    ),
    batching=seq2seq.BatchingConfig(max_tokens_per_batch=600),
    optimizer=seq2seq.OptimizerConfig(learning_rate=0.003, warmup_steps=50),
    trainer=seq2seq.TrainerConfig(epochs=12, best_metric="accuracy", average_decay=0.99),
    reader=seq2seq.ReaderConfig("words"),
)


def read(config: Config) -> tuple[Examples, Examples, Examples]:
    """Examples to train on, to choose the best model on, and to test on."""
    if not config.data:
        seq2seq.check(config.quick, "give --data DIR_OR_HUB_ID, such as a folder with TREC's train.txt and test.txt")
        made = [(f"the {thing} was {word}", word) for thing in "abcdefgh" for word in ("good", "bad")]
        return made * 8, made, made
    found = {split: part for split in SPLITS if (part := examples(config, split)) is not None}
    known = "train" in found and len(found) > 1
    seq2seq.check(known, f"{config.data}: must hold train.txt, and test.txt or validation.txt")
    return seq2seq.three_parts(found, config.trainer.seed, 256 if config.quick else 10**9)


def examples(config: Config, split: str) -> Examples | None:
    """A split; None where there is none."""
    folder = Path(config.data)
    rows = seq2seq.find_labelled_texts(folder, split)
    if rows is not None:
        return [(row.source, row.target) for row in rows]
    if (folder / "train.txt").is_file():
        return None
    if split != "train" and split not in seq2seq.open_any(config.data, "train").info.splits:
        return None
    return columns(config, split)


def columns(config: Config, split: str) -> Examples:
    """A split of a data set; labels by their names."""
    wanted = (
        f"train.txt and test.txt, or train and test files (jsonl, csv) with columns {config.text} and {config.label}"
    )
    dataset: Any = seq2seq.open_any(config.data, split, wanted)
    for name in (config.text, config.label):
        known = f"the columns are {', '.join(dataset.column_names)}; give {wanted}"
        seq2seq.check(name in dataset.column_names, f"{config.data}: no column '{name}'; {known}")
    names = getattr(dataset.features[config.label], "names", None)
    refuse_hidden_labels(dataset[config.label], names, f"{config.data}, split {split}")
    for row, text in enumerate(dataset[config.text], 1):
        fits, kind = isinstance(text, str) and bool(text.strip()), type(text).__name__
        seq2seq.check(fits, f"{config.data}, split {split}, row {row}: '{config.text}' must hold a text, not {kind}")
    labels = [names[label] if names else str(label) for label in dataset[config.label]]
    return list(zip(dataset[config.text], labels, strict=True))


def refuse_hidden_labels(labels: Iterable[Any], names: list[str] | None, place: str) -> None:
    """Published test sets often have -1 or null for each label; as an index, -1 would be the last class."""
    for row, label in enumerate(labels, 1):
        known = label is not None and (names is None or label >= 0)
        seq2seq.check(
            known, f"{place}, row {row}: the label is hidden ({label}); give data whose splits all have labels"
        )
        named = isinstance(label, str | int)
        seq2seq.check(named, f"{place}, row {row}: a label must be a name or a whole number, not {label!s:.40}")


def print_baselines(training: Examples, test: Examples) -> None:
    """Accuracy of the most frequent class, and of a linear model that sees words without their order."""
    from sklearn.dummy import DummyClassifier
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    for name, model in (("most frequent class", DummyClassifier()), ("bag of words", LogisticRegression(max_iter=500))):
        fitted = make_pipeline(CountVectorizer(token_pattern=r"\S+"), model).fit(*zip(*training, strict=True))
        print(f"{name:<20} {100 * fitted.score(*zip(*test, strict=True)):.2f} % of {len(test):,}")


def main(config: Config) -> None:
    """Trains, and prints accuracies beside those of simpler models."""
    training, *others = read(config)
    labels = sorted({label for _, label in training})
    seq2seq.check(len(labels) > 1, f"{config.data}: texts to train on need two labels at least, not {len(labels)}")
    validation, test = ([each for each in examples if each[1] in labels] for examples in others)
    purposes = "to choose the best model on", "to test on"
    for purpose, kept, given in zip(purposes, (validation, test), others, strict=True):
        problem = f"none of the {len(given)} texts {purpose} has a class that is trained on ({', '.join(labels[:9])})"
        seq2seq.check(bool(kept), f"{config.data}: {problem}; add some")
        if len(kept) < len(given):
            print(f"left out {purpose}, of classes not trained on: {len(given) - len(kept)}", file=sys.stderr)
    config, vocabulary = seq2seq.learn_words(config, (text for text, _ in training), config.vocabulary_size)
    config = replace(config, model=replace(config.model, outputs=len(labels)))

    def encode(examples: Examples) -> list[tuple[np.ndarray, np.ndarray]]:
        reading = config.reader, config.model.front_end
        return [
            (seq2seq.read_source(*reading, text, vocabulary), np.array(labels.index(label))) for text, label in examples
        ]

    def accuracy(predictor: seq2seq.Predictor, examples: Examples) -> float:
        found = predictor.classify([text for text, _ in examples])
        return 100 * float(np.mean([one == label for one, (_, label) in zip(found, examples, strict=True)]))

    objective = seq2seq.classification()
    figures = {"accuracy": lambda each: accuracy(each, validation)}
    parts = encode(training), encode(validation)
    predictor = seq2seq.train_predictor(config, *parts, objective, figures, vocabulary, labels)
    seq2seq.end_other_processes()
    print_baselines(training, test)
    print(f"{'BiLSTM':<20} {accuracy(predictor, test):.2f} % of {len(test):,}")


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
