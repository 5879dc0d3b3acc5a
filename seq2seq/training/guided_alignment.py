"""Guided alignment: attention learns from word alignments that a simpler model has found."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq.data.batch import Batch
from seq2seq.data.symbols import PAD_ID
from seq2seq.errors import check
from seq2seq.model.decoder_state import Output
from seq2seq.model.losses import LossSum
from seq2seq.model.seq2seq import Seq2Seq
from seq2seq.runtime.device import at_least_fp32
from seq2seq.training.objectives import ComputeLoss

SMALLEST = 1e-9
"""What attention counts as at least, so that its logarithm stays finite."""


class TranslationTable(NamedTuple):
    """P(target token | source token) of K pairs of tokens."""

    keys: Tensor
    """[K] int64, ascending: source token x the target's number of tokens + target token."""
    probabilities: Tensor
    """[K] float"""
    width: int
    """Tokens of the target's vocabulary."""

    @classmethod
    def of(cls, sources: Tensor, targets: Tensor, probabilities: Tensor, width: int) -> TranslationTable:
        """sources, targets [K] int64 tokens, probabilities [K], in any order."""
        keys, order = (sources * width + targets).sort()
        return cls(keys, probabilities[order].float(), width)

    def to(self, device: torch.device) -> TranslationTable:
        """On a device."""
        return TranslationTable(self.keys.to(device), self.probabilities.to(device), self.width)

    def alignments(self, source: Tensor, targets: Tensor) -> Tensor:
        """source [B, S], targets [B, T] -> [B, T, S]: the probability that each target token was made of each source
        token (Brown et al. 1993, IBM Model 1), of sum 1, or 0 where the table has none of a target token's pairs."""
        wanted = source[:, None] * self.width + targets[..., None]
        places = torch.searchsorted(self.keys, wanted).clamp(max=len(self.keys) - 1)
        found = self.probabilities[places] * ((self.keys[places] == wanted) & (source != PAD_ID)[:, None])
        return found / found.sum(-1, keepdim=True).clamp(min=torch.finfo(found.dtype).tiny)


def guided_alignment(weight: float, learn: Callable[[], TranslationTable], label_smoothing: float = 0.0) -> ComputeLoss:
    """Teacher forcing's loss + `weight` times the cross-entropy of attention against the table's alignments, added up
    over target tokens (Chen et al. 2016, with soft alignments). learn: gives the table, when the first loss is
    computed."""
    tables: dict[torch.device, TranslationTable] = {}

    def compute_loss(model: Seq2Seq, batch: Batch) -> LossSum:
        device = batch.source.device
        if device not in tables:  # a copy that is recorded as a CUDA graph would be made at each step
            tables[device] = learn().to(device)
        output = model(batch.source, batch.source_lengths, batch.target_input)
        _check_guidable(output, batch)
        loss = model.decoder.loss(output, batch.target_output, label_smoothing)
        wanted = tables[device].alignments(batch.source, batch.target_output)
        wanted = wanted * (batch.target_output != PAD_ID)[..., None]
        apart = -(wanted * at_least_fp32(output.attention).clamp(min=SMALLEST).log()).sum()
        return LossSum(loss.total + weight * apart, loss.tokens)

    return compute_loss


def _check_guidable(output: Output, batch: Batch) -> None:
    """Raises UserError where attention has no weight for each token, or is too small for its type."""
    attention = getattr(output, "attention", None)
    fits = isinstance(attention, Tensor) and attention.shape == (*batch.target_input.shape, batch.source.shape[1])
    check(fits, "guided_alignment needs a model whose attention has a weight for each target and source token")
    check(
        output.attention.dtype != torch.float16,
        "guided_alignment: small weights of attention have no gradient in fp16; set trainer.precision to fp32 or bf16",
    )
