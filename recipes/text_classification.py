"""A sentence to its class: BiLSTM over subwords, with each way of pooling its states.

python recipes/text_classification.py [--data DIR_OR_HUB_ID] [--text COLUMN] [--label COLUMN] [--output DIR] [--quick]

Any data set with a column of text and one of labels, in splits train and test (validation is taken where there is one,
else a tenth of train). Without --data: guests' remarks on hotels, generated here, whose class is what the guest thinks
in the end. Negations, turns ("... but ...") and who says it decide, so that the words alone do not tell.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Examples = list[tuple[str, str]]
"""Texts and their labels."""

POOLINGS: tuple[seq2seq.Pooling, ...] = ("mean", "max", "last")
GOOD = ["clean", "quiet", "friendly", "spacious", "bright", "cheap", "cosy", "fast"]
BAD = ["dirty", "noisy", "rude", "cramped", "dark", "expensive", "cold", "slow"]
THINGS = ["room", "staff", "breakfast", "bathroom", "lobby", "lift", "garden", "bar"]
OTHERS = ["my sister", "the man next door", "a colleague", "the leaflet"]


@dataclass(frozen=True)
class Config(seq2seq.PredictorTask):
    """Choices of this script."""

    data: str = ""
    """Hub id or folder; empty: generated remarks."""
    text: str = "text"
    """Column of the texts."""
    label: str = "label"
    """Column of the labels."""
    vocabulary_size: int = 4_000
    """Subwords at most."""
    generated: int = 8_000
    """Remarks generated where no data is given; an eighth of them is for validation, another for the test."""

    def __post_init__(self) -> None:
        super().__post_init__()
        seq2seq.check_numbers(self, "", vocabulary_size=seq2seq.Whole(8, 1_000_000), generated=seq2seq.COUNTS)


CONFIG = Config(
    model=seq2seq.PredictorConfig(size=64, dropout=0.2, encoder=seq2seq.EncoderConfig(hidden_size=64)),
    batching=seq2seq.BatchingConfig(max_tokens_per_batch=2_000),
    optimizer=seq2seq.OptimizerConfig(learning_rate=0.003, warmup_steps=50),
    trainer=seq2seq.TrainerConfig(epochs=6, best_metric="accuracy", average_decay=0.98),
    reader=seq2seq.ReaderConfig("subwords"),
)


def remarks(count: int, seed: int) -> Examples:
    """Generated remarks and what the guest thinks: pleased, displeased or undecided."""
    random = np.random.default_rng(seed)

    def pick(words: list[str]) -> str:
        return words[random.integers(len(words))]

    def opinion(good: bool) -> str:
        turned = random.random() < 0.5
        word = pick(BAD if good == turned else GOOD)
        return f"the {pick(THINGS)} was {pick(['not', 'never', 'hardly']) + ' ' if turned else ''}{word}"

    made = []
    for _ in range(count):
        good = bool(random.integers(2))
        first, second, third = opinion(good), opinion(not good), opinion(bool(random.integers(2)))
        label = "pleased" if good else "displeased"
        form = random.integers(5)
        if form == 0:
            made.append((f"{first} and {opinion(good)}", label))
        elif form == 1:
            made.append((f"{second} , but in the end {first}", label))
        elif form == 2:
            made.append((f"{first} , even though {second}", label))
        elif form == 3:
            made.append((f"{pick(OTHERS)} says that {third} , yet i think {first}", label))
        else:
            made.append((f"one day {first} , the next day {second}", "undecided"))
    return made


def read(config: Config) -> tuple[Examples, Examples, Examples]:
    """Training, validation and test examples."""
    if not config.data:
        count = config.count(config.generated, quick=256)
        made = list(dict.fromkeys(remarks(count, seed=1)))
        eighth = len(made) // 8
        return made[2 * eighth :], made[:eighth], made[eighth : 2 * eighth]
    training, test = (columns(config, split) for split in ("train", "test"))
    if "validation" in seq2seq.open_any(config.data, "train").info.splits:
        return training, columns(config, "validation"), test
    return training[len(training) // 10 :], training[: len(training) // 10], test


def columns(config: Config, split: str) -> Examples:
    """A split of a data set, shuffled; labels by their names."""
    wanted = f"a folder of train and test files (jsonl, csv, parquet) with the columns {config.text} and {config.label}"
    dataset: Any = seq2seq.open_any(config.data, split, wanted)
    for name in (config.text, config.label):
        known = f"the columns are {', '.join(dataset.column_names)}; give {wanted}"
        seq2seq.check(name in dataset.column_names, f"{config.data}: no column '{name}'; {known}")
    names = getattr(dataset.features[config.label], "names", None)
    refuse_hidden_labels(dataset[config.label], names, f"{config.data}, split {split}")
    dataset = dataset.shuffle(seed=config.trainer.seed)
    if config.quick:
        dataset = dataset.take(min(256, len(dataset)))
    labels = [names[label] if names else str(label) for label in dataset[config.label]]
    return list(zip(dataset[config.text], labels, strict=True))


def refuse_hidden_labels(labels: Iterable[Any], names: list[str] | None, place: str) -> None:
    """Published test sets often have -1 or null for each label; as an index, -1 would be the last class."""
    for row, label in enumerate(labels, 1):
        known = label is not None and (names is None or label >= 0)
        seq2seq.check(
            known, f"{place}, row {row}: the label is hidden ({label}); give data whose splits all have labels"
        )


def print_baselines(training: Examples, test: Examples) -> None:
    """Accuracy of the most frequent class, and of a linear model that sees words without their order."""
    from sklearn.dummy import DummyClassifier
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    for name, model in (("most frequent class", DummyClassifier()), ("bag of words", LogisticRegression(max_iter=500))):
        fitted = make_pipeline(CountVectorizer(), model).fit(*zip(*training, strict=True))
        print(f"{name:<20} {100 * fitted.score(*zip(*test, strict=True)):.2f} % of {len(test):,}")


def main(config: Config) -> None:
    """Trains a model per way of pooling, and prints accuracies beside that of the most frequent class."""
    training, *others = read(config)
    labels = sorted({label for _, label in training})
    validation, test = ([each for each in examples if each[1] in labels] for examples in others)
    settings = seq2seq.VocabularyConfig(size=config.vocabulary_size, byte_fallback=False)
    vocabulary = seq2seq.Vocabulary.train((text for text, _ in training), settings, config.trainer.seed)

    def encode(examples: Examples) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(seq2seq.text_ids(vocabulary, text), np.array(labels.index(label))) for text, label in examples]

    def accuracy(predictor: seq2seq.Predictor, examples: list[tuple[np.ndarray, np.ndarray]]) -> float:
        found = predictor.classify([ids for ids, _ in examples])
        return 100 * float(np.mean([int(one) == int(label) for one, (_, label) in zip(found, examples, strict=True)]))

    held_out, tested = encode(validation), encode(test)
    front_end = seq2seq.FrontEndConfig("tokens", len(vocabulary))
    model = replace(config.model, front_end=front_end, outputs=len(labels))
    variants: dict[str, Config] = {
        pooling: replace(config, model=replace(model, answer=pooling)) for pooling in POOLINGS
    }
    figures = {"accuracy": lambda each: accuracy(each, held_out)}

    def train(_name: str, variant: Config) -> seq2seq.Predictor:
        objective = seq2seq.classification()
        return seq2seq.train_predictor(variant, encode(training), held_out, objective, figures, vocabulary, labels)

    predictors = seq2seq.train_variants(variants, train)
    print_baselines(training, test)
    for pooling, predictor in predictors.items():
        print(f"{f'BiLSTM, {pooling}':<20} {accuracy(predictor, tested):.2f} %")


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
