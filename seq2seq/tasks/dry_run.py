"""A dry run: the configuration, the data and one batch are tried, and the model is described."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seq2seq.config import to_dict
from seq2seq.data.batch import Batch
from seq2seq.errors import check
from seq2seq.model.initialisation import parameter_count
from seq2seq.model.seq2seq import Seq2Seq
from seq2seq.runs.directory import refuse_other_data
from seq2seq.runs.layout import WRITTEN, begun, refuse_data_folder, refuse_foreign_files
from seq2seq.runs.vocabularies import holds_vocabularies
from seq2seq.runtime.device import device_named
from seq2seq.runtime.distributed import World
from seq2seq.tasks.base import check_hardware, load_start, refuse_changes
from seq2seq.tasks.capacity import MEBIBYTE, training_bytes
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.translation import TEXT_FILES, Prepared, new_model, prepare
from seq2seq.training.objectives import teacher_forcing
from seq2seq.training.trainer import Trainer


def dry_run(config: ExperimentConfig) -> str:
    """Prepares everything as training would, runs one batch forward and backward, and describes what it found.

    Writes nothing to config.output. Raises UserError where training would before its first step.
    """
    run = config.directory()
    refuse_data_folder(run, str(config.data))
    refuse_foreign_files(run, (*WRITTEN, *TEXT_FILES))
    refuse_changes(run, config)
    here = World(device=device_named(config.trainer.device))
    check_hardware(config, here.device)
    trainer = Trainer(run, config.chosen_trainer(), config.optimizer, here)
    with tempfile.TemporaryDirectory() as temporary:
        own = begun(run) and holds_vocabularies(run)
        prepared = prepare(config, run if own else Path(temporary), here)
    refuse_other_data(run, prepared.fingerprint)
    model = new_model(config, prepared, run, here.device)
    if not trainer.store.list():
        load_start(model, config)
    trainer.begin(model, prepared.batches, teacher_forcing(config.label_smoothing))
    batch = next(prepared.batches.iterate(0), None)
    check(batch is not None, "the training data gives no batch; see the counts of dropped pairs")
    assert batch is not None
    activations, loss = _try_batch(trainer, batch)
    return "\n".join(
        [
            *_describe_start(config),
            *_describe_model(model),
            *_describe_memory(config, model, activations),
            *_describe_data(prepared, batch, loss),
        ]
    )


def _try_batch(trainer: Trainer, batch: Batch) -> tuple[int, float]:
    """Runs the batch forward and backward; returns the bytes that the backward pass keeps, and the loss per token."""
    kept = 0

    def count(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        total, tokens = trainer.gradients([batch])
    return kept, float(total / tokens)


def _describe_start(config: ExperimentConfig) -> Iterator[str]:
    """What is taken from the run that training starts from."""
    if config.start_from:
        sizes = ", ".join(f"{name} {value}" for name, value in _flat(to_dict(config.model)))
        yield f"start: weights and vocabulary of {config.start_from}, whose model has {sizes}"


def _flat(section: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values."""
    for name, value in section.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _describe_model(model: Seq2Seq) -> Iterator[str]:
    yield "model"
    for name, module in model.named_modules():
        own = [parameter for parameter in module.parameters(recurse=False)]
        if own:
            shapes = ", ".join("x".join(map(str, parameter.shape)) for parameter in own)
            yield f"  {name:<32} {type(module).__name__:<18} {shapes}"
    yield f"parameters: {parameter_count(model):,} (shared weights counted once)"


def _describe_memory(config: ExperimentConfig, model: nn.Module, activations: int) -> Iterator[str]:
    weights = training_bytes(parameter_count(model), config.trainer, config.optimizer)
    yield (
        f"memory estimate: {weights / MEBIBYTE:,.0f} MiB for weights, gradients, optimiser and average, "
        f"about {activations / MEBIBYTE:,.0f} MiB for the activations of a batch"
    )


def _describe_data(prepared: Prepared, batch: Batch, loss: float) -> Iterator[str]:
    batches = prepared.batches.batches_per_epoch
    shown = "a stream of" if batches is None else batches
    yield f"data: {shown} batches per epoch, fingerprint {prepared.fingerprint[:16]}"
    yield (
        f"first batch: {batch.source.shape[0]} pairs, source length {batch.source.shape[1]}, "
        f"target length {batch.target_input.shape[1]}, loss {loss:.3f} per token before training"
    )
