"""Outputs that a search has found, ordered anew by a score of the whole output."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from seq2seq.data.batch import collate_to_decode
from seq2seq.inference.decoding import decode_in_batches, score_pairs
from seq2seq.inference.outputs import Translation
from seq2seq.model.seq2seq import Seq2Seq
from seq2seq.search.bayes_risk import UTILITIES, expected_utility
from seq2seq.search.beam import Hypothesis
from seq2seq.search.decoding_config import DecodingConfig


def rescored(
    model: Seq2Seq, sources: Sequence[Sequence[int]], found: list[list[Hypothesis]], decoding: DecodingConfig
) -> list[list[Hypothesis]]:
    """The outputs of each source with the length reward and the coverage penalty in their scores, best first.

    score + length_reward x tokens (end of sentence included) + coverage_penalty x coverage.
    """
    pairs = [(source, each) for source, pool in zip(sources, found, strict=True) for each in pool]
    coverages = iter(
        _coverages(model, pairs) if decoding.coverage_penalty else [0.0] * len(pairs)  # it costs a pass of the model
    )
    results = []
    for pool in found:
        scored = [
            each._replace(
                score=each.score
                + decoding.length_reward * (len(each.tokens) + 1)
                + decoding.coverage_penalty * next(coverages)
            )
            for each in pool
        ]
        results.append(sorted(scored, key=lambda each: -each.score))
    return results


def by_bayes_risk(found: list[Translation], decoding: DecodingConfig) -> list[Translation]:
    """The outputs of one source by their expected utility, which becomes their score, best first."""
    logs = np.zeros(len(found)) if decoding.sampling == "ancestral" else [each.log_probability for each in found]
    weights = np.exp(np.array(logs) - np.max(logs))
    utility = expected_utility([each.text for each in found], weights, UTILITIES[decoding.mbr])
    scored = [each._replace(score=score) for each, score in zip(found, utility.tolist(), strict=True)]
    return sorted(scored, key=lambda each: -each.score)


def _coverages(model: Seq2Seq, pairs: Sequence[tuple[Sequence[int], Hypothesis]]) -> list[float]:
    device = next(model.parameters()).device

    def work(rows: list[int]) -> list[float]:
        batch = collate_to_decode([(pairs[row][0], pairs[row][1].tokens) for row in rows]).to(device)
        _, counts, weights = score_pairs(model, batch)
        covered: list[float] = coverage(weights, counts, batch.source_lengths).tolist()
        return covered

    return decode_in_batches([len(source) + len(each.tokens) for source, each in pairs], work)


def coverage(weights: Tensor, target_lengths: Tensor, source_lengths: Tensor) -> Tensor:
    """[B] sum over source tokens of log min(attention that they got in all, 1): 0 where each got its share (Wu et al.
    2016, eq. 14). weights [B, T, S], lengths [B]."""
    targets = torch.arange(weights.shape[1], device=weights.device) < target_lengths[:, None]
    got = (weights.float() * targets[..., None]).sum(1)
    sources = torch.arange(weights.shape[2], device=weights.device) < source_lengths[:, None]
    tiny = torch.finfo(got.dtype).tiny  # a token that got nothing at all would make every output impossible
    return (got.clamp(tiny, 1).log() * sources).sum(1)
