"""Training of generators and predictors on examples in memory: what the recipes of those tasks have in common."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from seq2seq.config import write_config
from seq2seq.data.batch import Batch
from seq2seq.data.bucketing import Curriculum, ExampleBatches
from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig
from seq2seq.errors import check_argument
from seq2seq.evaluation import plotting
from seq2seq.evaluation.error_rates import error_rates
from seq2seq.evaluation.metrics import bleu
from seq2seq.inference.decoding import attends
from seq2seq.inference.inputs import collate_inputs
from seq2seq.inference.transcriber import Generator
from seq2seq.model.seq2seq import Seq2Seq, build_generator_model
from seq2seq.runs.layout import ATTENTION_FOLDER, GENERATION_FILE, TARGET_FILE
from seq2seq.runs.stored_model import Build
from seq2seq.runtime.distributed import World
from seq2seq.tasks.base import Objective, fingerprint, mean_loss, open_run, start_directory
from seq2seq.tasks.configs import GeneratorTask, check_best_metric
from seq2seq.training.objectives import joint_attention_ctc, teacher_forcing

log = logging.getLogger(__name__)

Array = np.ndarray


Stages = Sequence["Captioned"]


@dataclass(frozen=True)
class Captioned:
    """Inputs and what is to be said of each: one text or several."""

    inputs: Sequence[Array]
    """[S, F] float32 features, or [C, height, width] float32 images"""
    references: Sequence[list[str]]


def train_generator(
    config: GeneratorTask,
    training: Captioned | Stages,
    validation: Captioned,
    build: Build | None = None,
    objective: Objective | None = None,
) -> Generator:
    """Trains in config.output, resuming what is there; words of the training texts are the vocabulary, unless the model
    that training starts from has one.

    training: one set, or one per epoch (the last one stays), together a curriculum; each should give about as many
    batches. Validation gives the loss, BLEU and the token error rate of greedy outputs. build, objective: of the user's
    own, as `run` takes them.
    """
    check_argument("train_generator", "config", config, GeneratorTask)
    check_best_metric(config, ("error_rate", "bleu", "loss"))
    check_argument("train_generator", "training", training, Captioned, Sequence)
    stages = [training] if isinstance(training, Captioned) else list(training)
    for name, data in (*(("each stage of training", stage) for stage in stages), ("validation", validation)):
        check_argument("train_generator", name, data, Captioned)
    with open_run(config, build) as run:
        stored = run.directory / TARGET_FILE
        vocabulary = run.once(
            stored.exists(), lambda: _new_vocabulary(config, stages).save(stored), lambda: Vocabulary.load(stored)
        )
        model = run.build(build_generator_model, len(vocabulary))
        if run.world.is_main:
            write_config(run.directory / GENERATION_FILE, config.search)
        smoothing = config.label_smoothing
        if objective is None and config.model.ctc:
            objective = joint_attention_ctc(config.ctc_weight, smoothing)
        objective = objective or teacher_forcing(smoothing)
        batches = Curriculum([_pairs(stage, config, vocabulary, run.world) for stage in stages])
        loss = mean_loss(_pairs(validation, config, vocabulary, None), objective)

        def validate(model: Seq2Seq) -> dict[str, float]:
            generator = Generator(model, config.model, vocabulary, config.search)
            texts = generator.generate(validation.inputs, beam_size=1)
            rate = error_rates(texts, validation.references).token
            return {"loss": loss(model), "bleu": bleu(texts, validation.references), "error_rate": rate}

        seen = [(each, texts) for stage in stages for each, texts in zip(stage.inputs, stage.references, strict=True)]
        run.fit(model, batches, objective, validate, fingerprint(seen))
        return run.marked(Generator(model, config.model, vocabulary, config.search, config.reader))


def _new_vocabulary(config: GeneratorTask, stages: Stages) -> Vocabulary:
    """That of the run that training starts from, or the words of the training texts."""
    if config.start_from:
        return Vocabulary.load(start_directory(config) / TARGET_FILE)
    words = VocabularyConfig(size=20_000, model_type="word", byte_fallback=False)
    lines = chain.from_iterable(texts for stage in stages for texts in stage.references)
    return Vocabulary.train(lines, words, config.trainer.seed)


def decode_every_way(generator: Generator, inputs: Sequence[Array], ctc_weight: float) -> dict[str, list[str]]:
    """Outputs by attention, by CTC and by both together, for a model that has learned both."""
    check_argument("decode_every_way", "generator", generator, Generator)
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
    matplotlib is not installed, or the model has no attention."""
    check_argument("draw_attention", "generator", generator, Generator)
    if not plotting.available() or not attends(generator.model):
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


def _pairs(data: Captioned, config: GeneratorTask, vocabulary: Vocabulary, world: World | None) -> ExampleBatches:
    """A pair for every reference."""
    pairs = [
        (features, ids)
        for features, texts in zip(data.inputs, data.references, strict=True)
        for ids in vocabulary.encode_batch(texts)
    ]
    front_end = config.model.front_end
    steps = front_end.form().steps
    lengths = [max(steps or len(features), len(ids) + 1) for features, ids in pairs]

    def collate(some: Sequence[tuple[Array, list[int]]], step: int) -> Batch:
        return collate_inputs(front_end, some, step)

    return ExampleBatches(pairs, lengths, collate, config.batching, config.trainer.seed, world)
