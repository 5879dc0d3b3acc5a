"""model + Batch -> LossSum. Training reaches the model through its forward only."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seq2seq.batching import Batch
from seq2seq.losses import LossSum, cross_entropy
from seq2seq.model import Seq2Seq
from seq2seq.vocabulary import PAD_ID

ComputeLoss = Callable[[Seq2Seq, Batch], LossSum]


def teacher_forcing(label_smoothing: float = 0.0) -> ComputeLoss:
    """Objective of translation: cross-entropy of each target token given the true ones before it (Williams & Zipser
    1989)."""

    def compute_loss(model: Seq2Seq, batch: Batch) -> LossSum:
        features, _ = model(batch.source, batch.source_lengths, batch.target_input)
        real = batch.target_output != PAD_ID
        output = model.decoder.output
        total = cross_entropy(features[real], output.weight, output.bias, batch.target_output[real], label_smoothing)
        return LossSum(total, real.sum())

    return compute_loss


@torch.inference_mode()
def score_pairs(model: Seq2Seq, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Forced decoding: log-probability of each target [B] fp32, its tokens [B] (eos included), attention [B, T, S]."""
    features, weights = model(batch.source, batch.source_lengths, batch.target_input)
    log_probs = model.decoder.output(features).float().log_softmax(-1)
    real = batch.target_output != PAD_ID
    picked = log_probs.gather(-1, batch.target_output[..., None])[..., 0]
    return (picked * real).sum(1), real.sum(1), weights
