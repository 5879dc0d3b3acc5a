"""Decoding of many inputs in batches of similar length, and scores of given outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from seq2seq.data.batch import Batch, collate_to_decode, half_rows
from seq2seq.data.symbols import BOS_ID, EOS_ID, PAD_ID
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.inference.fast_decoder import prepare
from seq2seq.model.seq2seq import Seq2Seq
from seq2seq.runtime.device import in_parts_that_fit
from seq2seq.runtime.kernels import DECODING_STEP
from seq2seq.search.beam import SearchConfig, greedy_search


def like_lengths(lengths: Mapping[int, int], most_rows: int, most_steps: int) -> Iterator[list[int]]:
    """Numbers of rows to decode together, given each one's length: like lengths, at most so many rows and padded steps.

    A batch of more than DECODING_STEP rows has a multiple of it: where there are too few, its last row comes again.
    """
    batch: list[int] = []
    for row in sorted(lengths, key=lengths.__getitem__):
        while batch and (len(batch) == most_rows or (len(batch) + 1) * lengths[row] > most_steps):
            whole = len(batch) // DECODING_STEP * DECODING_STEP or len(batch)
            yield batch[:whole]
            batch = batch[whole:]
        batch.append(row)
    if len(batch) > DECODING_STEP:
        batch += batch[-1:] * (-len(batch) % DECODING_STEP)
    if batch:
        yield batch


@torch.inference_mode()
def score_pairs(model: Seq2Seq, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Forced decoding: log-probability of each target [B] fp32, its tokens [B] (eos included), attention [B, T, S]."""
    output = model(batch.source, batch.source_lengths, batch.target_input)
    log_probs = model.decoder.log_probs(output).float()
    real = batch.target_output != PAD_ID
    picked = log_probs.gather(-1, batch.target_output[..., None])[..., 0]
    return (picked * real).sum(1), real.sum(1), output.attention


ROWS_PER_BATCH = 192
TOKENS_PER_BATCH = 8_192
"""Sentences, and padded source tokens, that are decoded together; a matter of speed and memory, never of the result."""


def decoding_batches(sources: Sequence[Sequence[int]], blank: bool = True) -> Iterator[list[int]]:
    """Row numbers of sentences to decode together. Blank sentences are left out where asked."""
    lengths = {row: len(ids) for row, ids in enumerate(sources) if ids or not blank}
    return like_lengths(lengths, ROWS_PER_BATCH, TOKENS_PER_BATCH)


@torch.inference_mode()
def greedy_texts(
    model: Seq2Seq, sources: Sequence[Sequence[int]], vocabulary: Vocabulary, config: SearchConfig
) -> list[str]:
    """Greedy translations of token ids: what validation during training decodes with."""
    texts = [""] * len(sources)
    device = next(model.parameters()).device
    prepared = prepare(model)

    def translate(rows: list[int]) -> None:
        batch = collate_to_decode([(sources[row], ()) for row in rows]).to(device)
        state = prepared.start_from(model.encode(batch.source, batch.source_lengths), batch.source)
        found = greedy_search(prepared.step, state, config.limits(batch.source_lengths), BOS_ID, EOS_ID)
        for row, text in zip(rows, vocabulary.decode_batch(found), strict=True):
            texts[row] = text

    for rows in decoding_batches(sources):
        in_parts_that_fit(rows, translate, half_rows)
    return texts
