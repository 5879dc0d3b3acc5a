"""Options chosen by the data where the user names none: what words are cut into, and how large a model of characters
is and how long it trains."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

from seq2seq.config import flat, read_mapping
from seq2seq.data.corpus import DataConfig, load_split
from seq2seq.data.units import Units, guessed_units
from seq2seq.data.vocabulary import column_texts
from seq2seq.runs.layout import CONFIG_FILE, begun

MOST_PAIRS = 100_000
"""Of more data, the general defaults hold."""
LOOKED_AT = 1_000
"""Rows that show what texts are made of."""
CHOSEN = (
    "source_units",
    "target_units",
    "vocabulary.joint",
    "label_smoothing",
    "model.embedding_size",
    "model.dropout",
    "model.tie",
    "model.encoder.hidden_size",
    "model.encoder.layers",
    "model.decoder.hidden_size",
    "model.decoder.layers",
    "model.decoder.coupling",
    "batching.max_tokens_per_batch",
    "optimizer.learning_rate",
    "trainer.epochs",
    "trainer.patience",
    "trainer.average_decay",
    "trainer.best_metric",
)
"""Names of the options that this file chooses."""


def options_by_data(config: DataConfig, model_type: str, output: str) -> dict[str, Any]:
    """The options, by their dotted names, of a training on this data; none where it is not words cut into characters or
    symbols. model_type: of the vocabulary. A run that was begun in `output` keeps its own."""
    asked = config.columns or config.features or model_type == "char"
    if config.streaming or not (asked or {config.source_units, config.target_units} - {"auto", "subwords"}):
        return {}
    if output and begun(Path(output)):
        stored = flat(read_mapping(Path(output) / CONFIG_FILE))
        return {name: stored[name] for name in CHOSEN if name in stored}
    training = load_split(config, config.train_split)
    units = _units(config, training) if model_type != "char" else {}
    small = {"characters", "graphemes", "symbols"}
    if model_type != "char" and not small.intersection((units["source_units"], units["target_units"])):
        return units
    if len(training) > MOST_PAIRS:
        return units
    shared = not units or units["source_units"] == units["target_units"]
    return {**units, **_structure(shared and not config.features), **_sizes(len(training))}


def _units(config: DataConfig, training: Any) -> dict[str, Units]:
    """The units of both sides, as they look where none are named."""
    asked = {"source_units": config.source_units, "target_units": config.target_units}
    if not (config.columns or config.features):
        return asked
    sources, targets = (list(islice(column_texts(training, (name,)), LOOKED_AT)) for name in ("source", "target"))
    words = (source.partition("\t")[0] if config.features else source for source in sources)
    guessed = guessed_units(words, targets, bool(config.features))
    return {name: guess if asked[name] == "auto" else asked[name] for name, guess in zip(asked, guessed, strict=True)}


def _structure(shared: bool) -> dict[str, Any]:
    """What does not depend on the number of pairs. shared: whether both sides can have one vocabulary."""
    return {
        "vocabulary.joint": shared,
        "model.tie": "three_way" if shared else "two_way",
        "model.encoder.layers": 1,
        "model.decoder.layers": 1,
        "model.decoder.coupling": "none",
        "trainer.best_metric": "accuracy",
        "trainer.average_decay": 0.998,
        "label_smoothing": 0.1,
    }


def _sizes(pairs: int) -> dict[str, Any]:
    """Sizes and length of training for so many pairs."""
    return {
        "model.embedding_size": 128,
        "model.dropout": 0.4,
        "model.encoder.hidden_size": 128,
        "model.decoder.hidden_size": 256,
        "batching.max_tokens_per_batch": 400,
        "optimizer.learning_rate": 0.002,
        "trainer.epochs": 60,
        "trainer.patience": 15,
    }
