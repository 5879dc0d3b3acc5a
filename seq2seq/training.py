"""Training of generators and predictors on examples in memory: what the recipes of those tasks have in common."""

from __future__ import annotations

import hashlib
import logging
import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from seq2seq import plotting
from seq2seq.batching import Batch, Curriculum, ExampleBatches, collate_sequences
from seq2seq.checkpoint import GENERATION_FILE
from seq2seq.config import SIZES, Real, check, check_numbers, write_config
from seq2seq.error_rates import error_rates
from seq2seq.generator import Generator, GeneratorConfig, build_generator_model, collate_inputs
from seq2seq.heads import SequenceModel
from seq2seq.language_model import (
    CHARACTERS_FILE,
    CharacterModel,
    Characters,
    LanguageModel,
    LanguageModelConfig,
    build_language_model,
)
from seq2seq.layout import ATTENTION_FOLDER, begun
from seq2seq.metrics import bleu
from seq2seq.model import Seq2Seq
from seq2seq.objectives import ComputeSequenceLoss, joint_attention_ctc, labelling, teacher_forcing
from seq2seq.predictor import Predictor, PredictorConfig, build_predictor_model
from seq2seq.search import SearchConfig
from seq2seq.task import TaskConfig, build, check_best_metric, fit, mean_loss, run_directory, start_directory
from seq2seq.vocabulary import BOS_ID, SOURCE_FILE, TARGET_FILE, Vocabulary, VocabularyConfig

log = logging.getLogger(__name__)

Array = np.ndarray
Figures = Mapping[str, Callable[[Predictor], float]]
Stages = Sequence["Captioned"]


@dataclass(frozen=True)
class Captioned:
    """Inputs and what is to be said of each: one text or several."""

    inputs: Sequence[Array]
    """[S, F] float32 features, or [C, height, width] float32 images"""
    references: Sequence[list[str]]


@dataclass(frozen=True)
class GeneratorTask(TaskConfig):
    """Training of a model from features or images to text."""

    model: GeneratorConfig = field(default_factory=GeneratorConfig)
    """Sizes and structure of the model."""
    label_smoothing: float = 0.1
    """Share of the target probability spread evenly over the vocabulary."""
    ctc_weight: float = 0.3
    """Share of CTC in the loss and in joint decoding, where the model has a CTC head."""
    search: SearchConfig = field(default_factory=SearchConfig)
    """Beam search of the finished model."""

    def __post_init__(self) -> None:
        check_numbers(self, "", label_smoothing=Real(0, 1, without=(1,)), ctc_weight=Real(0, 1))


@dataclass(frozen=True)
class PredictorTask(TaskConfig):
    """Training of a model that labels, classifies or forecasts."""

    model: PredictorConfig = field(default_factory=PredictorConfig)
    """Sizes and structure of the model."""


@dataclass(frozen=True)
class LanguageModelTask(TaskConfig):
    """Training of a language model over characters."""

    model: LanguageModelConfig = field(default_factory=LanguageModelConfig)
    """Sizes and structure of the model."""
    window: int = 100
    """Characters per training example; what lies before a window is not seen."""

    def __post_init__(self) -> None:
        check_numbers(self, "", window=SIZES)


def train_generator(config: GeneratorTask, training: Captioned | Stages, validation: Captioned) -> Generator:
    """Trains in config.output, resuming what is there; words of the training texts are the vocabulary, unless the model
    that training starts from has one.

    training: one set, or one per epoch (the last one stays), together a curriculum; each should give about as many
    batches. Validation gives the loss, BLEU and the token error rate of greedy outputs.
    """
    check_best_metric(config, ("error_rate", "bleu", "loss"))
    stages = [training] if isinstance(training, Captioned) else list(training)
    with run_directory(config) as (directory, here):
        stored = directory / TARGET_FILE
        if here.is_main and not (begun(directory) and stored.exists()):
            _new_vocabulary(config, stages).save(stored)
        here.barrier()
        vocabulary = Vocabulary.load(stored)
        model = build(config, directory, lambda: build_generator_model(config.model, len(vocabulary)), here.device)
        if here.is_main:
            write_config(directory / GENERATION_FILE, config.search)
        smoothing = config.label_smoothing
        objective = (
            joint_attention_ctc(config.ctc_weight, smoothing) if config.model.ctc else teacher_forcing(smoothing)
        )
        batches = Curriculum([_pairs(stage, config, vocabulary, here) for stage in stages])
        loss = mean_loss(_pairs(validation, config, vocabulary, None), objective)

        def validate(model: Seq2Seq) -> dict[str, float]:
            generator = Generator(model, config.model, vocabulary, config.search)
            texts = generator.generate(validation.inputs, beam_size=1)
            rate = error_rates(texts, validation.references).token
            return {"loss": loss(model), "bleu": bleu(texts, validation.references), "error_rate": rate}

        seen = [(each, texts) for stage in stages for each, texts in zip(stage.inputs, stage.references, strict=True)]
        fit(config, directory, here, model, batches, objective, validate, fingerprint(seen))
        return Generator(model, config.model, vocabulary, config.search)


def _new_vocabulary(config: GeneratorTask, stages: Stages) -> Vocabulary:
    """That of the run that training starts from, or the words of the training texts."""
    if config.start_from:
        return Vocabulary.load(start_directory(config) / TARGET_FILE)
    words = VocabularyConfig(size=20_000, model_type="word", byte_fallback=False)
    lines = chain.from_iterable(texts for stage in stages for texts in stage.references)
    return Vocabulary.train(lines, words, config.trainer.seed)


def decode_every_way(generator: Generator, inputs: Sequence[Array], ctc_weight: float) -> dict[str, list[str]]:
    """Outputs by attention, by CTC and by both together, for a model that has learned both."""
    beam = generator.search_config.beam_size
    return {
        "attention, greedy": generator.generate(inputs, beam_size=1),
        f"attention, beam {beam}": generator.generate(inputs),
        "CTC, greedy": generator.generate_by_ctc(inputs),
        f"CTC, prefix beam {beam}": generator.generate_by_ctc(inputs, beam_size=beam),
        f"joint, beam {beam}": generator.generate(inputs, ctc_weight=ctc_weight),
    }


def draw_attention(generator: Generator, inputs: Sequence[Array], directory: Path, count: int = 2) -> None:
    """Writes attention/NUMBER.png of the first few inputs [S, F]: where each word of the output looked. Nothing where
    matplotlib is not installed."""
    if not plotting.available():
        return
    folder = directory / ATTENTION_FOLDER
    folder.mkdir(exist_ok=True)
    for number, features in enumerate(inputs[:count], 1):
        text = generator.generate([features])[0]
        words, weights = generator.attention(features, generator.vocabulary.encode(text))
        plotting.plot_sequence_attention(
            features, [word.strip("▁") for word in words], weights, folder / f"{number}.png"
        )
    log.info("attention maps: %s", folder)


def train_predictor(
    config: PredictorTask,
    training: Sequence[tuple[Array, Array]],
    validation: Sequence[tuple[Array, Array]],
    objective: ComputeSequenceLoss,
    figures: Figures = types.MappingProxyType({}),
    vocabulary: Vocabulary | None = None,
) -> Predictor:
    """Trains in config.output, resuming what is there. Examples: inputs [S, ...] and targets, as `collate_sequences`
    takes them. Validation gives the loss and these figures; each may choose the best model. vocabulary: what inputs are
    ids of; it is kept with the run, and must be that of the model that training starts from."""
    check_best_metric(config, ("loss", *figures))
    if vocabulary is not None and config.start_from:
        start = start_directory(config) / SOURCE_FILE
        check(
            Vocabulary.load(start).fingerprint() == vocabulary.fingerprint(),
            f"{start}: another vocabulary than that of this data; a model can only start from one with the same ids",
        )
    with run_directory(config) as (directory, here):
        stored = directory / SOURCE_FILE
        if vocabulary is not None and here.is_main and not (begun(directory) and stored.exists()):
            vocabulary.save(stored)
        model = build(config, directory, lambda: build_predictor_model(config.model), here.device)
        # Labels lie beside the inputs' steps, and are padded as these are; other targets have a shape of their own.
        step = config.batching.length_step if config.model.answer == "steps" else 1
        batches = _examples(training, config, step, here)
        loss = mean_loss(_examples(validation, config, step, None), objective)

        def validate(model: SequenceModel) -> dict[str, float]:
            predictor = Predictor(model, config.model)
            return {"loss": loss(model), **{name: figure(predictor) for name, figure in figures.items()}}

        fit(config, directory, here, model, batches, objective, validate, fingerprint(training))
        return Predictor(model, config.model, vocabulary)


def train_language_model(
    config: LanguageModelTask, text: str, held_out: str, after_validation: Callable[[CharacterModel], None]
) -> CharacterModel:
    """Trains in config.output, resuming what is there; the characters of both texts are the vocabulary, unless the
    model that training starts from has one.

    Validation gives the loss over windows, in nats and in bits per character; after_validation is called with the model
    of that moment.
    """
    check_best_metric(config, ("loss",))
    with run_directory(config) as (directory, here):
        if here.is_main and not (begun(directory) and (directory / CHARACTERS_FILE).exists()):
            known = Characters.load(start_directory(config)) if config.start_from else Characters.of((text, held_out))
            known.save(directory)
        here.barrier()
        characters = Characters.load(directory)
        model = build(config, directory, lambda: build_language_model(config.model, len(characters)), here.device)
        training, validation = (_windows(characters.encode(each), config.window) for each in (text, held_out))
        batches = _examples(training, config, config.batching.length_step, here)
        loss = mean_loss(_examples(validation, config, config.batching.length_step, None), labelling())

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


def _pairs(data: Captioned, config: GeneratorTask, vocabulary: Vocabulary, here: Any) -> ExampleBatches:
    """A pair for every reference."""
    pairs = [
        (features, ids)
        for features, texts in zip(data.inputs, data.references, strict=True)
        for ids in vocabulary.encode_batch(texts)
    ]
    front_end = config.model.front_end
    image = front_end.kind == "image"
    lengths = [max(front_end.image_steps if image else len(features), len(ids) + 1) for features, ids in pairs]

    def collate(some: Sequence[tuple[Array, list[int]]], step: int) -> Batch:
        return collate_inputs(front_end, some, step)

    return ExampleBatches(pairs, lengths, collate, config.batching, config.trainer.seed, here)


def _examples(
    examples: Sequence[tuple[Array, Array]], config: TaskConfig, length_step: int, here: Any
) -> ExampleBatches:
    batching = replace(config.batching, length_step=length_step)
    lengths = [len(inputs) for inputs, _ in examples]
    return ExampleBatches(examples, lengths, collate_sequences, batching, config.trainer.seed, here)


def fingerprint(examples: Sequence[tuple[Array, Array | list[str]]]) -> str:
    """SHA-256 over examples: arrays with their shapes, and texts."""
    digest = hashlib.sha256()
    for inputs, target in examples:
        for each in (inputs, target):
            told = repr(each).encode() if isinstance(each, list) else np.ascontiguousarray(each).tobytes()
            digest.update(str(np.shape(each)).encode() + told)
    return digest.hexdigest()
