"""A training run in a directory, whatever the task: its log, its files, what may change when it is taken up again."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from seq2seq.config import from_dict, option_types, read_config, read_mapping, to_dict, write_run_config
from seq2seq.data.batch import Batches, collate_sequences
from seq2seq.data.bucketing import ExampleBatches
from seq2seq.data.mixing import places_of
from seq2seq.errors import Interrupted, Terminated, UserError, check, check_argument
from seq2seq.evaluation import plotting
from seq2seq.inference.pretrained import Pretrained
from seq2seq.model.initialisation import parameter_count
from seq2seq.model.losses import LossSum
from seq2seq.model.seq2seq import DROPOUTS
from seq2seq.runs.checkpoints import CheckpointStore, find_fault
from seq2seq.runs.directory import differences, refuse_other_data, refuse_other_objective, run_log
from seq2seq.runs.layout import (
    CHECKPOINTS_FOLDER,
    CONFIG_FILE,
    CURVES_FILE,
    MODEL_FILE,
    PROVENANCE_FILE,
    VOCABULARY_FILES,
    WRITTEN,
    begun,
    refuse_data_folder,
    refuse_foreign_files,
)
from seq2seq.runs.lock import sole_trainer
from seq2seq.runs.metrics_log import read_journal
from seq2seq.runs.provenance import provenance
from seq2seq.runs.stored_model import (
    Build,
    Kind,
    build_own,
    builder_name,
    check_builder,
    check_fits,
    check_sizes,
    checked_model,
    own_failures_named,
    read_stored,
    refuse_other_kind,
)
from seq2seq.runs.weights import load_weights, stored_model, stored_shapes
from seq2seq.runtime.atomic_files import sweep, write_atomically
from seq2seq.runtime.device import cpu_has_bf16_layers, device_named
from seq2seq.runtime.distributed import World
from seq2seq.runtime.distributed import world as joined
from seq2seq.runtime.paths import checked_path
from seq2seq.tasks.capacity import fresh_model
from seq2seq.tasks.configs import TaskConfig
from seq2seq.tasks.description import Described, describe
from seq2seq.tasks.model_card import write_task_card
from seq2seq.training.objectives import loss_per_token
from seq2seq.training.trainer import Trainer, Validate

log = logging.getLogger(__name__)

Array = np.ndarray


Model = TypeVar("Model", bound=nn.Module)
Task = TypeVar("Task", bound=TaskConfig)
Stored = TypeVar("Stored")
Answerer = TypeVar("Answerer", bound=Pretrained)
Objective = Callable[[Any, Any], LossSum]
"""Model and batch to the sum of the loss; see training/objectives.py."""

FREE_TO_CHANGE = {"output", "dry_run", "search", "data", "validation_split", "test_split", "license", "reader"}
UNITS = ("source_units", "target_units", "feature_units", "unicode", "units")
"""Options that say what a vocabulary is made of, and reads."""
FREE_IN_TRAINER = {
    "max_steps",
    "max_seconds",
    "log_every_steps",
    "save_every_steps",
    "patience",
    "keep_checkpoints",
    "device",
    "nonfinite_patience",
    "cuda_graphs",
    "sharding",
}
"""What may differ when a run is taken up again: it alters neither the model nor the order of the data. So may the
epochs, unless the learning rate falls towards the last one."""


@dataclass(frozen=True)
class Run:
    """A run directory in use, by the processes that train together."""

    config: Any
    directory: Path
    world: World
    """This process among them."""
    own_build: Build | None = None
    """The user's function that builds the model; None: it is a standard model."""

    @property
    def built_by(self) -> str:
        """What config.json records of the user's function."""
        return builder_name(self.own_build)

    def once(self, stored: bool, make: Callable[[], object], load: Callable[[], Stored]) -> Stored:
        """What all processes load from the directory. Unless the run has begun and it is stored there, the main process
        makes and stores it first."""
        if self.world.is_main and not (stored and begun(self.directory)):
            make()
        self.world.barrier()
        return load()

    def build(self, make: Callable[..., Model], *sizes: int) -> Model:
        """The untrained model, from the run's seed: what the user's function, or else `make`, gives for config.model
        and the sizes of vocabularies.

        Raises UserError, before memory is taken for it, where the weights about to be loaded into it, the run's own or
        those that training starts from, are another model's, or where the device has too little memory to train it."""
        if self.own_build is None:
            return build(
                self.config, self.config.directory(), lambda: make(self.config.model, *sizes), self.world.device
            )
        torch.manual_seed(self.config.trainer.seed)
        return build_own(self.own_build, self.config.model, *sizes)

    def fit(self, model: Model, batches: Batches, objective: Objective, validate: Validate, fingerprint: str) -> Model:
        """Trains to the end, resuming where there is something to resume, and returns the model with its best weights.
        On a dry run, raises `Described` instead.

        fingerprint: of the data, for provenance.json.
        """
        config, directory = self.config, self.directory
        log.info("model: %s parameters", f"{parameter_count(model):,}")
        refuse_other_data(config.directory(), fingerprint)
        refuse_other_objective(config.directory(), own_name(objective))
        trainer = Trainer(config.directory(), config.chosen_trainer(), config.optimizer, self.world)
        if not trainer.store.list():
            load_start(model, config)
        if config.dry_run:
            with own_failures_named(self.own_build):
                step = trainer.begin(model, batches, objective)
                description = describe(config, step, model, batches, fingerprint)
            raise Described(description)
        if self.world.is_main:
            self._describe(fingerprint, own_name(objective))
        before = trainer.store.list()
        with own_failures_named(self.own_build):
            trainer.fit(model, batches, objective, validate)
        if self.world.is_main and not (trainer.store.list() == before and (directory / CURVES_FILE).exists()):
            draw_curves(directory, config.trainer.best_metric)
        self.world.barrier()  # until then another process may not have stored the model
        found = f"no validation had a number as its {config.trainer.best_metric}, so that no model was kept"
        advice = "lower optimizer.learning_rate, or bring the values near 1, and choose another --output"
        check((directory / MODEL_FILE).exists(), f"{directory}: {found}; {advice}")
        load_weights(model, directory)
        if self.world.is_main and config.kind != "translator":  # its card waits for the test
            write_task_card(directory, config)
        return model.to(self.world.device).eval()  # with trainer.sharding it waits in the host's memory

    def marked(self, trained: Answerer) -> Answerer:
        """The trained model, marked with what built it."""
        trained.built_by = self.built_by
        return trained

    def _describe(self, fingerprint: str, objective: str) -> None:
        """Writes what the run is: config.json, and where it comes from."""
        write_run_config(self.directory / CONFIG_FILE, to_dict(self.config), self.config.kind, self.built_by)
        facts = provenance(self.config.trainer.seed, fingerprint, objective, self.world.size)
        write_atomically(self.directory / PROVENANCE_FILE, json.dumps(facts, indent=2) + "\n")


def own_name(objective: Objective) -> str:
    """Module and name of a user's objective; empty where it is one of the library's."""
    name = builder_name(objective)
    return "" if name.startswith("seq2seq.") else name


@contextmanager
def scratch_output(config: Task, folder: str) -> Iterator[Task]:
    """The configuration with which a folder in the output is made: on a dry run that finds none there, it has an output
    that is gone afterwards."""
    check_argument("scratch_output", "config", config, TaskConfig)
    if not config.dry_run or (config.directory() / folder).exists():
        yield config
        return
    with tempfile.TemporaryDirectory() as gone_soon:
        yield replace(config, output=gone_soon)


@contextmanager
def open_run(config: TaskConfig, own_build: Build | None = None, further: Iterable[str] = ()) -> Iterator[Run]:
    """Joins the processes that train together and opens config.output, with its log; refuses a run begun otherwise, one
    that another process is training, and, before anything is written, files of others in the way. Raises Interrupted
    where a signal ends the program.

    own_build: the user's function that builds the model. further: names of files that this kind of training writes
    besides those of every kind."""
    directory = config.directory()
    if config.dry_run:
        check_hardware(config, device_named(config.trainer.device))
        refuse_directory(directory, config, own_build, further)
        with _shadow(directory) as shadow:
            yield Run(config, shadow, World(device=device_named(config.trainer.device)), own_build)
        return
    with joined(config.trainer.device) as world:
        check_hardware(config, world.device)
        if world.is_main:
            # What may have changed is looked at again below, where nobody else can begin a run any more.
            refuse_directory(directory, config, own_build, further)
        with run_log(directory, world), sole_trainer(directory, world):
            if world.is_main:
                sweep(directory)
            refuse_changes(directory, config, own_build)
            try:
                yield Run(config, directory, world, own_build)
            except Terminated as end:  # beside the training loop, which saves first: what was done is stored
                raise Interrupted(end.signal_number) from None
            world.barrier()


def refuse_directory(directory: Path, config: TaskConfig, own_build: Build | None, further: Iterable[str]) -> None:
    """Raises UserError where a run cannot be begun or taken up there: among its data, over files of others, with other
    settings. further: as `open_run` takes it."""
    for place in places_of(getattr(config, "data", "")):
        refuse_data_folder(directory, place)
    refuse_foreign_files(directory, (*WRITTEN, *further))
    refuse_changes(directory, config, own_build)


@contextmanager
def _shadow(directory: Path) -> Iterator[Path]:
    """A temporary folder that a dry run may write to, with what of a run decides its vocabularies."""
    with tempfile.TemporaryDirectory() as temporary:
        if begun(directory):
            for path in (path for pattern in (CONFIG_FILE, *VOCABULARY_FILES) for path in directory.glob(pattern)):
                shutil.copy(path, temporary)
        yield Path(temporary)


def check_hardware(config: TaskConfig, device: torch.device) -> None:
    """Raises UserError, before data is read, where the device cannot train with these settings."""
    trainer = config.trainer
    check(
        trainer.precision != "fp16" or device.type == "cuda",
        "trainer.precision fp16 needs a GPU; choose auto or fp32",
    )
    check(
        trainer.precision != "bf16" or device.type != "cpu" or cpu_has_bf16_layers(),
        "trainer.precision bf16: this CPU only emulates it, slower than fp32, and torch's LSTM does not take it here; "
        "choose auto or fp32",
    )


def start_directory(config: TaskConfig) -> Path:
    """Where the model that training starts from lies. Raises UserError where no run of the same kind is there."""
    start = checked_path(config.start_from, "start_from", "a run directory as --start-from")
    check_start_kind(start, config.kind)
    return start


def check_start_kind(start: Path, kind: Kind) -> None:
    """Raises UserError where no run is there that the training of a model of this kind could start from."""
    reason = f"it has no {CONFIG_FILE}" if start.exists() else "there is no such folder"
    check(begun(start), f"start_from: {start} is not a run directory ({reason})")
    refuse_other_kind(start, kind, f"training can only start from a {kind}")


def start_options(start: Path, cls: type[Any]) -> dict[str, Any]:
    """What a run that training starts from decides of a configuration of class `cls`, as far as it stores it: the
    sections model, and vocabulary (how its vocabulary was made), and the units and the Unicode form that it was made
    of. Raises UserError where its model is of another kind.
    """
    check_start_kind(start, cls.kind)
    path = start / CONFIG_FILE
    stored = {**read_mapping(path), "model": stored_model(start)}
    kinds = option_types(cls)
    sections = [name for name in ("model", "vocabulary") if name in kinds and name in stored]
    units = {name: stored.get(name, getattr(cls, name)) for name in UNITS if name in kinds}
    taken: dict[str, Any] = {
        name: to_dict(from_dict(kinds[name], stored[name], where=f"{path}, {name}")) for name in sections
    }
    return {**taken, **units}


def build(config: Any, directory: Path, make: Callable[[], Model], device: torch.device) -> Model:
    """The model that `make` gives, from the seed. Raises UserError, before memory is taken for it, where the weights
    about to be loaded into it, the run's own or those that training starts from, are another model's, or where the
    device has too little memory to train it."""
    checkpoints = CheckpointStore(directory / CHECKPOINTS_FOLDER).list()
    if config.start_from and not checkpoints:
        check_start(config)
    own = directory / MODEL_FILE
    if not own.exists():
        own = next((path / MODEL_FILE for path in reversed(checkpoints) if find_fault(path) is None), own)
    if own.exists():
        check_sizes(to_dict(config.model), stored_shapes(own)[0], str(own))
        check_fits(own, make)
    return fresh_model(make, config.trainer, config.optimizer, device)


def check_start(config: Any) -> None:
    """Raises UserError, naming the differences, where the model that training starts from is another than config.model
    but for its dropout."""
    start = start_directory(config)
    stored = from_dict(type(config.model), checked_model(start), where=str(start / CONFIG_FILE))
    changed = list(
        differences(
            to_dict(stored), to_dict(config.model), {"model.": {"dropout", "dropped_tokens", *DROPOUTS}}, "model."
        )
    )
    check(not changed, f"{start} holds another model than asked for: {'; '.join(changed)}")
    warn_of_swapped_columns(config, start)


def warn_of_swapped_columns(config: Any, start: Path) -> None:
    """Logs a warning where the run that training starts from translates the other way."""
    stored = read_mapping(start / CONFIG_FILE)
    columns = stored.get("source"), stored.get("target")
    if all(columns) and columns == (getattr(config, "target", None), getattr(config, "source", None)):
        log.warning(
            "start_from: the model in %s was trained from %s to %s, and this run goes from %s to %s; is that meant?",
            start,
            *columns,
            *reversed(columns),
        )


def load_start(model: nn.Module, config: TaskConfig) -> None:
    """Gives a fresh model the weights that training starts from, where config.start_from names some."""
    if not config.start_from:
        return
    start = start_directory(config)
    load_weights(model, start)
    log.info("starting from the model in %s", start)


def mean_loss(batches: Batches, compute_loss: Objective) -> Callable[[nn.Module], float]:
    """A figure for validation: the loss per token or value over all batches."""
    return lambda model: loss_per_token(model, batches.iterate(0), compute_loss)


def draw_curves(directory: Path, best_metric: str) -> None:
    """curves.png from metrics.jsonl, where matplotlib is installed."""
    if plotting.available():
        plotting.plot_curves(read_journal(directory), directory / CURVES_FILE, best_metric)
        log.info("curves: %s", directory / CURVES_FILE)


def refuse_changes(directory: Path, config: TaskConfig, own_build: Build | None = None) -> None:
    """Raises UserError, naming the differences, where a run in the directory was begun with other settings, or with a
    model of another kind, or of the user's own while this one is not, or the other way round."""
    if not begun(directory):
        return
    refuse_other_kind(directory, config.kind, "choose another --output")
    try:  # fills in options that the run's version did not have yet
        before = read_config(directory / CONFIG_FILE, type(config))
    except UserError as error:
        other = "if that is another recipe's run, choose another --output; else restore its configuration"
        raise UserError(f"{error}; {other}") from None
    check_builder(directory, read_stored(directory).built_by, own_build)
    cosine = config.optimizer.schedule == "cosine"
    # A run that started from another one has that one's vocabulary, whatever was recorded.
    free = FREE_TO_CHANGE | ({"vocabulary"} if config.start_from else set())
    free_in_trainer = FREE_IN_TRAINER | (set() if cosine else {"epochs"})
    stored, now = ({**to_dict(each), "corpora": described_but_place(each)} for each in (before, config))
    changed = list(differences(stored, now, {"": free, "trainer.": free_in_trainer}))
    if changed:
        further = ""
        if cosine and before.trainer.epochs != config.trainer.epochs:
            further = f"; to train its model further, add --start-from {directory} to another --output"
        raise UserError(
            f"{directory} holds a run with other settings: {'; '.join(changed)}. "
            f"Give the old ones, or choose another --output{further}"
        )


def described_but_place(config: TaskConfig) -> list[dict[str, Any]]:
    """What decides what is read from each of several corpora, but where it lies; nothing where there is one."""
    data = getattr(config, "data", "")
    return [{**to_dict(each), "path": ""} for each in data] if isinstance(data, tuple) else []


def example_batches(
    examples: Sequence[tuple[Array, Array]], config: TaskConfig, length_step: int, world: World | None
) -> ExampleBatches:
    batching = replace(config.batching, length_step=length_step)
    lengths = [len(inputs) for inputs, _ in examples]
    return ExampleBatches(examples, lengths, collate_sequences, batching, config.trainer.seed, world)


def fingerprint(examples: Sequence[tuple[Array, Array | list[str]]]) -> str:
    """SHA-256 over examples: arrays with their shapes, and texts."""
    digest = hashlib.sha256()
    for inputs, target in examples:
        for each in (inputs, target):
            content = repr(each).encode() if isinstance(each, list) else np.ascontiguousarray(each).tobytes()
            digest.update(str(np.shape(each)).encode() + content)
    return digest.hexdigest()
