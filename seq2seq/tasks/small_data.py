"""Options chosen by the data where the user names none: what words are cut into, and how large a model of characters
is and how long it trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from seq2seq.config import flat, read_mapping, to_dict
from seq2seq.data.corpus import DataConfig, load_split
from seq2seq.data.mixing import untagged
from seq2seq.data.units import guessed_units, has_hangul
from seq2seq.data.vocabulary import column_texts
from seq2seq.errors import check_argument
from seq2seq.runs.layout import CONFIG_FILE, begun
from seq2seq.tasks.configs import ExperimentConfig

Experiment = TypeVar("Experiment", bound=ExperimentConfig)
MOST_PAIRS = 100_000
"""Of more data, the general defaults hold."""
PLENTY = 8_000
"""Pairs from which on less is dropped out."""
HIDDEN = 160
"""Of the encoder, per direction."""
WORDS_PER_BATCH = 40
WORD_TOKENS = 10
"""Of a word, with padding."""
WORD_TOKENS_WITH_FEATURES = 20
"""Of a word behind its features: batches of fewer words take more steps for the same forms, and gain nothing."""
VALIDATIONS = 14
"""In a training, of words of ten letters: after each epoch, it would take a sixth of the time."""
LOOKED_AT = 1_000
"""Rows that show what texts are made of."""
CHOSEN = (
    "source_units",
    "target_units",
    "vocabulary.joint",
    "model.tie",
    "model.embedding_size",
    "model.dropout",
    "model.encoder.hidden_size",
    "model.encoder.layers",
    "model.decoder.hidden_size",
    "model.decoder.layers",
    "model.decoder.coupling",
    "batching.max_tokens_per_batch",
    "optimizer.learning_rate",
    "trainer.epochs",
    "trainer.validate_every_steps",
    "trainer.patience",
    "trainer.best_metric",
)
"""Names of the options that this file chooses."""


def options_by_data(config: DataConfig, vocabulary: Mapping[str, Any], output: str) -> dict[str, Any]:
    """The options, by their dotted names, of a training on this data; none where it is not words cut into characters or
    symbols. vocabulary: its options, as far as they are known; one that is given, not learned, decides the units. A run
    that was begun in `output` keeps its own. Of a stream the first rows choose the units; sizes and length of training
    stay."""
    spelled = vocabulary.get("model_type") == "char"
    asked = config.columns or config.features or spelled
    spelled_out = {config.source_units, config.target_units} - {"auto", "subwords"}
    if vocabulary.get("source_model") or not (asked or spelled_out):
        return {}
    if output and begun(Path(output)):
        stored = flat(read_mapping(Path(output) / CONFIG_FILE))
        return {name: stored[name] for name in CHOSEN if name in stored}
    training = load_split(config, config.train_split)
    sources, targets = (list(islice(column_texts(training, (name,)), LOOKED_AT)) for name in ("source", "target"))
    sources = [untagged(source, config.tags) for source in sources]
    words = [source.partition("\t")[0] if config.features else source for source in sources]
    guessed = guessed_units(words, targets, bool(config.features))
    units = {"source_units": config.source_units, "target_units": config.target_units}
    if config.columns or config.features:
        units = {
            side: guess if units[side] == "auto" else units[side] for side, guess in zip(units, guessed, strict=True)
        }
    apart = any(map(has_hangul, words)) and not any(map(has_hangul, targets))  # letters are read, syllables written
    shared = units["source_units"] == units["target_units"] and not apart
    structure = {} if shared and not config.features else _separate(shared)
    small = spelled or not {"auto", "subwords"}.issuperset(units.values())
    sized = hasattr(training, "__len__")  # of a stream, how many pairs it has shows at its end only
    if guessed[0] == "subwords" or not small or not sized or len(training) > MOST_PAIRS:
        return {**units, **structure}
    return {**units, **_sizes(len(training), bool(config.features)), **structure}


def fit_to_data(config: Experiment) -> Experiment:
    """The configuration with the options that its data chooses in place of those that have their usual defaults."""
    check_argument("fit_to_data", "config", config, ExperimentConfig)
    chosen = options_by_data(config, to_dict(config.vocabulary), str(config.output))
    usual = flat(to_dict(ExperimentConfig(data="any", source="source", target="target")))
    given = flat(to_dict(config))
    return _replaced(config, {name: value for name, value in chosen.items() if given[name] == usual[name]})


def _replaced(config: Any, options: dict[str, Any]) -> Any:
    """A configuration with other values for options that dotted names lead to."""
    own = {name: value for name, value in options.items() if "." not in name}
    for section in {name.partition(".")[0] for name in options.keys() - own.keys()}:
        inside = {name.partition(".")[2]: value for name, value in options.items() if name.startswith(f"{section}.")}
        own[section] = _replaced(getattr(config, section), inside)
    return replace(config, **own)


def _separate(shared: bool) -> dict[str, Any]:
    """For sides of which one has ids of its own. shared: whether their texts have one vocabulary."""
    return {"vocabulary.joint": shared, "model.tie": "two_way"}


def _sizes(pairs: int, features: bool) -> dict[str, Any]:
    """Sizes and length of training for so many pairs of words, with features or without: the same number of steps for
    few pairs; of many more, but not in proportion."""
    epochs = min(400, max(6, round(28 * (3_600 / pairs) ** (1 if pairs < 3_600 else 0.7))))
    steps = epochs * pairs // WORDS_PER_BATCH
    return {
        "vocabulary.joint": True,
        "model.tie": "three_way",
        "model.embedding_size": 128,
        "model.dropout": 0.4 if pairs < PLENTY else 0.3,
        "model.encoder.hidden_size": HIDDEN,
        "model.encoder.layers": 1,
        "model.decoder.hidden_size": 2 * HIDDEN,
        "model.decoder.layers": 2,
        "model.decoder.coupling": "bottom_up",
        "batching.max_tokens_per_batch": WORDS_PER_BATCH * (WORD_TOKENS_WITH_FEATURES if features else WORD_TOKENS),
        "optimizer.learning_rate": 0.004,
        "trainer.epochs": epochs,
        "trainer.validate_every_steps": max(50, steps // VALIDATIONS),
        "trainer.patience": 10,
        "trainer.best_metric": "accuracy",
    }
