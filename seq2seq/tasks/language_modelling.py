"""Training of language models."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from seq2seq.data.batch import Batches
from seq2seq.data.characters import Characters
from seq2seq.data.language_units import Pieces, Units, preceding
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.data.windows import TextWindows
from seq2seq.errors import check, check_argument
from seq2seq.inference.character_model import CharacterModel
from seq2seq.model.language_model import LanguageModel, build_language_model
from seq2seq.runs.stored_model import Build
from seq2seq.runs.vocabularies import holds_units, load_units, save_units
from seq2seq.tasks.base import Objective, example_batches, fingerprint, mean_loss, open_run, start_directory
from seq2seq.tasks.configs import LanguageModelTask, check_best_metric
from seq2seq.training.objectives import labelling, language_modelling

log = logging.getLogger(__name__)

Array = np.ndarray

LONGER = 8
"""Times as long as in training are the windows of validation."""


def train_language_model(
    config: LanguageModelTask,
    text: str,
    held_out: str,
    after_validation: Callable[[CharacterModel], None],
    build: Build | None = None,
    objective: Objective | None = None,
) -> CharacterModel:
    """Trains in config.output, resuming what is there; the characters of both texts are the vocabulary, or the pieces
    that config.units and config.vocabulary say, unless the model that training starts from has one.

    Validation gives the loss over windows, in nats and in bits per character; after_validation is called with the model
    of that moment. build, objective: of the user's own, as `run` takes them.
    """
    check_argument("train_language_model", "config", config, LanguageModelTask)
    for name, given in (("text", text), ("held_out", held_out)):
        check_argument("train_language_model", name, given, str)
    check_best_metric(config, ("loss",))
    objective = objective or (labelling() if build else language_modelling())
    with open_run(config, build) as run:
        units = run.once(
            holds_units(run.directory),
            lambda: save_units(run.directory, _new_units(config, (text, held_out))),
            lambda: load_units(run.directory),
        )
        log.info("vocabulary: %d %s", len(units), config.units)
        model = run.build(build_language_model, len(units))
        ids = units.encode(text)
        check(bool(ids), "the text is empty")
        loss, bits = _validation(config, units, held_out, objective)

        def validate(model: LanguageModel) -> dict[str, float]:
            nats = loss(model)
            after_validation(CharacterModel(model, config.model, units))
            return {"loss": nats, "bits_per_character": nats * bits}

        if config.sentences:
            batches: Batches = example_batches(_lines(text, units), config, config.batching.length_step, run.world)
        else:
            tokens, seed = config.batching.tokens, config.trainer.seed
            batches = TextWindows(ids, config.window, tokens, seed, run.world)
        run.fit(model, batches, objective, validate, fingerprint(_windows(ids, config.window)))
        return run.marked(CharacterModel(model, config.model, units))


def _new_units(config: LanguageModelTask, texts: tuple[str, str]) -> Units:
    """Those of the run that training starts from; the characters of the texts; or pieces, learned from the first text
    or loaded."""
    if config.start_from:
        start = start_directory(config)
        units = load_units(start)
        fits = isinstance(units, Characters) == (config.units == "characters")
        kind = "one of characters" if isinstance(units, Characters) else "not one of characters"
        check(fits, f"{start}: its model is {kind}; set units as there")
        return units
    if config.units == "characters":
        return Characters.of(texts)
    settings = config.vocabulary
    if settings.source_model is not None:
        return Pieces(Vocabulary.load(settings.source_model))
    if config.units == "words":
        settings = replace(settings, model_type="word", byte_fallback=False)
    return Pieces(Vocabulary.train(texts[0].split("\n"), settings, config.trainer.seed))


def _validation(
    config: LanguageModelTask, units: Units, text: str, objective: Objective
) -> tuple[Callable[[LanguageModel], float], float]:
    """The loss over all of a text, in windows that are long, as what lies before one is not seen; and the bits per
    character that one nat per token is."""
    pieces = _lines(text, units) if config.sentences else _windows(units.encode(text), LONGER * config.window)
    check(bool(pieces), "the text to validate on is empty")
    characters = sum(map(len, sentences_of(text))) if config.sentences else len(text)
    factor = sum(len(targets) for _, targets in pieces) / characters / math.log(2)
    return mean_loss(example_batches(pieces, config, config.batching.length_step, None), objective), factor


def _windows(ids: list[int], size: int) -> list[tuple[Array, Array]]:
    """Pieces of a text, each with the same piece one token earlier; the first of these begins with bos."""
    inputs, targets = np.array(preceding(ids)), np.array(ids)
    return [(inputs[start : start + size], targets[start : start + size]) for start in range(0, len(ids), size)]


def _lines(text: str, units: Units) -> list[tuple[Array, Array]]:
    """The sentences of a text, each with what stands before its tokens: bos first."""
    lines = [units.encode(line) for line in sentences_of(text)]
    return [(np.array(preceding(ids)), np.array(ids)) for ids in lines]


def sentences_of(text: str) -> list[str]:
    """The lines of a text, each with its line feed, but for blank ones."""
    return [line + "\n" for line in text.split("\n") if line.strip()]
