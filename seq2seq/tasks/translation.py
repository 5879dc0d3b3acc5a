"""A whole job from one configuration: data, vocabulary, training, evaluation, and a run directory that documents
it."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from torch import nn

from seq2seq.config import write_config
from seq2seq.data.bucketing import BucketedBatches
from seq2seq.data.corpus import Corpus, DataConfig, data_fingerprint
from seq2seq.data.mixing import CorpusConfig
from seq2seq.data.streams import StreamedBatches
from seq2seq.data.units import AnyVocabulary, SourceVocabulary, train_unit_vocabularies
from seq2seq.data.vocabulary import RightToLeft, Vocabulary
from seq2seq.errors import UserError, check, check_argument
from seq2seq.evaluation import plotting
from seq2seq.evaluation.metrics import bleu_metric, sentence_chrf
from seq2seq.inference.decoding import attends
from seq2seq.inference.translator import Translator
from seq2seq.model.normalizers import check_normalizers
from seq2seq.model.seq2seq import build_model
from seq2seq.runs.layout import ATTENTION_FOLDER, EVALUATION_FOLDER, GENERATION_FILE, MODEL_FILE
from seq2seq.runs.stored_model import Build
from seq2seq.runs.vocabularies import holds_vocabularies, load_vocabularies, save_vocabularies
from seq2seq.runtime.distributed import World
from seq2seq.tasks.base import Objective, Run, open_run, start_directory
from seq2seq.tasks.batches import drawn_together, training_batches
from seq2seq.tasks.budget import find_budget, with_recorded_budget
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.embeddings import begin_with_vectors
from seq2seq.tasks.evaluate import Evaluation, Validator, check_scoring, scored, translate_together
from seq2seq.tasks.evaluation_files import read_evaluation, settings_of, write_evaluation
from seq2seq.tasks.guiding import guided
from seq2seq.tasks.model_card import write_card
from seq2seq.tasks.splits import held_out, together, training_splits
from seq2seq.training.minimum_risk import minimum_risk
from seq2seq.training.objectives import focal, r_drop, teacher_forcing
from seq2seq.training.scheduled_sampling import scheduled_sampling

log = logging.getLogger(__name__)


TEXT_FILES = (EVALUATION_FOLDER,)
"""What these runs hold besides the files of every kind of run."""


@dataclass(frozen=True)
class Prepared:
    """What training needs, made from the configuration."""

    source_vocabulary: AnyVocabulary
    target_vocabulary: Vocabulary
    batches: BucketedBatches | StreamedBatches
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
    chosen = "".join(config.objectives)
    check(not (objective and chosen), f"{chosen} chooses the objective: leave {chosen} or objective out")
    config = with_recorded_budget(config)
    with open_run(config, build, TEXT_FILES) as run:
        translator = train(config, run, objective)
        evaluation = test(translator, config, run.directory, run.world)
        if run.world.is_main:
            write_card(run.directory, config, evaluation, config.search.beam_size)
        return translator, evaluation


def train(config: ExperimentConfig, run: Run, objective: Objective | None = None) -> Translator:
    """Trains to the end and returns the best model, ready to translate."""
    prepared = prepare(config, run, objective)
    run = replace(run, config=replace(config, batching=prepared.batches.config))
    source, target = prepared.source_vocabulary, prepared.target_vocabulary
    model = run.build(build_model, len(source), len(target))
    begin_with_vectors(run, model, source)
    if run.world.is_main:
        write_config(run.directory / GENERATION_FILE, config.search)
    objective = objective or training_objective(config, target)
    if config.guided_alignment:
        assert isinstance(prepared.batches, BucketedBatches)  # the configuration refuses it beside streaming
        objective = guided(config, prepared.batches, len(target), run.world)
    run.fit(model, prepared.batches, objective, prepared.validator, prepared.fingerprint)
    translator = run.marked(Translator(model, config.model, source, target, config.search))
    translator.needs_tag = all(each.tag for each in config.corpora())
    return translator


def training_objective(config: ExperimentConfig, target: Vocabulary) -> Objective:
    """What is learned by the configuration, but for guided alignment, which `guided` adds; validation's loss is plain
    cross-entropy in any case."""
    if config.minimum_risk_samples:

        def cost(outputs: Sequence[list[int]], reference: list[int]) -> list[float]:
            wanted, *texts = target.decode_batch([reference, *outputs])
            return [1 - sentence_chrf(text, wanted) / 100 for text in texts]

        return minimum_risk(config.minimum_risk_samples, config.minimum_risk_sharpness, cost)
    if config.r_drop:
        return r_drop(config.r_drop, config.label_smoothing)
    if config.scheduled_sampling:
        return scheduled_sampling(config.scheduled_sampling, config.label_smoothing)
    if config.focal_gamma:
        return focal(config.focal_gamma, config.label_smoothing)
    return teacher_forcing(config.label_smoothing)


def prepare(config: ExperimentConfig, run: Run, objective: Objective | None = None) -> Prepared:
    """Reads the data, learns or loads the vocabularies, tokenises, and sets up batches and validation, whose loss is
    `objective`, or else cross-entropy."""
    corpora = config.corpora()
    for corpus in corpora:
        bleu_metric(corpus.target, config.bleu_tokenizer)  # where a package is missing, no data is read
    check_normalizers(config.model.decoder.attention_normalizer, config.model.decoder.output_normalizer)
    training = training_splits(config)
    validation = held_out(config, config.validation_split)
    if config.test_split not in ("", DataConfig.test_split):  # asked for: training must not end without it
        held_out(config, config.test_split)
    source_vocabulary, target_vocabulary = vocabularies(config, run, training)
    learned = objective or training_objective(config, target_vocabulary)

    def budget(longest: int, tokens: int) -> int:
        def make() -> nn.Module:
            return run.build(build_model, len(source_vocabulary), len(target_vocabulary))

        world, factors = run.world, getattr(source_vocabulary, "factors", 0)
        found = find_budget(config, make, learned, world.device, longest, tokens, factors) if world.is_main else 0
        return world.broadcast_object(found)

    batches = training_batches(config, training, source_vocabulary, target_vocabulary, run.world, budget)
    objective = objective or teacher_forcing()
    validator = make_validator(validation, source_vocabulary, target_vocabulary, config, objective, run.world)
    return Prepared(source_vocabulary, target_vocabulary, batches, validator, fingerprint_of(training))


def fingerprint_of(parts: list[Corpus]) -> str:
    """`data_fingerprint` of the data, of several corpora of all."""
    fingerprints = [data_fingerprint(part) for part in parts]
    return fingerprints[0] if len(parts) == 1 else hashlib.sha256(" ".join(fingerprints).encode()).hexdigest()


def vocabularies(config: ExperimentConfig, run: Run, training: list[Corpus]) -> tuple[AnyVocabulary, Vocabulary]:
    """The run's own vocabularies, or new ones, stored in the run. training: the training split of each corpus."""
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


def new_vocabularies(config: ExperimentConfig, training: list[Corpus]) -> tuple[AnyVocabulary, Vocabulary]:
    """Those of the run that training starts from, or learned from what is drawn of the training split."""
    if config.start_from:
        start = start_directory(config)
        source, target = load_vocabularies(start)
        _check_read_alike(config, source, start)
        order = "right_to_left" if isinstance(target, RightToLeft) else "left_to_right"
        check(order == config.target_order, f"{start}: its model writes {order}; set target_order {order}")
        _check_tags(config, source, str(start))
        return source, target
    per_step = config.model.features != "tokens"
    drawn = drawn_together(config, training)
    source, target = train_unit_vocabularies(drawn, config, config.vocabulary, per_step, config.trainer.seed)
    _check_tags(config, source, str(config.vocabulary.source_model))
    return source, RightToLeft(target) if config.target_order == "right_to_left" else target


def _check_tags(config: ExperimentConfig, source: AnyVocabulary, origin: str) -> None:
    """Raises UserError where a tag is no piece of the vocabulary, which a given one may lack."""
    known = source.tags()
    lacking = [tag for tag in config.tags if tag not in known]
    problem = f"its vocabulary lacks the tag {lacking[0]}" if lacking else ""
    check(not lacking, f"{origin}: {problem}; train a vocabulary with it, or leave the tag out")


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
    validation: tuple[list[Corpus], list[CorpusConfig]],
    source: AnyVocabulary,
    target: Vocabulary,
    config: ExperimentConfig,
    objective: Objective,
    world: World,
) -> Validator:
    """Validation pairs as ids, of all corpora that have some; the loss, by `objective`, is that of the first reference
    of each sentence."""
    texts, lines, parts = together(config, *validation)
    if isinstance(source, SourceVocabulary):
        all_rows = [part.rows for part in parts] or [slice(None)]
        for rows, corpus in zip(all_rows, validation[1], strict=True):
            source.check_features(texts[rows], f"{corpus.path}, split {config.validation_split}")
    sources = source.encode_batch(texts)
    targets = target.encode_batch([line[0] for line in lines])
    return Validator(
        list(zip(sources, targets, strict=True)),
        lines,
        target,
        config.search,
        config.language,
        config.bleu_tokenizer,
        config.trainer.best_metric,
        objective,
        parts,
        world,
    )


def test(translator: Translator, config: ExperimentConfig, directory: Path, world: World) -> Evaluation | None:
    """Translates and scores the test split, of all corpora that have one, and writes figures, also of each corpus, and
    attention maps; takes those that are there already for this model and these settings. Ranks call this together and
    share the translating; the main one alone writes and returns the evaluation."""
    if not config.test_split:
        return None
    try:
        sources, lines, parts = together(config, *held_out(config, config.test_split))
    except UserError as error:
        log.warning("no test: %s", error)
        return None
    folder, name = directory / EVALUATION_FOLDER, config.test_split
    language = (config.language, config.bleu_tokenizer)
    settings = settings_of(directory, translator, config.search, language, sources, lines)
    drawn = attention_is_drawn(translator, directory)
    stored = read_evaluation(folder, name, settings, sources, lines) if drawn else None
    if world.broadcast_object(stored is not None):
        if stored is None or not world.is_main:
            return None
        log.info("%s: taken from %s.*, same model and settings: %s", name, folder / name, stored.scores.describe())
        return stored
    log.info("translating the %s split, beam %d", name, config.search.beam_size)
    check_scoring(*language)
    translations = translate_together(translator, sources, world)
    if not world.is_main:
        return None
    evaluation = scored(sources, lines, translations, *language, parts=parts)
    write_evaluation(evaluation, folder, name, settings)
    for corpus, scores in evaluation.corpora.items():
        log.info("%s, %s: %s", name, corpus, scores.describe())
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
