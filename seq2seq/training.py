"""Training of generators and predictors on examples in memory: what the recipes of those tasks have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import torch

from seq2seq.batching import Batch, ExampleBatches, SequenceBatch, collate_sequences
from seq2seq.error_rates import error_rates
from seq2seq.generator import Generator, GeneratorConfig, build_generator_model, collate_inputs
from seq2seq.heads import SequenceModel
from seq2seq.metrics import bleu
from seq2seq.model import Seq2Seq
from seq2seq.objectives import ComputeSequenceLoss, joint_attention_ctc, teacher_forcing
from seq2seq.predictor import Predictor, PredictorConfig, build_predictor_model
from seq2seq.search import SearchConfig
from seq2seq.task import TaskConfig, fit, mean_loss, run_directory
from seq2seq.vocabulary import TARGET_FILE, Vocabulary, VocabularyConfig

Array = np.ndarray
Figures = Callable[[Predictor], Mapping[str, float]]


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


@dataclass(frozen=True)
class PredictorTask(TaskConfig):
    """Training of a model that labels, classifies or forecasts."""

    model: PredictorConfig = field(default_factory=PredictorConfig)
    """Sizes and structure of the model."""


def train_generator(config: GeneratorTask, training: Captioned, validation: Captioned) -> Generator:
    """Trains in config.output, resuming what is there; words of the training texts are the vocabulary.

    Validation gives the loss, BLEU and the token error rate of greedy outputs.
    """
    with run_directory(config) as (directory, here):
        stored = directory / TARGET_FILE
        if here.is_main and not stored.exists():
            words = VocabularyConfig(size=20_000, model_type="word", byte_fallback=False)
            Vocabulary.train(chain.from_iterable(training.references), words, config.trainer.seed).save(stored)
        here.barrier()
        vocabulary = Vocabulary.load(stored)
        torch.manual_seed(config.trainer.seed)
        model = build_generator_model(config.model, len(vocabulary))
        if here.is_main:
            Generator(model, config.model, vocabulary, config.search).save_settings(directory)
        smoothing = config.label_smoothing
        objective = (
            joint_attention_ctc(config.ctc_weight, smoothing) if config.model.ctc else teacher_forcing(smoothing)
        )
        batches, held_out = (
            _pairs(each, config, vocabulary, here if each is training else None) for each in (training, validation)
        )
        loss = mean_loss(held_out, objective)

        def validate(model: Seq2Seq) -> dict[str, float]:
            generator = Generator(model, config.model, vocabulary, config.search)
            texts = generator.generate(validation.inputs, beam_size=1)
            rate = error_rates(texts, validation.references).token
            return {"loss": loss(model), "bleu": bleu(texts, validation.references), "error_rate": rate}

        fit(config, directory, here, model, batches, objective, validate, fingerprint(training.inputs))
        return Generator(model, config.model, vocabulary, config.search)


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


def train_predictor(
    config: PredictorTask,
    training: Sequence[tuple[Array, Array]],
    validation: Sequence[tuple[Array, Array]],
    objective: ComputeSequenceLoss,
    figures: Figures | None = None,
) -> Predictor:
    """Trains in config.output, resuming what is there. Examples: inputs [S, ...] and targets, as `collate_sequences`
    takes them. Validation gives the loss, and further figures where asked for."""
    with run_directory(config) as (directory, here):
        torch.manual_seed(config.trainer.seed)
        model = build_predictor_model(config.model)
        batches = _examples(training, config, here)
        loss = mean_loss(_examples(validation, config, None), objective)

        def validate(model: SequenceModel) -> dict[str, float]:
            further = figures(Predictor(model, config.model)) if figures else {}
            return {"loss": loss(model), **further}

        fit(config, directory, here, model, batches, objective, validate, fingerprint([each for each, _ in training]))
        return Predictor(model, config.model)


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


def _examples(examples: Sequence[tuple[Array, Array]], config: PredictorTask, here: Any) -> ExampleBatches:
    def collate(some: Sequence[tuple[Array, Array]], step: int) -> SequenceBatch:
        return collate_sequences(some, step if config.model.answer == "steps" else 1)

    lengths = [len(inputs) for inputs, _ in examples]
    return ExampleBatches(examples, lengths, collate, config.batching, config.trainer.seed, here)


def fingerprint(inputs: Sequence[Array]) -> str:
    """SHA-256 over arrays and their shapes."""
    digest = hashlib.sha256()
    for each in inputs:
        digest.update(str(each.shape).encode() + np.ascontiguousarray(each).tobytes())
    return digest.hexdigest()
