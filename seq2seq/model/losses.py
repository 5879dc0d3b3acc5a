"""Losses: label-smoothed cross-entropy, fused with the output projection so that no [tokens, vocabulary] matrix is ever
held, and CTC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seq2seq.data.symbols import PAD_ID
from seq2seq.runtime.device import at_least_fp32, product_type

CHUNK_ROWS = 256
"""Rows of logits alive at a time, with their gradients: two times 8 MB for 256 x 8,000 in fp32; large enough for a
full-speed matrix product."""
CHUNK_ROWS_ON_GPU = 4_096
"""There each chunk is some 15 launches."""


class LossSum(NamedTuple):
    """A loss added up over target tokens, not averaged: sums over micro-batches and ranks stay exact, division comes
    last."""

    total: Tensor
    """[] sum over tokens, nats."""
    tokens: Tensor
    """[] int64, number of tokens."""


def cross_entropy(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    smoothing: float = 0.0,
    ignored: int | None = None,
) -> Tensor:
    """Sum over rows of the label-smoothed cross-entropy of softmax(features W^T + b) (Szegedy et al. 2016, section 7).

    The target distribution gives 1 - smoothing to the label and spreads smoothing evenly over all V entries.
    features [N, E], weight [V, E], bias [V], targets [N] int64 -> [] fp32 (fp64 for fp64 input), nats. ignored: a
    target whose rows do not count; to leave them out beforehand saves their cost, but makes the host wait for a GPU.
    """
    chunk_loss = partial(_softmax_loss, smoothing=smoothing, ignored=ignored)
    size = _chunk_rows(features)
    return _FusedLoss.apply(features, weight, bias, targets, size, chunk_loss, torch.is_grad_enabled())


def cross_entropy_reference(
    features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float = 0.0
) -> Tensor:
    """The same by torch's own functions, holding all logits: the plain twin that tests compare `cross_entropy` with."""
    logits = F.linear(features, weight, bias)
    return F.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="sum")


ChunkLoss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Logits [n, V] and targets of a chunk -> its loss sum and the gradient by the logits."""


def _chunk_rows(features: Tensor) -> int:
    return CHUNK_ROWS_ON_GPU if features.is_cuda else CHUNK_ROWS


class _FusedLoss(torch.autograd.Function):
    """Computes the gradients in the forward pass, chunk by chunk: the softmax is at hand there and never stored."""

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        targets: Tensor,
        size: int,
        chunk_loss: ChunkLoss,
        training: bool,
    ) -> Tensor:
        """size: rows of a chunk, which has its share of the targets."""
        labels = size * len(targets) // max(len(features), 1)
        compute = product_type(weight)
        with torch.autocast(features.device.type, enabled=False):
            rows, matrix, offset = features.to(compute), weight.to(compute), bias.to(compute)
            wanted = training and any(ctx.needs_input_grad[:3])
            gradients = (torch.empty_like(rows), torch.zeros_like(weight), torch.zeros_like(bias)) if wanted else None
            total = weight.new_zeros(())
            for number, start in enumerate(range(0, len(rows), size)):
                chunk = slice(start, start + size)
                logits = torch.addmm(offset, rows[chunk], matrix.t()).to(weight.dtype)
                loss, by_logits = chunk_loss(logits, targets[number * labels : (number + 1) * labels])
                total += loss
                if gradients is not None:
                    _accumulate(gradients, chunk, by_logits, rows[chunk], matrix)
                del logits, by_logits  # before the next chunk's are made
        if gradients is not None:
            ctx.save_for_backward(gradients[0].to(features.dtype), gradients[1], gradients[2])
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        """All three gradients are linear in the upstream one, a scalar."""
        features, weight, bias = ctx.saved_tensors
        scale = upstream[0]  # of fp16 trainings: beyond fp16's largest number
        by_features = (at_least_fp32(features) * scale).to(features.dtype)
        return by_features, weight * scale, bias * scale, None, None, None, None


def consistent_cross_entropy(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    targets: Tensor,
    share: float,
    smoothing: float = 0.0,
    ignored: int | None = None,
) -> Tensor:
    """Half the cross-entropy of two draws' distributions P and Q, and `share` times KL(P || Q) + KL(Q || P), summed
    over rows, without holding all logits.

    features [2, N, E], weight [V, E], bias [V], targets [N] int64 -> [], nats. smoothing, ignored: as `cross_entropy`
    has them.
    """
    half = _chunk_rows(features) // 2
    together = [each.flatten(0, 1) for each in features.split(half, 1)]  # both draws of the same rows in one chunk
    chunk_loss = partial(_consistency, share=share, smoothing=smoothing, ignored=ignored)
    rows = torch.cat(together)
    return _FusedLoss.apply(rows, weight, bias, targets, 2 * half, chunk_loss, torch.is_grad_enabled())


def _consistency(
    logits: Tensor, targets: Tensor, share: float, smoothing: float, ignored: int | None
) -> tuple[Tensor, Tensor]:
    """logits [2n, V] of both draws, targets [n] -> the loss of `consistent_cross_entropy` and its gradient by the
    logits."""
    loss, by_logits = _softmax_loss(logits, targets.repeat(2), smoothing, ignored)
    log_probs = logits.log_softmax(1)
    probs = log_probs.exp()
    (one, other), (p, q) = log_probs.chunk(2), probs.chunk(2)
    ratio, difference = one - other, p - q
    real = 1.0 if ignored is None else (targets != ignored)[:, None]
    # By the first draw's logits: P (log P - log Q - KL(P || Q)) + P - Q; by the second's the same with both exchanged.
    by_one = p * (ratio - (p * ratio).sum(1, keepdim=True)) + difference
    by_other = q * (-ratio + (q * ratio).sum(1, keepdim=True)) - difference
    by_logits = by_logits / 2 + share * torch.cat((by_one * real, by_other * real))
    return loss / 2 + share * (difference * ratio * real).sum(), by_logits


def _softmax_loss(logits: Tensor, targets: Tensor, smoothing: float, ignored: int | None) -> tuple[Tensor, Tensor]:
    """logits [n, V] of a chunk -> its loss sum and the gradient by the logits, softmax - target distribution."""
    labels = targets[:, None]
    by_logits = logits.softmax(1)
    # From the largest probability, at least 1 / V: a label's may be too small for its type.
    normaliser = logits.amax(1, keepdim=True) - by_logits.amax(1, keepdim=True).log()
    loss = (normaliser - logits.gather(1, labels)) * (1 - smoothing)
    if smoothing:
        loss += (normaliser - logits.mean(1, keepdim=True)) * smoothing
        by_logits.sub_(smoothing / logits.shape[1])
    by_logits.scatter_add_(1, labels, by_logits.new_full(labels.shape, smoothing - 1))
    if ignored is not None and (targets.is_cuda or (targets == ignored).any()):
        counted = labels != ignored
        by_logits *= counted
        loss *= counted
    return loss.sum(), by_logits


def _accumulate(
    gradients: tuple[Tensor, Tensor, Tensor], chunk: slice, by_logits: Tensor, rows: Tensor, matrix: Tensor
) -> None:
    """Adds a chunk's part to the gradients by features, weight and bias."""
    by_features, by_weight, by_bias = gradients
    by_bias += by_logits.sum(0)
    compact = by_logits.to(rows.dtype)
    torch.mm(compact, matrix, out=by_features[chunk])
    if by_weight.dtype == rows.dtype:
        by_weight.addmm_(compact.t(), rows)
    else:
        by_weight += compact.t() @ rows


def loss_in_chunks(loss: Callable[..., Tensor], rows: Sequence[Tensor], parameters: Sequence[Tensor]) -> Tensor:
    """The sum of `loss` over rows, of which it takes some at a time, without holding what it makes of all of them.

    rows: tensors [N, ...], of which loss takes as many rows each as it computes together; their number is that of its
    arguments. parameters: what loss reads besides and has a gradient -> [].
    """
    return _ChunkedLoss.apply(loss, len(rows), torch.is_grad_enabled(), *rows, *parameters)


class _ChunkedLoss(torch.autograd.Function):
    """As `_FusedLoss`, of any loss: each chunk's gradients are computed right behind its loss, by autograd."""

    @staticmethod
    def forward(ctx: Any, loss: Callable[..., Tensor], count: int, training: bool, *tensors: Tensor) -> Tensor:
        """tensors: so many of rows, then the parameters."""
        wanted = [training and needed for needed in ctx.needs_input_grad[3:]]
        parameters = [each for each, needed in zip(tensors[count:], wanted[count:], strict=True) if needed]
        by_rows: list[list[Tensor]] = [[] for needed in wanted[:count] if needed]
        by_parameter = [torch.zeros_like(each) for each in parameters]
        totals = []
        size = _chunk_rows(tensors[0])
        # Weights that autocast keeps in half precision would keep the last chunk's graph.
        device = tensors[0].device.type
        half, enabled = torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)
        with torch.set_grad_enabled(any(wanted)), torch.autocast(device, half, enabled, cache_enabled=False):
            for parts in zip(*(each.detach().split(size) for each in tensors[:count]), strict=True):
                leaves = [each.requires_grad_() for each, needed in zip(parts, wanted, strict=False) if needed]
                total = loss(*parts)
                totals.append(total.detach())
                if any(wanted):
                    found = torch.autograd.grad(total, [*leaves, *parameters])
                    for chunks, each in zip(by_rows, found, strict=False):
                        chunks.append(each)
                    for place, each in zip(by_parameter, found[len(leaves) :], strict=True):
                        place += each
        ctx.wanted = wanted
        ctx.save_for_backward(*map(torch.cat, by_rows), *by_parameter)
        return torch.stack(totals).sum()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        """All gradients are linear in the upstream one, a scalar."""
        saved = iter(ctx.saved_tensors)
        scaled = ((at_least_fp32(each) * upstream[0]).to(each.dtype) for each in saved)
        return (None, None, None, *(next(scaled) if needed else None for needed in ctx.wanted))


def ctc_loss(logits: Tensor, mask: Tensor, targets: Tensor) -> LossSum:
    """Connectionist temporal classification (Graves et al. 2006), summed over the labels, nats.

    logits [B, S, V], mask [B, S] bool, True = real; targets [B, T] int64, padded with PAD_ID, which is also the blank.
    """
    real = targets != PAD_ID
    log_probs = at_least_fp32(logits).log_softmax(-1).transpose(0, 1)
    total = F.ctc_loss(log_probs, targets, mask.sum(1), real.sum(1), blank=PAD_ID, reduction="sum", zero_infinity=True)
    return LossSum(total, real.sum())
