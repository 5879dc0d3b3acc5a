"""Training of language models."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from seq2seq.data.symbols import BOS_ID
from seq2seq.data.vocabulary import CHARACTERS_FILE, Characters
from seq2seq.errors import check
from seq2seq.inference.character_model import CharacterModel
from seq2seq.model.language_model import LanguageModel, build_language_model
from seq2seq.runs.layout import begun
from seq2seq.tasks.base import build, example_batches, fingerprint, fit, mean_loss, run_directory, start_directory
from seq2seq.tasks.configs import LanguageModelTask, check_argument, check_best_metric
from seq2seq.training.objectives import labelling

Array = np.ndarray


def train_language_model(
    config: LanguageModelTask, text: str, held_out: str, after_validation: Callable[[CharacterModel], None]
) -> CharacterModel:
    """Trains in config.output, resuming what is there; the characters of both texts are the vocabulary, unless the
    model that training starts from has one.

    Validation gives the loss over windows, in nats and in bits per character; after_validation is called with the model
    of that moment.
    """
    check_argument("train_language_model", "config", config, LanguageModelTask)
    for name, given in (("text", text), ("held_out", held_out)):
        check_argument("train_language_model", name, given, str)
    check_best_metric(config, ("loss",))
    with run_directory(config) as (directory, here):
        if here.is_main and not (begun(directory) and (directory / CHARACTERS_FILE).exists()):
            known = Characters.load(start_directory(config)) if config.start_from else Characters.of((text, held_out))
            known.save(directory)
        here.barrier()
        characters = Characters.load(directory)
        model = build(config, directory, lambda: build_language_model(config.model, len(characters)), here.device)
        training, validation = (_windows(characters.encode(each), config.window) for each in (text, held_out))
        batches = example_batches(training, config, config.batching.length_step, here)
        loss = mean_loss(example_batches(validation, config, config.batching.length_step, None), labelling())

        def validate(model: LanguageModel) -> dict[str, float]:
            nats = loss(model)
            after_validation(CharacterModel(model, config.model, characters))
            return {"loss": nats, "bits_per_character": nats / math.log(2)}

        fit(config, directory, here, model, batches, labelling(), validate, fingerprint(training))
        return CharacterModel(model, config.model, characters)


def _windows(ids: list[int], size: int) -> list[tuple[Array, Array]]:
    """Pieces of a text, each with the same piece one character later; the first begins with bos."""
    check(bool(ids), "the text is empty")
    inputs, targets = np.array([BOS_ID, *ids[:-1]]), np.array(ids)
    return [(inputs[start : start + size], targets[start : start + size]) for start in range(0, len(ids), size)]
