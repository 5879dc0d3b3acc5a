"""Objectives: model + batch -> LossSum. Training reaches the model through its forward and its decoder's loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from seq2seq.data.batch import AnyBatch, Batch, SequenceBatch, halves, map_tensors
from seq2seq.data.symbols import EOS_ID, PAD_ID
from seq2seq.model.decoder import RecurrentDecoder
from seq2seq.model.language_model import LanguageModel
from seq2seq.model.losses import LossSum, ctc_loss
from seq2seq.model.seq2seq import CTCSeq2Seq, Seq2Seq
from seq2seq.model.sequence_model import SequenceModel
from seq2seq.runtime.device import in_parts_that_fit
from seq2seq.runtime.distributed import World

IGNORED = -100
"""A label that does not count."""
SURE = 1e-6
"""The least that a probability is taken to lack of 1: a power below 1 has an infinite slope at 0."""
ComputeLoss = Callable[[Any, Batch], LossSum]
ComputeSequenceLoss = Callable[[SequenceModel, SequenceBatch], LossSum]


def teacher_forcing(label_smoothing: float = 0.0) -> ComputeLoss:
    """Objective of translation: cross-entropy of each target token given the true ones before it (Williams & Zipser
    1989)."""

    def compute_loss(model: Seq2Seq, batch: Batch) -> LossSum:
        output = model(batch.source, batch.source_lengths, batch.target_input)
        return model.decoder.loss(output, batch.target_output, label_smoothing)

    return compute_loss


def r_drop(alpha: float, label_smoothing: float = 0.0) -> ComputeLoss:
    """R-Drop (Wu et al. 2021, eq. 4): each pair passes twice, under two draws of dropout, and the two distributions P
    and Q of each next token are drawn towards each other.

    The loss is half of the paper's, so that it counts each pair once as other objectives do: the mean cross-entropy of
    both passes + alpha / 4 x (KL(P || Q) + KL(Q || P)), summed over target tokens.
    """

    def compute_loss(model: Seq2Seq, batch: Batch) -> LossSum:
        twice: Batch = map_tensors(batch, lambda each: torch.cat((each, each)))
        output = model(twice.source, twice.source_lengths, twice.target_input)
        kind = type(model.decoder)
        if kind.loss is RecurrentDecoder.loss and kind.log_probs is RecurrentDecoder.log_probs:
            return model.decoder.consistent_loss(output, batch.target_output, alpha / 4, label_smoothing)
        by_labels = model.decoder.loss(output, twice.target_output, label_smoothing)
        real = batch.target_output != PAD_ID
        apart = symmetric_divergence(*model.decoder.log_probs(output).chunk(2))
        return LossSum(by_labels.total / 2 + alpha / 4 * (apart * real).sum(), real.sum())

    return compute_loss


def focal(gamma: float, label_smoothing: float = 0.0) -> ComputeLoss:
    """Focal loss (Lin et al. 2017, eq. 4): each target token's -log p times (1 - p)^gamma, p being its probability, so
    that tokens that the model is sure of count less. What label smoothing gives to the other tokens counts as ever: it
    would else grow too light to keep p from 1. Holds the probabilities of all steps, [B, T, V].
    """

    def compute_loss(model: Seq2Seq, batch: Batch) -> LossSum:
        output = model(batch.source, batch.source_lengths, batch.target_input)
        log_probs = model.decoder.log_probs(output)
        of_targets = log_probs.gather(-1, batch.target_output[..., None])[..., 0]
        missing = (-of_targets.expm1()).clamp(min=SURE)
        loss = -(1 - label_smoothing) * missing.pow(gamma) * of_targets
        if label_smoothing:
            loss = loss - label_smoothing * log_probs.mean(-1)
        real = batch.target_output != PAD_ID
        return LossSum((loss * real).sum(), real.sum())

    return compute_loss


def symmetric_divergence(one: Tensor, other: Tensor) -> Tensor:
    """KL(P || Q) + KL(Q || P) of log-probabilities [..., V] each -> [...]: the sum of (P - Q)(log P - log Q)."""
    return ((one.exp() - other.exp()) * (one - other)).sum(-1)


def labelling() -> ComputeSequenceLoss:
    """A class per step: cross-entropy of labels [B, S] int64, over the real steps."""

    def compute_loss(model: SequenceModel, batch: SequenceBatch) -> LossSum:
        logits, mask = model(batch.inputs, batch.lengths)
        targets = batch.targets.masked_fill(~mask, IGNORED).flatten()
        total = functional.cross_entropy(logits.flatten(0, 1), targets, ignore_index=IGNORED, reduction="sum")
        return LossSum(total, mask.sum())

    return compute_loss


def language_modelling() -> Callable[[LanguageModel, SequenceBatch], LossSum]:
    """Cross-entropy of each next token; targets [B, T] int64 are the inputs one token later."""

    def compute_loss(model: LanguageModel, batch: SequenceBatch) -> LossSum:
        return model.loss(batch.inputs, batch.lengths, batch.targets)

    return compute_loss


def labelling_and_classification(classes: int, class_weight: float = 1.0) -> ComputeSequenceLoss:
    """A label per step and a class of the whole sequence: both cross-entropies added up (Liu & Lane 2016), per label;
    a class counts as much as `class_weight` labels. classes: of the outputs the last ones. Targets [B, S, 2] int64: the
    step's label, and the class, at all steps. Of a model with a chain of labels, their likelihood together."""

    def compute_loss(model: SequenceModel, batch: SequenceBatch) -> LossSum:
        logits, mask = model(batch.inputs, batch.lengths)
        labels, sequence = logits[..., :-classes], logits[:, 0, -classes:]
        targets = batch.targets[..., 0]
        chain = getattr(model, "chain", None)  # a model of the user's own may have none
        if chain is not None:
            total = -chain.log_likelihood(labels, targets, mask).sum()
        else:
            wanted = targets.masked_fill(~mask, IGNORED).flatten()
            total = functional.cross_entropy(labels.flatten(0, 1), wanted, ignore_index=IGNORED, reduction="sum")
        of_classes = functional.cross_entropy(sequence, batch.targets[:, 0, 1], reduction="sum")
        return LossSum(total + class_weight * of_classes, mask.sum())

    return compute_loss


def classification() -> ComputeSequenceLoss:
    """A class per sequence: cross-entropy of classes [B] int64."""

    def compute_loss(model: SequenceModel, batch: SequenceBatch) -> LossSum:
        logits, _ = model(batch.inputs, batch.lengths)
        total = functional.cross_entropy(logits, batch.targets, reduction="sum")
        return LossSum(total, batch.lengths.new_full((), len(batch.lengths)))

    return compute_loss


def regression(huber: float = 0.0) -> ComputeSequenceLoss:
    """Values: squared error of targets [B, S, D] or [B, D] float; those that are NaN, padding among them, are not known
    and do not count. huber: errors beyond it count by their size instead, twice `huber` times it less its square (Huber
    1964), so that a few large ones do not decide; 0: none do."""

    def compute_loss(model: SequenceModel, batch: SequenceBatch) -> LossSum:
        outputs, _ = model(batch.inputs, batch.lengths)
        known = ~batch.targets.isnan()
        error = outputs - batch.targets.nan_to_num()
        loss = error.square()
        if huber:
            size = error.abs()
            loss = torch.where(size > huber, huber * (2 * size - huber), loss)
        return LossSum((loss * known).sum(), known.sum())

    return compute_loss


def ctc() -> ComputeSequenceLoss:
    """Labels without alignment (Graves et al. 2006): targets [B, T] int64, PAD_ID after each row's end; per label."""

    def compute_loss(model: SequenceModel, batch: SequenceBatch) -> LossSum:
        logits, mask = model(batch.inputs, batch.lengths)
        return ctc_loss(logits, mask, batch.targets)

    return compute_loss


def joint_attention_ctc(ctc_weight: float, label_smoothing: float = 0.0) -> ComputeLoss:
    """(1 - weight) x teacher forcing + weight x CTC on the encoder's states (Watanabe et al. 2017, eq. 8), per target
    token."""

    def compute_loss(model: CTCSeq2Seq, batch: Batch) -> LossSum:
        output = model(batch.source, batch.source_lengths, batch.target_input)
        by_attention = model.decoder.loss(output, batch.target_output, label_smoothing)
        labels = batch.target_output.masked_fill(batch.target_output == EOS_ID, PAD_ID)
        by_ctc = ctc_loss(model.ctc_head(output.memory), output.memory.mask, labels)
        return LossSum((1 - ctc_weight) * by_attention.total + ctc_weight * by_ctc.total, by_attention.tokens)

    return compute_loss


@torch.inference_mode()
def loss_per_token(
    model: Any,
    batches: Iterable[AnyBatch],
    compute_loss: Callable[[Any, AnyBatch], LossSum],
    world: World | None = None,
) -> float:
    """The loss over all batches, per token or value; of halves of a batch where memory runs out.

    world: the processes that share the batches, and all get the loss; they call this together.
    """
    device = next(model.parameters()).device
    world = world or World()
    sums: list[tuple[float, float]] = []

    def add(batch: AnyBatch) -> None:
        loss = compute_loss(model, batch.to(device))
        total, count = sums[-1]
        sums[-1] = total + float(loss.total), count + float(loss.tokens)

    for batch in islice(batches, world.rank, None, world.size):
        sums.append((0.0, 0.0))
        in_parts_that_fit(batch, add, halves)
    sums = world.in_turn(sums)
    return sum(total for total, _ in sums) / max(1.0, sum(count for _, count in sums))
