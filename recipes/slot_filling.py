"""A request to its slots and its intent: BiLSTM over words and their characters, with a label per word and a class per
sentence (Hakkani-Tür et al. 2016; Liu & Lane 2016).

python recipes/slot_filling.py --data DIR [--output DIR] [--quick] [--any.config.field VALUE]

DIR holds for each split, train, valid and test, three files with a line per request, as ATIS and Snips are published:
SPLIT.seq.in has its words, SPLIT.seq.out a label per word (B-, I-, O), and SPLIT.label its intent. The best model is
chosen on valid, and the figures are those of test; without a test split they are those of valid, and the best model is
chosen on a tenth of train. --model.crf chooses the labels of a request together. Under --quick alone, data may be left
out: a few requests are generated.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Request(NamedTuple):
    """What was said and what it means."""

    text: str
    intent: str
    slots: list[str]
    """A label per word."""


Requests = list[Request]
SPLITS = ("train", "validation", "test")
WANTED = "give --data DIR, a folder with train.seq.in, train.seq.out and train.label"
CLASS_WEIGHT = 4.0
"""Labels that an intent counts as much as in the loss: there are some ten of them in a request."""
FIGURES = ("slot_f1", "intent_accuracy", "accuracy")


@dataclass(frozen=True)
class Config(seq2seq.WordTask):
    """Choices of this script."""

    data: str = ""
    """Folder of the requests."""


CONFIG = Config(
    model=seq2seq.PredictorConfig(
        seq2seq.FrontEndConfig("words", characters=1, word_length=12, word_dropout=0.1),
        size=192,
        dropout=0.25,
        encoder=seq2seq.EncoderConfig(hidden_size=256),
    ),
    batching=seq2seq.BatchingConfig(max_tokens_per_batch=600),
    optimizer=seq2seq.OptimizerConfig(learning_rate=0.004, warmup_steps=50),
    trainer=seq2seq.TrainerConfig(epochs=15, best_metric="accuracy", average_decay=0.99),
    reader=seq2seq.ReaderConfig("words"),
)


def read(config: Config) -> tuple[Requests, Requests, Requests]:
    """Requests to train on, to choose the best model on, and to test on."""
    if not config.data:
        seq2seq.check(config.quick, WANTED)
        made = [Request(f"fly to {city}", "fly", ["O", "O", "B-city"]) for city in "abcdefgh"]
        made += [Request(f"play {song} again", "play", ["O", "B-song", "O"]) for song in "abcdefgh"]
        return made * 8, made, made
    folder = Path(config.data)
    wrong = "a file, not a folder" if folder.exists() else "no such folder"
    seq2seq.check(folder.is_dir(), f"{folder}: {wrong}; {WANTED}")
    found = {split: rows for split in SPLITS if (rows := seq2seq.find_slots(folder, split)) is not None}
    known = "train" in found and len(found) > 1
    seq2seq.check(known, f"{config.data}: must hold train.seq.in, and test.seq.in or valid.seq.in")
    parts = seq2seq.three_parts(found, config.trainer.seed, 256 if config.quick else 10**9)
    training, validation, test = ([request(row.source, row.target) for row in rows] for rows in parts)
    return training, validation, test


def request(text: str, target: str) -> Request:
    """target: the intent, then the labels."""
    intent, *slots = target.split()
    return Request(text, intent, slots)


def figures_of(predictor: seq2seq.Predictor, requests: Requests) -> dict[str, float]:
    """Slot F1, accuracy of intents, and of whole requests, all in percent."""
    found = predictor.answer([each.text for each in requests])
    pairs = list(zip(found, requests, strict=True))
    slot_f1 = seq2seq.span_f1([each.labels for each in found], [each.slots for each in requests])
    intents, whole = (
        100 * float(np.mean(right))
        for right in ([one.name == each.intent for one, each in pairs], [one[:2] == each[1:] for one, each in pairs])
    )
    return dict(zip(FIGURES, (slot_f1, intents, whole), strict=True))


def main(config: Config) -> None:
    """Trains and prints the figures."""
    training, validation, test = read(config)
    slots = sorted({slot for each in training for slot in each.slots})
    intents = sorted({each.intent for each in training})
    config, vocabulary = seq2seq.learn_words(config, (each.text for each in training), config.vocabulary_size)
    config = replace(config, model=replace(config.model, outputs=len(slots + intents), classes=len(intents)))

    def encode(requests: Requests) -> list[tuple[np.ndarray, np.ndarray]]:
        reading = config.reader, config.model.front_end
        return [(seq2seq.read_source(*reading, each.text, vocabulary), ids(each)) for each in requests]

    def ids(each: Request) -> np.ndarray:
        """[S, 2] slots and, beside each, the intent."""
        intent = intents.index(each.intent)
        return np.array([(slots.index(slot), intent) for slot in each.slots])

    def known(each: Request) -> bool:
        """Whether the loss can be computed; figures count all requests."""
        return each.intent in intents and set(each.slots) <= set(slots)

    of_validation = cache(lambda predictor: figures_of(predictor, validation))
    figures = {name: lambda each, name=name: of_validation(each)[name] for name in FIGURES}
    judged = [each for each in validation if known(each)]
    unknown = "no request to choose the best model on has an intent and labels that are trained on; add some"
    seq2seq.check(bool(judged), f"{config.data}: {unknown}")
    parts = encode(training), encode(judged)
    objective = seq2seq.labelling_and_classification(len(intents), CLASS_WEIGHT)
    predictor = seq2seq.train_predictor(config, *parts, objective, figures, vocabulary, slots + intents)
    seq2seq.end_other_processes()
    found = figures_of(predictor, test)
    print(
        f"slot F1 {found['slot_f1']:.2f} %, intent accuracy {found['intent_accuracy']:.2f} %, whole requests right "
        f"{found['accuracy']:.2f} % of {len(test):,}"
    )


if __name__ == "__main__":
    seq2seq.run_task(CONFIG, main)
