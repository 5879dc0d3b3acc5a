"""A whole job from one configuration: data, vocabulary, training, evaluation, and a run directory that documents
it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from seq2seq.config import write_config
from seq2seq.data.batch import Batches
from seq2seq.data.bucketing import BucketedBatches, StreamedBatches
from seq2seq.data.corpus import DataConfig, data_fingerprint, load_split, stream_tokenised, to_evaluate, tokenise
from seq2seq.data.subword_sampling import pair_sampler, resegmented
from seq2seq.data.units import AnyVocabulary, SourceVocabulary, train_unit_vocabularies
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.errors import UserError, check, check_argument
from seq2seq.evaluation import plotting
from seq2seq.evaluation.metrics import bleu_metric, sentence_chrf
from seq2seq.inference.decoding import attends
from seq2seq.inference.translator import Translator
from seq2seq.model.seq2seq import build_model
from seq2seq.runs.layout import ATTENTION_FOLDER, EVALUATION_FOLDER, GENERATION_FILE, MODEL_FILE
from seq2seq.runs.stored_model import Build
from seq2seq.runs.vocabularies import holds_vocabularies, load_vocabularies, save_vocabularies
from seq2seq.runtime.distributed import World
from seq2seq.tasks.base import Objective, Run, open_run, start_directory
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.embeddings import begin_with_vectors
from seq2seq.tasks.evaluate import Evaluation, Validator, check_scoring, scored, translate_together
from seq2seq.tasks.evaluation_files import read_evaluation, settings_of, write_evaluation
from seq2seq.tasks.model_card import write_card
from seq2seq.training.minimum_risk import minimum_risk
from seq2seq.training.objectives import r_drop, teacher_forcing

log = logging.getLogger(__name__)


TEXT_FILES = (EVALUATION_FOLDER,)
"""What these runs hold besides the files of every kind of run."""

QUICK_PAIRS, QUICK_SENTENCES = 500, 32
"""Training pairs, and sentences of validation and test, of a smoke run."""


@dataclass(frozen=True)
class Prepared:
    """What training needs, made from the configuration."""

    source_vocabulary: AnyVocabulary
    target_vocabulary: Vocabulary
    batches: Batches
    validator: Validator
    fingerprint: str


def run(
    config: ExperimentConfig, build: Build | None = None, objective: Objective | None = None
) -> tuple[Translator, Evaluation | None]:
    """Trains (or goes on training) in config.output and evaluates on the test split, where the data has one.

    build: a function of the user's own that builds the model, in place of `build_model`; it is given again to resume
    and to load. objective: what is learned, and validated as the loss, in place of smoothed cross-entropy.
    Raises UserError on anything the user can mend, Interrupted after SIGTERM or SIGINT, with the state saved.
    """
    check_argument("run", "config", config, ExperimentConfig)
    for name, given in (("build", build), ("objective", objective)):
        check(given is None or callable(given), f"run: {name} must be a function, not {type(given).__name__}")
    with open_run(config, build, TEXT_FILES) as run:
        translator = train(config, run, objective)
        evaluation = test(translator, config, run.directory, run.world)
        if run.world.is_main:
            write_card(run.directory, config, evaluation, config.search.beam_size)
        return translator, evaluation


def train(config: ExperimentConfig, run: Run, objective: Objective | None = None) -> Translator:
    """Trains to the end and returns the best model, ready to translate."""
    prepared = prepare(config, run, objective)
    source, target = prepared.source_vocabulary, prepared.target_vocabulary
    model = run.build(build_model, len(source), len(target))
    begin_with_vectors(run, model, source)
    if run.world.is_main:
        write_config(run.directory / GENERATION_FILE, config.search)
    objective = objective or training_objective(config, target)
    run.fit(model, prepared.batches, objective, prepared.validator, prepared.fingerprint)
    return run.marked(Translator(model, config.model, source, target, config.search))


def training_objective(config: ExperimentConfig, target: Vocabulary) -> Objective:
    """What is learned by the configuration; validation's loss is plain cross-entropy in any case."""
    if config.minimum_risk_samples:

        def cost(outputs: Sequence[list[int]], reference: list[int]) -> list[float]:
            wanted, *texts = target.decode_batch([reference, *outputs])
            return [1 - sentence_chrf(text, wanted) / 100 for text in texts]

        return minimum_risk(config.minimum_risk_samples, config.minimum_risk_sharpness, cost)
    if config.r_drop:
        return r_drop(config.r_drop, config.label_smoothing)
    return teacher_forcing(config.label_smoothing)


def prepare(config: ExperimentConfig, run: Run, objective: Objective | None = None) -> Prepared:
    """Reads the data, learns or loads the vocabularies, tokenises, and sets up batches and validation, whose loss is
    `objective`, or else cross-entropy."""
    bleu_metric(config.target, config.bleu_tokenizer)  # where its package is missing, no data is read
    training = shortened(load_split(config, config.train_split), config, QUICK_PAIRS)
    validation = shortened(load_split(config, config.validation_split), config)
    if config.test_split not in ("", DataConfig.test_split):  # asked for: training must not end without it
        load_split(config, config.test_split)
    source_vocabulary, target_vocabulary = vocabularies(config, run, training)
    seed = config.trainer.seed
    sampler = pair_sampler(source_vocabulary, target_vocabulary, config.bpe_dropout, config.segmentation_alpha, seed)
    if config.streaming:
        batches: Batches = StreamedBatches(
            lambda epoch: resegmented(
                stream_tokenised(training, source_vocabulary, target_vocabulary, config), sampler, epoch
            ),
            config.batching,
            config.shuffle_buffer_size,
            seed,
            run.world,
        )
    else:
        tokenised, counts = tokenise(
            training, source_vocabulary, target_vocabulary, config.max_length, config.max_ratio
        )
        log.info("training data: %s", counts.describe())
        batches = BucketedBatches(tokenised, config.batching, seed, run.world, sampler)
    objective = objective or teacher_forcing()
    validator = make_validator(validation, source_vocabulary, target_vocabulary, config, objective, run.world)
    return Prepared(source_vocabulary, target_vocabulary, batches, validator, data_fingerprint(training))


def shortened(split: Any, config: ExperimentConfig, pairs: int = QUICK_SENTENCES) -> Any:
    """The split, or on a smoke run its first few pairs."""
    return split.take(pairs) if config.quick else split


def vocabularies(config: ExperimentConfig, run: Run, training: Any) -> tuple[AnyVocabulary, Vocabulary]:
    """The run's own vocabularies, or new ones, stored in the run."""
    source, target = run.once(
        holds_vocabularies(run.directory),
        lambda: save_vocabularies(run.directory, *new_vocabularies(config, training)),
        lambda: load_vocabularies(run.directory),
    )
    if source is target:
        log.info("vocabulary: %d pieces, shared by source and target", len(source))
    else:
        log.info("vocabulary: %d source and %d target pieces", len(source), len(target))
    return source, target


def new_vocabularies(config: ExperimentConfig, training: Any) -> tuple[AnyVocabulary, Vocabulary]:
    """Those of the run that training starts from, or learned from the training split."""
    if config.start_from:
        start = start_directory(config)
        source, target = load_vocabularies(start)
        _check_read_alike(config, source, start)
        return source, target
    per_step = config.model.features != "tokens"
    return train_unit_vocabularies(training, config, config.vocabulary, per_step, config.trainer.seed)


def _check_read_alike(config: ExperimentConfig, source: AnyVocabulary, start: Path) -> None:
    """Raises UserError where the run that training starts from reads features, or a Unicode form, that the
    configuration has not, or the other way round."""
    features, unicode = False, "unchanged"
    if isinstance(source, SourceVocabulary):
        features, unicode = source.features is not None, source.unicode
    advice = "reads features; name their column: features" if features else "reads no features; leave features out"
    check(features == bool(config.features), f"{start}: its model {advice}")
    form = f"reads text in the Unicode form {unicode}; set unicode {unicode}"
    check(unicode == config.unicode, f"{start}: its model {form}")


def make_validator(
    validation: Any,
    source: AnyVocabulary,
    target: Vocabulary,
    config: ExperimentConfig,
    objective: Objective,
    world: World,
) -> Validator:
    """Validation pairs as ids; the loss, by `objective`, is that of each sentence's first reference."""
    texts, lines = to_evaluate(config, validation)
    if isinstance(source, SourceVocabulary):
        source.check_features(texts, f"{config.data}, split {config.validation_split}")
    sources = source.encode_batch(texts)
    targets = target.encode_batch([line[0] for line in lines])
    return Validator(
        list(zip(sources, targets, strict=True)),
        lines,
        target,
        config.search,
        config.target,
        config.bleu_tokenizer,
        config.trainer.best_metric,
        objective,
        world,
    )


def test(translator: Translator, config: ExperimentConfig, directory: Path, world: World) -> Evaluation | None:
    """Translates and scores the test split, where the data has one, and writes figures and attention maps; takes those
    that are there already for this model and these settings. Ranks call this together and share the translating; the
    main one alone writes and returns the evaluation."""
    if not config.test_split:
        return None
    try:
        split = shortened(load_split(config, config.test_split), config)
    except UserError as error:
        log.warning("no test: %s", error)
        return None
    sources, lines = to_evaluate(config, split)
    folder, name = directory / EVALUATION_FOLDER, config.test_split
    settings = settings_of(directory, translator, config.search, (config.target, config.bleu_tokenizer), sources, lines)
    drawn = attention_is_drawn(translator, directory)
    stored = read_evaluation(folder, name, settings, sources, lines) if drawn else None
    if world.broadcast_object(stored is not None):
        if stored is None or not world.is_main:
            return None
        log.info("%s: taken from %s.*, same model and settings: %s", name, folder / name, stored.scores.describe())
        return stored
    log.info("translating the %s split, beam %d", name, config.search.beam_size)
    check_scoring(config.target, config.bleu_tokenizer)
    translations = translate_together(translator, sources, world)
    if not world.is_main:
        return None
    evaluation = scored(sources, lines, translations, config.target, config.bleu_tokenizer)
    write_evaluation(evaluation, folder, name, settings)
    log.info("%s: %s", name, evaluation.scores.describe())
    draw_attention(translator, evaluation, directory)
    return evaluation


def attention_is_drawn(translator: Translator, directory: Path) -> bool:
    """Whether the attention maps are later than the model, or cannot be drawn."""
    first = directory / ATTENTION_FOLDER / "1.png"
    if not plotting.available() or not attends(translator.model):
        return True
    return first.exists() and first.stat().st_mtime_ns >= (directory / MODEL_FILE).stat().st_mtime_ns


def draw_attention(translator: Translator, evaluation: Evaluation, directory: Path, count: int = 3) -> None:
    """Attention maps of the first few test sentences, where matplotlib is installed and the model attends."""
    check_argument("draw_attention", "translator", translator, Translator)
    if not plotting.available() or not attends(translator.model):
        return
    folder = directory / ATTENTION_FOLDER
    folder.mkdir(exist_ok=True)
    translated = zip(evaluation.sources, evaluation.translations, strict=True)
    chosen = list(islice(((source, best) for source, best in translated if best.tokens), count))
    alignments = translator.align([source for source, _ in chosen], [best for _, best in chosen])
    for number, alignment in enumerate(alignments, 1):
        plotting.plot_attention(alignment.weights, alignment.source, alignment.target, folder / f"{number}.png")
    log.info("attention maps: %s", folder)
