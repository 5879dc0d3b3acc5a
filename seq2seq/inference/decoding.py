"""THE decoding loop, which all who decode many inputs go through, and scores of given outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from seq2seq.data.batch import Batch, collate_to_decode, half_rows
from seq2seq.data.symbols import BOS_ID, EOS_ID, PAD_ID
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.errors import check, check_argument
from seq2seq.inference.fast_decoder import prepare
from seq2seq.model.attention import NoAttention
from seq2seq.model.decoder_state import Output
from seq2seq.model.hard_attention import HardAttentionDecoder
from seq2seq.model.seq2seq import Seq2Seq
from seq2seq.runtime.device import in_parts_that_fit
from seq2seq.runtime.distributed import World
from seq2seq.runtime.kernels import DECODING_STEP
from seq2seq.search.beam import SearchConfig, greedy_search

Result = TypeVar("Result")

ROWS_PER_BATCH, TOKENS_PER_BATCH = 192, 8_192
"""Sentences, and padded source tokens, that are decoded together; a matter of speed and memory, never of the result."""
INPUTS_PER_BATCH, STEPS_PER_BATCH = 64, 65_536
"""The same of inputs that are no text, whose steps are many and cheap."""
HYPOTHESES_PER_BATCH = 2_048
"""Hypotheses, beams of all sentences together, that are searched at once: so is their memory bounded."""


def times_as_many(device: torch.device) -> int:
    """How many times as many inputs as on a CPU are decoded together: on a GPU a step costs its launches, whatever the
    rows."""
    return 8 if device.type == "cuda" else 1


def rows_for_beam(beam_size: int, device: torch.device, most_rows: int = ROWS_PER_BATCH) -> int:
    """Sentences that are decoded together with a beam."""
    return max(1, times_as_many(device) * min(most_rows, HYPOTHESES_PER_BATCH // beam_size))


def decode_in_batches(
    lengths: Sequence[int],
    work: Callable[[list[int]], Iterable[Result]],
    most_rows: int = ROWS_PER_BATCH,
    most_steps: int = TOKENS_PER_BATCH,
    blank: Result | None = None,
    world: World | None = None,
) -> list[Result]:
    """What `work` gives for row indices of similar length, in the order of `lengths`. Where memory runs out, `work`
    gets half as many rows at a time.

    blank: the result of rows of length 0, which are not decoded; without it they are decoded like others. world: the
    processes that share the batches, and all get all results; they call this together.
    """
    world = world or World()
    results: list[Any] = [blank] * len(lengths)

    def decode(rows: list[int]) -> None:
        for row, result in zip(rows, work(rows), strict=True):
            results[row] = result

    chosen = {row: length for row, length in enumerate(lengths) if length or blank is None}
    batches = list(like_lengths(chosen, most_rows, most_steps))
    own = batches[world.rank :: world.size]
    for rows in own:
        in_parts_that_fit(rows, decode, half_rows)
    if world.size > 1:
        gathered = world.in_turn([[results[row] for row in rows] for rows in own])
        for rows, decoded in zip(batches, gathered, strict=True):
            for row, result in zip(rows, decoded, strict=True):
                results[row] = result
    return results


def like_lengths(lengths: Mapping[int, int], most_rows: int, most_steps: int) -> Iterator[list[int]]:
    """Groups row indices of similar length into batches of at most `most_rows` rows and `most_steps` padded steps.

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


def attends(model: Seq2Seq) -> bool:
    """Whether the decoder looks at the encoder's states, so that there is something to show."""
    check_argument("attends", "model", model, torch.nn.Module)
    return not isinstance(getattr(model.decoder, "attention", None), NoAttention)


def check_attends(model: Seq2Seq) -> None:
    """Raises UserError where there is no attention to show."""
    check(attends(model), "this model has no attention (model.decoder.attention none): there are no weights to show")


@torch.inference_mode()
def score_pairs(model: Seq2Seq, batch: Batch, *others: Seq2Seq) -> tuple[Tensor, Tensor, Tensor]:
    """Forced decoding: log-probability of each target [B] fp32, its tokens [B] (eos included), attention [B, T, S].

    others: an ensemble's further models; a token's probability is the mean of all, attention the first model's, with
    hard attention its most probable alignment.
    """
    real = batch.target_output != PAD_ID
    picked, output = _forced(model, batch)
    attention = output.attention
    if isinstance(model.decoder, HardAttentionDecoder):
        attention = model.decoder.best_alignment(batch.target_input, batch.target_output, output.memory)
    if others:
        every = torch.stack([picked, *(_forced(each, batch)[0] for each in others)])
        picked = every.logsumexp(0) - math.log(len(every))
    return picked.masked_fill(~real, 0.0).sum(1), real.sum(1), attention  # of padding it may be -inf


def _forced(model: Seq2Seq, batch: Batch) -> tuple[Tensor, Output]:
    """Log-probability of each token of the targets [B, T] fp32, padding among them, and what the model gave."""
    output = model(batch.source, batch.source_lengths, batch.target_input)
    log_probs = model.decoder.log_probs(output).float()
    return log_probs.gather(-1, batch.target_output[..., None])[..., 0], output


@torch.inference_mode()
def greedy_texts(
    model: Seq2Seq,
    sources: Sequence[Sequence[int]],
    vocabulary: Vocabulary,
    config: SearchConfig,
    world: World | None = None,
) -> list[str]:
    """Greedy translations of token ids: what validation during training decodes with. world: as `decode_in_batches`
    takes it."""
    device = next(model.parameters()).device
    prepared = prepare(model)

    def translate(rows: list[int]) -> list[str]:
        batch = collate_to_decode([(sources[row], ()) for row in rows]).to(device)
        state = prepared.start_from(model.encode(batch.source, batch.source_lengths), batch.source)
        found = greedy_search(prepared.step, state, config.limits(batch.source_lengths), BOS_ID, EOS_ID)
        return vocabulary.decode_batch(found)

    lengths, times = [len(ids) for ids in sources], times_as_many(device)
    return decode_in_batches(lengths, translate, times * ROWS_PER_BATCH, times * TOKENS_PER_BATCH, "", world)
