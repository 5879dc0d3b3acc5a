"""Minimum risk training: outputs that the model draws itself, weighed by how far they are from the reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from seq2seq.data.batch import Batch, collate
from seq2seq.data.symbols import BOS_ID, EOS_ID, PAD_ID
from seq2seq.model.losses import LossSum
from seq2seq.model.seq2seq import Seq2Seq
from seq2seq.training.in_use import in_use
from seq2seq.training.objectives import ComputeLoss

Ids = list[int]
Cost = Callable[[Sequence[Ids], Ids], Sequence[float]]
"""Outputs, and the reference, in ids without bos and eos -> each output's cost, 0 to 1."""


def minimum_risk(samples: int, sharpness: float, cost: Cost) -> ComputeLoss:
    """Expected cost of the model's outputs (Shen et al. 2016, eq. 8 to 10), per sentence; meant to go on from a trained
    model, at a small learning rate.

    Of each sentence the different ones among `samples` outputs drawn from the model, without dropout, and the reference
    are its candidates y; each has the weight Q(y) = P(y)^sharpness, made to sum to one, and the loss is the sum of Q(y)
    times its cost.
    """

    def compute_loss(model: Seq2Seq, batch: Batch) -> LossSum:
        references = _ids_of(batch.target_output)
        drawn = draw_outputs(model, batch, samples)
        rows: list[int] = []
        candidates: list[Ids] = []
        costs: list[float] = []
        for row, (reference, outputs) in enumerate(zip(references, drawn, strict=True)):
            different = [list(each) for each in dict.fromkeys(map(tuple, [reference, *outputs]))]
            rows += [row] * len(different)
            candidates += different
            costs += cost(different, reference)
        device = batch.source.device
        chosen = torch.tensor(rows, device=device)
        log_probs = _log_probabilities(model, batch, chosen, candidates)
        return LossSum(
            expected_cost(log_probs * sharpness, torch.tensor(costs, device=device).to(log_probs), chosen),
            torch.tensor(len(references), device=device),
        )

    return compute_loss


def expected_cost(scores: Tensor, costs: Tensor, rows: Tensor) -> Tensor:
    """scores and costs [N] of candidates, rows [N] int64, the sentence of each -> [] the sum over sentences of the mean
    cost by the softmax of the sentence's scores."""
    count = int(rows.max()) + 1
    top = scores.new_full((count,), -math.inf).scatter_reduce(0, rows, scores.detach(), "amax")
    shares = (scores - top[rows]).exp()
    sums = scores.new_zeros(count).index_add(0, rows, shares)
    return (shares / sums[rows] * costs).sum()


def draw_outputs(model: Seq2Seq, batch: Batch, samples: int) -> list[list[Ids]]:
    """So many outputs of each sentence, token by token by the model's probabilities; one that has not ended within 10
    tokens more than 1.5 times the reference's ends there."""
    with in_use(model):
        return _drawn(model, batch, samples)


def _drawn(model: Seq2Seq, batch: Batch, samples: int) -> list[list[Ids]]:
    lengths = (batch.target_output != PAD_ID).sum(1).repeat_interleave(samples)
    limits = (lengths * 3 // 2 + 10).tolist()
    repeated = torch.arange(len(batch.source), device=batch.source.device).repeat_interleave(samples)
    state = model.start(batch.source, batch.source_lengths).reorder(repeated, None)
    tokens, outputs = torch.full_like(repeated, BOS_ID), []
    ended = torch.zeros_like(repeated, dtype=torch.bool)
    for _ in range(max(limits)):
        log_probs, state = model.step(tokens, state)
        log_probs[:, [PAD_ID, BOS_ID]] = -math.inf
        tokens = torch.multinomial(log_probs.exp(), 1)[:, 0].masked_fill(ended, EOS_ID)
        outputs.append(tokens)
        ended = ended | (tokens == EOS_ID)
        if ended.all():
            break
    found = [each[:limit] for each, limit in zip(_ids_of(torch.stack(outputs, 1)), limits, strict=True)]
    return [found[begin : begin + samples] for begin in range(0, len(found), samples)]


def _ids_of(outputs: Tensor) -> list[Ids]:
    """[N, T] -> the tokens of each row before its first eos."""
    return [row[: row.index(EOS_ID)] if EOS_ID in row else row for row in outputs.tolist()]


def _log_probabilities(model: Seq2Seq, batch: Batch, rows: Tensor, candidates: Sequence[Ids]) -> Tensor:
    """Of each candidate [N], an output of the sentence in that row: [N]."""
    targets = collate([((), ids) for ids in candidates]).to(batch.source.device)
    output = model(batch.source[rows], batch.source_lengths[rows], targets.target_input)
    log_probs = model.decoder.log_probs(output).gather(-1, targets.target_output[..., None])[..., 0]
    return (log_probs * (targets.target_output != PAD_ID)).sum(1)
