"""Training of language models."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from seq2seq.data.characters import CHARACTERS_FILE, Characters
from seq2seq.data.symbols import BOS_ID
from seq2seq.errors import check, check_argument
from seq2seq.inference.character_model import CharacterModel
from seq2seq.model.language_model import LanguageModel, build_language_model
from seq2seq.runs.stored_model import Build
from seq2seq.tasks.base import Objective, example_batches, fingerprint, mean_loss, open_run, start_directory
from seq2seq.tasks.configs import LanguageModelTask, check_best_metric
from seq2seq.training.objectives import labelling

Array = np.ndarray


def train_language_model(
    config: LanguageModelTask,
    text: str,
    held_out: str,
    after_validation: Callable[[CharacterModel], None],
    build: Build | None = None,
    objective: Objective | None = None,
) -> CharacterModel:
    """Trains in config.output, resuming what is there; the characters of both texts are the vocabulary, unless the
    model that training starts from has one.

    Validation gives the loss over windows, in nats and in bits per character; after_validation is called with the model
    of that moment. build, objective: of the user's own, as `run` takes them.
    """
    check_argument("train_language_model", "config", config, LanguageModelTask)
    for name, given in (("text", text), ("held_out", held_out)):
        check_argument("train_language_model", name, given, str)
    check_best_metric(config, ("loss",))
    objective = objective or labelling()
    with open_run(config, build) as run:
        characters = run.once(
            (run.directory / CHARACTERS_FILE).exists(),
            lambda: _known_characters(config, (text, held_out)).save(run.directory),
            lambda: Characters.load(run.directory),
        )
        model = run.build(build_language_model, len(characters))
        training, validation = (_windows(characters.encode(each), config.window) for each in (text, held_out))
        batches = example_batches(training, config, config.batching.length_step, run.world)
        loss = mean_loss(example_batches(validation, config, config.batching.length_step, None), objective)

        def validate(model: LanguageModel) -> dict[str, float]:
            nats = loss(model)
            after_validation(CharacterModel(model, config.model, characters))
            return {"loss": nats, "bits_per_character": nats / math.log(2)}

        run.fit(model, batches, objective, validate, fingerprint(training))
        return run.marked(CharacterModel(model, config.model, characters))


def _known_characters(config: LanguageModelTask, texts: tuple[str, str]) -> Characters:
    """Those of the run that training starts from, or those of the texts."""
    return Characters.load(start_directory(config)) if config.start_from else Characters.of(texts)


def _windows(ids: list[int], size: int) -> list[tuple[Array, Array]]:
    """Pieces of a text, each with the same piece one character later; the first begins with bos."""
    check(bool(ids), "the text is empty")
    inputs, targets = np.array([BOS_ID, *ids[:-1]]), np.array(ids)
    return [(inputs[start : start + size], targets[start : start + size]) for start in range(0, len(ids), size)]
