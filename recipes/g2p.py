"""Grapheme to phoneme: the spelling of a word to its pronunciation, letter by letter (Yao & Zweig 2015).

python recipes/g2p.py --data DIR [--source COLUMN] [--target COLUMN] [--output DIR] [--any.config.field VALUE]

DIR holds train.tsv and validation.tsv with columns word and phonemes, or others that --source and --target name
(ARPAbet; stress digits are dropped, as in the published figures), such as the CMU dictionary. Every 50th word of the
training file is kept out to choose the best model; the figures are those of validation.tsv. A word with several
pronunciations is right when it equals one of them.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from seq2seq.cli import script
from seq2seq.data.bucketing import BatchingConfig
from seq2seq.data.corpus import load_split, references
from seq2seq.data.vocabulary import VocabularyConfig
from seq2seq.errors import check
from seq2seq.evaluation.error_rates import error_rates
from seq2seq.inference.translator import Translator
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.seq2seq import ModelConfig
from seq2seq.runs.layout import CONFIG_FILE
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.evaluate import Evaluation
from seq2seq.training.config import TrainerConfig
from seq2seq.training.optimizer import OptimizerConfig

HELD_OUT = 50
NOT_GIVEN = "not given"

CONFIG = ExperimentConfig(
    data=NOT_GIVEN,
    source="word",
    target="phonemes",
    vocabulary=VocabularyConfig(model_type="word", joint=False, size=100),
    model=ModelConfig(
        embedding_size=128,
        dropout=0.1,
        tie="two_way",
        encoder=EncoderConfig(hidden_size=192, layers=1),
        decoder=DecoderConfig(hidden_size=256, layers=2, coupling="bottom_up"),
    ),
    batching=BatchingConfig(max_tokens_per_batch=3_000),
    optimizer=OptimizerConfig(learning_rate=0.004, warmup_steps=200),
    trainer=TrainerConfig(epochs=5, best_metric="error_rate"),
)


def prepare(config: ExperimentConfig) -> ExperimentConfig:
    """Writes three splits of spaced letters and lists of pronunciations; returns the configuration for them, unchanged
    where a run's config.json names them already."""
    check(config.data != NOT_GIVEN, "give --data DIR, with train.tsv and validation.tsv of the CMU dictionary")
    given = Path(str(config.data))
    if (given / "test.jsonl").exists() and (given.parent / CONFIG_FILE).exists():
        return config
    training = pronunciations(config, "train")
    words = {name: dict(held_out(training, name == "validation")) for name in ("train", "validation")}
    words["test"] = pronunciations(config, "validation")
    folder = Path(config.output) / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for split, entries in words.items():
        rows = ({config.source: " ".join(word), config.target: spoken} for word, spoken in entries.items())
        lines = [json.dumps(row) + "\n" for row in rows]
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    return replace(config, data=str(folder))


def pronunciations(config: ExperimentConfig, split: str) -> dict[str, list[str]]:
    """Each word's pronunciations, without stress, each once, in the order of the file."""
    found: dict[str, list[str]] = defaultdict(list)
    rows = load_split(config, split)
    for row, several in zip(rows, references(rows), strict=True):
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


def report(_config: ExperimentConfig, _translator: Translator, evaluation: Evaluation) -> None:
    """Prints phoneme and word error rate, and some words that went wrong."""
    print(error_rates(evaluation.hypotheses, evaluation.references).describe("phoneme"))
    compared = zip(evaluation.sources, evaluation.hypotheses, evaluation.references, strict=True)
    wrong = [each for each in compared if each[1] not in each[2]][:10]
    for source, hypothesis, accepted in wrong:
        print(f"{source.replace(' ', '')}\t{hypothesis}\tshould be {' or '.join(accepted)}")


if __name__ == "__main__":
    script.main(CONFIG, prepare=prepare, report=report)
