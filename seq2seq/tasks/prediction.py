"""Training of models that label, classify or forecast."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np

from seq2seq.data.characters import Characters
from seq2seq.data.labels import load_labels, save_labels
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.data.words import train_words
from seq2seq.errors import check, check_argument
from seq2seq.inference.predictor import Predictor
from seq2seq.model.sequence_model import SequenceModel, build_predictor_model
from seq2seq.runs.layout import LABELS_FILE, SOURCE_FILE
from seq2seq.runs.stored_model import Build
from seq2seq.tasks.base import example_batches, fingerprint, mean_loss, open_run, start_directory
from seq2seq.tasks.configs import PredictorTask, WordTask, check_best_metric
from seq2seq.tasks.embeddings import begin_with_vectors
from seq2seq.training.objectives import ComputeSequenceLoss

Array = np.ndarray
Task = TypeVar("Task", bound=PredictorTask)


Figures = Mapping[str, Callable[[Predictor], float]]


def learn_words(config: Task, texts: Iterable[str], size: int) -> tuple[Task, Vocabulary]:
    """The vocabulary of the words of texts, `size` at most, and a configuration of a model that reads them with their
    characters."""
    check_argument("learn_words", "config", config, PredictorTask)
    vocabulary, symbols = train_words(texts, size, config.trainer.seed)
    front_end = replace(
        config.model.front_end, kind="words", input_size=len(vocabulary), characters=len(Characters(symbols))
    )
    reader = replace(config.reader, kind="words", symbols=symbols)
    return replace(config, reader=reader, model=replace(config.model, front_end=front_end)), vocabulary


def train_predictor(
    config: PredictorTask,
    training: Sequence[tuple[Array, Array]],
    validation: Sequence[tuple[Array, Array]],
    objective: ComputeSequenceLoss,
    figures: Figures = types.MappingProxyType({}),
    vocabulary: Vocabulary | None = None,
    labels: Sequence[str] | None = None,
    build: Build | None = None,
) -> Predictor:
    """Trains in config.output, resuming what is there. Examples: inputs [S, ...] and targets, as `collate_sequences`
    takes them. Validation gives the loss and these figures; each may choose the best model. vocabulary: what inputs are
    ids of; it is kept with the run, and must be that of the model that training starts from. build: of the user's own,
    as `run` takes it. labels: names of the classes, kept with the run, where outputs are classes."""
    check_argument("train_predictor", "config", config, PredictorTask)
    for name, examples in (("training", training), ("validation", validation)):
        check_argument("train_predictor", name, examples, Sequence)
    wanted = config.model.outputs
    check(labels is None or len(labels) == wanted, f"labels must be {wanted} names, one for each of model.outputs")
    check_best_metric(config, ("loss", *figures))
    if vocabulary is not None and config.start_from:
        start = start_directory(config) / SOURCE_FILE
        check(
            Vocabulary.load(start).fingerprint() == vocabulary.fingerprint(),
            f"{start}: another vocabulary than that of this data; a model can only start from one with the same ids",
        )
    with open_run(config, build) as run:
        if vocabulary is not None:
            stored = run.directory / SOURCE_FILE
            run.once(stored.exists(), partial(vocabulary.save, stored), lambda: None)
        if labels is not None:
            path = run.directory / LABELS_FILE
            names = run.once(
                path.exists(), partial(save_labels, list(labels), path), partial(load_labels, path, wanted)
            )
            check(names == list(labels), f"{path}: the run has other classes; choose another --output")
        model = run.build(build_predictor_model)
        if isinstance(config, WordTask) and vocabulary is not None:
            begin_with_vectors(run, model, vocabulary)
        # Labels lie beside the inputs' steps, and are padded as these are; other targets have a shape of their own.
        step = config.batching.length_step if config.model.answer == "steps" else 1
        batches = example_batches(training, config, step, run.world)
        loss = mean_loss(example_batches(validation, config, step, None), objective)

        def validate(model: SequenceModel) -> dict[str, float]:
            predictor = Predictor(model, config.model, vocabulary, labels, config.reader)
            return {"loss": loss(model), **{name: figure(predictor) for name, figure in figures.items()}}

        run.fit(model, batches, objective, validate, fingerprint(training))
        return run.marked(Predictor(model, config.model, vocabulary, labels, config.reader))
