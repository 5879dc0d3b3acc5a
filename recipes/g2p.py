"""Grapheme to phoneme: the spelling of a word to its pronunciation, letter by letter (Yao & Zweig 2015).

python recipes/g2p.py --data DIR [--source COLUMN] [--target COLUMN] [--output DIR] [--any.config.field VALUE]

DIR holds train.tsv and validation.tsv with columns word and phonemes, or others that --source and --target name
(ARPAbet; stress digits are dropped, as in the published figures), such as the CMU dictionary. Every 50th word of the
training file is kept out to choose the best model; the figures are those of validation.tsv. A word with several
pronunciations is right when it equals one of them.
"""

import seq2seq

if __name__ == "__main__":
    seq2seq.guard_imports()


import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

HELD_OUT = 50
NOT_GIVEN = "not given"

CONFIG = seq2seq.ExperimentConfig(
    data=NOT_GIVEN,
    source="word",
    target="phonemes",
    vocabulary=seq2seq.VocabularyConfig(model_type="word", joint=False, size=100),
    model=seq2seq.ModelConfig(
        embedding_size=128,
        dropout=0.1,
        tie="two_way",
        encoder=seq2seq.EncoderConfig(hidden_size=192, layers=2),
        decoder=seq2seq.DecoderConfig(hidden_size=256, layers=2, coupling="bottom_up"),
    ),
    batching=seq2seq.BatchingConfig(max_tokens_per_batch=1_500),
    optimizer=seq2seq.OptimizerConfig(learning_rate=0.004, warmup_steps=200),
    trainer=seq2seq.TrainerConfig(epochs=7, best_metric="error_rate"),
)


def prepare(config: seq2seq.ExperimentConfig) -> seq2seq.ExperimentConfig:
    """Writes three splits of spaced letters and lists of pronunciations; returns the configuration for them, unchanged
    where a run's config.json names them already."""
    seq2seq.check(config.data != NOT_GIVEN, "give --data DIR, with train.tsv and validation.tsv of the CMU dictionary")
    given = Path(str(config.data))
    if (given / "test.jsonl").exists() and seq2seq.begun(given.parent):
        return config
    training = pronunciations(config, config.train_split)
    words = {name: dict(held_out(training, name == "validation")) for name in ("train", "validation")}
    words["test"] = pronunciations(config, config.validation_split)
    folder = Path(config.output) / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for split, entries in words.items():
        rows = ({config.source: " ".join(word), config.target: spoken} for word, spoken in entries.items())
        seq2seq.write_once(folder / f"{split}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return replace(config, data=str(folder), train_split="train", validation_split="validation")


def pronunciations(config: seq2seq.ExperimentConfig, split: str) -> dict[str, list[str]]:
    """Each word's pronunciations, without stress, each once, in the order of the file."""
    found: dict[str, list[str]] = defaultdict(list)
    rows = seq2seq.load_split(config, split)
    for row, several in zip(rows, seq2seq.references(rows), strict=True):
        known = found[row["source"]]
        spoken = (re.sub(r"\d", "", each) for each in several)
        known += [each for each in dict.fromkeys(spoken) if each not in known]
    return found


def held_out(words: dict[str, list[str]], wanted: bool) -> Iterator[tuple[str, list[str]]]:
    """The words kept out of training, or the others: by a hash, so that neighbours in the alphabet part."""
    for word, spoken in words.items():
        chosen = int(hashlib.sha256(word.encode()).hexdigest(), 16) % HELD_OUT == 0
        if chosen == wanted:
            yield word, spoken


def report(_config: seq2seq.ExperimentConfig, _translator: seq2seq.Translator, evaluation: seq2seq.Evaluation) -> None:
    """Prints phoneme and word error rate, and some words that went wrong."""
    print(seq2seq.error_rates(evaluation.hypotheses, evaluation.references).describe("phoneme"))
    compared = zip(evaluation.sources, evaluation.hypotheses, evaluation.references, strict=True)
    wrong = [each for each in compared if each[1] not in each[2]][:10]
    for source, hypothesis, accepted in wrong:
        print(f"{source.replace(' ', '')}\t{hypothesis}\tshould be {' or '.join(accepted)}")


if __name__ == "__main__":
    seq2seq.run_recipe(CONFIG, prepare=prepare, report=report)
