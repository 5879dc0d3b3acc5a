"""What a dry run describes: the model, its memory, the data and one batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from seq2seq.config import flat, to_dict
from seq2seq.data.batch import Batch, Batches, SequenceBatch
from seq2seq.errors import check
from seq2seq.model.initialisation import parameter_count
from seq2seq.tasks.capacity import MEBIBYTE, training_bytes
from seq2seq.training.step import TrainingStep


class Described(Exception):
    """Ends a dry run before its first step; its text is the description."""


def describe(config: Any, step: TrainingStep, model: nn.Module, batches: Batches, fingerprint: str) -> str:
    """Runs one batch forward and backward, with a step that is set up for it, and describes what it found.

    config: of a task. Raises UserError where the data give no batch.
    """
    batch = next(batches.iterate(0), None)
    check(batch is not None, "the training data gives no batch; see the counts of dropped pairs")
    assert batch is not None
    activations, loss = _try_batch(step, batch)
    return "\n".join(
        [
            *_describe_start(config),
            *_describe_model(model),
            *_describe_memory(config, model, activations),
            *_describe_data(batches, fingerprint, batch, loss),
        ]
    )


def _try_batch(step: TrainingStep, batch: Any) -> tuple[int, float]:
    """Runs the batch forward and backward; returns the bytes that the backward pass keeps, and the loss per token."""
    kept = 0

    def count(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        total, tokens = step.gradients([batch])
    return kept, float(total / tokens)


def _describe_start(config: Any) -> Iterator[str]:
    """What is taken from the run that training starts from."""
    if config.start_from:
        sizes = ", ".join(f"{name} {value}" for name, value in flat(to_dict(config.model)).items())
        yield f"start: weights and vocabulary of {config.start_from}, whose model has {sizes}"


def _describe_model(model: nn.Module) -> Iterator[str]:
    yield "model"
    for name, module in model.named_modules():
        own = [parameter for parameter in module.parameters(recurse=False)]
        if own:
            shapes = ", ".join("x".join(map(str, parameter.shape)) for parameter in own)
            yield f"  {name:<32} {type(module).__name__:<18} {shapes}"
    yield f"parameters: {parameter_count(model):,} (shared weights counted once)"


def _describe_memory(config: Any, model: nn.Module, activations: int) -> Iterator[str]:
    weights = training_bytes(parameter_count(model), config.trainer, config.optimizer)
    yield (
        f"memory estimate: {weights / MEBIBYTE:,.0f} MiB for weights, gradients, optimiser and average, "
        f"about {activations / MEBIBYTE:,.0f} MiB for the activations of a batch"
    )


def _describe_data(batches: Batches, fingerprint: str, batch: Batch | SequenceBatch, loss: float) -> Iterator[str]:
    per_epoch = batches.batches_per_epoch
    yield f"data: {'a stream of' if per_epoch is None else per_epoch} batches per epoch, fingerprint {fingerprint[:16]}"
    if isinstance(batch, Batch):
        rows, steps, kind = *batch.source.shape[:2], "pairs"
        shape = f"source length {steps}, target length {batch.target_input.shape[1]}"
    else:
        rows, steps, kind = *batch.inputs.shape[:2], "sequences"
        shape = f"{steps} steps"
    per = "token" if isinstance(batch, Batch) else "label or value"
    yield f"first batch: {rows} {kind}, {shape}, loss {loss:.3f} per {per} before training"
