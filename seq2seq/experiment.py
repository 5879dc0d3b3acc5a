"""A whole job from one configuration: data, vocabulary, training, evaluation, and a run directory that tells about
it."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from tqdm.contrib.logging import logging_redirect_tqdm

from seq2seq import plotting
from seq2seq.batching import Batches, BatchingConfig, BucketedBatches, StreamedBatches
from seq2seq.checkpoint import load_model_tensors, load_tensors, write_atomically
from seq2seq.config import UserError, check, read_config, to_dict, write_config
from seq2seq.corpus import DataConfig, data_fingerprint, load_split, references, stream_tokenised, tokenise
from seq2seq.distributed import World, world
from seq2seq.evaluate import Evaluation, Validator, evaluate
from seq2seq.journal import METRICS_FILE
from seq2seq.model import ModelConfig, Seq2Seq, build_model, parameter_count
from seq2seq.objectives import teacher_forcing
from seq2seq.provenance import model_card, provenance
from seq2seq.schedule import OptimizerConfig
from seq2seq.search import SearchConfig
from seq2seq.trainer import Trainer, TrainerConfig
from seq2seq.translator import Translator
from seq2seq.vocabulary import (
    Vocabulary,
    VocabularyConfig,
    load_vocabularies,
    save_vocabularies,
    train_vocabularies,
)

log = logging.getLogger(__name__)

FREE_TO_CHANGE = {"output", "search", "data", "validation_split", "test_split"}
FREE_IN_TRAINER = {"max_steps", "log_every_steps", "patience", "keep_checkpoints", "device", "nonfinite_patience"}
"""What may differ when a run is taken up again: it alters neither the model nor the order of the data."""


@dataclass(frozen=True)
class ExperimentConfig(DataConfig):
    """Everything that decides a training run."""

    output: str = ""
    """Run directory; a run found there is taken up again."""
    label_smoothing: float = 0.1
    """Share of the target probability spread evenly over the vocabulary (Szegedy et al. 2016)."""
    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)
    """The SentencePiece vocabulary."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """Sizes and structure of the model."""
    batching: BatchingConfig = field(default_factory=BatchingConfig)
    """How pairs are grouped into batches."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """Optimiser and learning rate."""
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    """Length of training, validation, checkpoints."""
    search: SearchConfig = field(default_factory=SearchConfig)
    """Beam search of the finished model."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(0 <= self.label_smoothing < 1, f"label_smoothing must be in [0, 1), not {self.label_smoothing}")


@dataclass(frozen=True)
class Prepared:
    """What training needs, made from the configuration."""

    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary
    batches: Batches
    validator: Validator
    fingerprint: str


def run(config: ExperimentConfig) -> tuple[Translator, Evaluation | None]:
    """Trains (or goes on training) in config.output and evaluates on the test split, where the data has one.

    Raises UserError on anything the user can mend, Interrupted after SIGTERM or SIGINT, with the state saved.
    """
    check(bool(config.output), "say where the run goes: --output DIR")
    directory = Path(config.output)
    with world(config.trainer.device) as here, run_log(directory, here):
        refuse_changes(directory, config)
        translator = train(config, directory, here)
        evaluation = test(translator, config, directory) if here.is_main else None
        here.barrier()
        return translator, evaluation


def train(config: ExperimentConfig, directory: Path, here: World) -> Translator:
    """Trains to the end and returns the best model, ready to translate."""
    prepared = prepare(config, directory, here)
    torch.manual_seed(config.trainer.seed)
    model = build_model(config.model, len(prepared.source_vocabulary), len(prepared.target_vocabulary))
    log.info("model: %s parameters", f"{parameter_count(model):,}")
    if here.is_main:
        write_config(directory / "config.json", config)
        write_config(directory / "generation_config.json", config.search)
        facts = provenance(config.trainer.seed, prepared.fingerprint, here.size)
        write_atomically(directory / "provenance.json", json.dumps(facts, indent=2) + "\n")
    trainer = Trainer(directory, config.trainer, config.optimizer, here)
    trainer.fit(model, prepared.batches, teacher_forcing(config.label_smoothing), prepared.validator)
    draw_curves(directory, here)
    return best_translator(config, directory, model, prepared)


def best_translator(config: ExperimentConfig, directory: Path, model: Seq2Seq, prepared: Prepared) -> Translator:
    """The model with the best validation figure."""
    weights = directory / "model.safetensors"
    load_model_tensors(model, load_tensors(weights), str(weights))
    return Translator(model, config.model, prepared.source_vocabulary, prepared.target_vocabulary, config.search)


def prepare(config: ExperimentConfig, directory: Path, here: World) -> Prepared:
    """Reads the data, learns or loads the vocabularies, tokenises, and sets up batches and validation."""
    training = load_split(config, config.train_split)
    validation = load_split(config, config.validation_split)
    source_vocabulary, target_vocabulary = vocabularies(config, directory, training, here)
    if config.streaming:
        batches: Batches = StreamedBatches(
            lambda epoch: stream_tokenised(training, source_vocabulary, target_vocabulary, config),
            config.batching,
            config.shuffle_buffer_size,
            config.trainer.seed,
            here,
        )
        fingerprint = "streamed"
    else:
        tokenised, counts = tokenise(
            training, source_vocabulary, target_vocabulary, config.max_length, config.max_ratio
        )
        log.info("training data: %s", counts.describe())
        batches = BucketedBatches(tokenised, config.batching, config.trainer.seed, here)
        fingerprint = data_fingerprint(training)
    validator = make_validator(validation, source_vocabulary, target_vocabulary, config.search)
    return Prepared(source_vocabulary, target_vocabulary, batches, validator, fingerprint)


def vocabularies(
    config: ExperimentConfig, directory: Path, training: Any, here: World
) -> tuple[Vocabulary, Vocabulary]:
    """The run's own vocabularies, or new ones learned from the training split and stored in the run."""
    if here.is_main and not any(directory.glob("*.spm.model")):
        save_vocabularies(directory, *train_vocabularies(training, config.vocabulary, config.trainer.seed))
    here.barrier()
    source, target = load_vocabularies(directory)
    log.info("vocabulary: %d source and %d target pieces", len(source), len(target))
    return source, target


def make_validator(validation: Any, source: Vocabulary, target: Vocabulary, search: SearchConfig) -> Validator:
    """Validation pairs as ids; the loss is that of each sentence's first reference."""
    lines = references(validation)
    sources = source.encode_batch([row["source"] for row in validation])
    targets = target.encode_batch([line[0] for line in lines])
    return Validator(list(zip(sources, targets, strict=True)), lines, target, search)


def test(translator: Translator, config: ExperimentConfig, directory: Path) -> Evaluation | None:
    """Translates and scores the test split, and writes figures, attention maps and the model card."""
    try:
        split = load_split(config, config.test_split)
    except UserError as error:
        log.warning("no test: %s", error)
        return None
    log.info("translating the %s split, beam %d", config.test_split, config.search.beam_size)
    evaluation = evaluate(translator, [row["source"] for row in split], references(split))
    evaluation.write(directory / "evaluation", config.test_split)
    log.info("%s: %s", config.test_split, evaluation.scores.describe())
    draw_attention(translator, evaluation, directory)
    write_atomically(directory / "README.md", model_card(directory, config, evaluation))
    return evaluation


def draw_curves(directory: Path, here: World) -> None:
    """curves.png from metrics.jsonl, where matplotlib is installed."""
    if here.is_main and plotting.available():
        lines = (directory / METRICS_FILE).read_text(encoding="utf-8").split("\n")
        plotting.plot_curves([json.loads(line) for line in lines if line], directory / "curves.png")
        log.info("curves: %s", directory / "curves.png")


def draw_attention(translator: Translator, evaluation: Evaluation, directory: Path, count: int = 3) -> None:
    """Attention maps of the first few test sentences, where matplotlib is installed."""
    if not plotting.available():
        return
    folder = directory / "attention"
    folder.mkdir(exist_ok=True)
    translated = zip(evaluation.sources, evaluation.translations, strict=True)
    chosen = list(islice(((source, best) for source, best in translated if best.tokens), count))
    alignments = translator.align([source for source, _ in chosen], [best for _, best in chosen])
    for number, alignment in enumerate(alignments, 1):
        plotting.plot_attention(alignment.weights, alignment.source, alignment.target, folder / f"{number}.png")
    log.info("attention maps: %s", folder)


def refuse_changes(directory: Path, config: ExperimentConfig) -> None:
    """Raises UserError, naming the differences, where a run in the directory was begun with other settings."""
    path = directory / "config.json"
    if not path.exists():
        return
    try:
        before = read_config(path, type(config))  # fills in options that the run's version did not have yet
    except UserError as error:
        raise UserError(f"{error}; restore the run's configuration, or choose another --output") from None
    changed = list(_differences(to_dict(before), to_dict(config)))
    if changed:
        raise UserError(
            f"{directory} holds a run with other settings: {'; '.join(changed)}. "
            "Give the old ones, or choose another --output"
        )


def _differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> Iterator[str]:
    free = FREE_IN_TRAINER if prefix == "trainer." else FREE_TO_CHANGE if not prefix else set()
    for name in now:
        old, new = before.get(name), now[name]
        if name in free or old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name} was {old!r}, is {new!r}"


@contextmanager
def run_log(directory: Path, here: World) -> Iterator[None]:
    """Sends this package's log to stderr (around the progress bars) and to train.log, from the main process only."""
    package = logging.getLogger("seq2seq")
    if not here.is_main:
        package.setLevel(logging.ERROR)
        yield
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        to_file = logging.FileHandler(directory / "train.log", encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{directory}: cannot write the run there ({error.strerror}); choose another --output"
        ) from None
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    to_screen = logging.StreamHandler(sys.stderr)
    to_screen.setFormatter(logging.Formatter("%(message)s"))
    level = package.level
    package.setLevel(logging.INFO)
    for handler in (to_file, to_screen):
        package.addHandler(handler)
    try:
        with logging_redirect_tqdm([package]):
            yield
    finally:
        package.setLevel(level)
        for handler in (to_file, to_screen):
            package.removeHandler(handler)
        to_file.close()
