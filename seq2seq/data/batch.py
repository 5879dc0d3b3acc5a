"""Batches: padded tensors of several examples, and how examples become one."""

import math
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from seq2seq.data.symbols import BOS_ID, EOS_ID, PAD_ID
from seq2seq.runtime.device import to_device
from seq2seq.runtime.kernels import DECODING_STEP

Array = np.ndarray


Ids = Sequence[int]
Pair = tuple[Ids, Ids]
"""Token ids of source and target, without bos and eos."""


class Batch(NamedTuple):
    """Padded token ids of B sentence pairs.

    Whatever else belongs to the pairs (factors, ids to copy, weights) joins as a further field `Tensor | None = None`,
    [B, ...]: moving, halving and recording go over all fields, and leave out those that are None.
    """

    source: Tensor
    """[B, S] int64, PAD_ID after each row's end; with factors [B, S, 1 + F]; or features [B, S, ...] float, 0 after
    it."""
    source_lengths: Tensor
    """[B] int64"""
    target_input: Tensor
    """[B, T] int64: bos, then the target."""
    target_output: Tensor
    """[B, T] int64: the target, then eos; PAD_ID after it."""

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device."""
        return map_tensors(self, lambda tensor: to_device(tensor, device))


class SequenceBatch(NamedTuple):
    """Padded sequences with what should be predicted of them, for models that have a head instead of a decoder."""

    inputs: Tensor
    """[B, S, ...] float features, 0 on padding; or [B, S] int64 ids."""
    lengths: Tensor
    """[B] int64"""
    targets: Tensor
    """What the objective compares with: [B] classes, [B, S] labels, [B, D] or [B, S, D] values, as `collate_sequences`
    pads them; for CTC [B, T] labels, PAD_ID after each row's end."""

    def to(self, device: torch.device) -> "SequenceBatch":
        """The batch on a device."""
        return map_tensors(self, lambda tensor: to_device(tensor, device))


AnyBatch = TypeVar("AnyBatch", Batch, SequenceBatch)
Tensors = TypeVar("Tensors", bound=tuple[Tensor | None, ...])
"""A named tuple of tensors with B rows each; the first field is never None."""


def map_tensors(batch: Tensors, function: Callable[[Tensor], Tensor]) -> Tensors:
    """A batch of the same kind, of what the function makes of each tensor; a field that is None stays so."""
    kind: Any = type(batch)
    return kind(*(None if tensor is None else function(tensor) for tensor in batch))


def row_count(batch: tuple[Tensor | None, ...]) -> int:
    """B, the number of examples."""
    assert batch[0] is not None
    return len(batch[0])


def halves(batch: Tensors) -> list[Tensors]:
    """The rows of a batch in two batches; one where there is one row."""
    return [map_tensors(batch, itemgetter(rows)) for rows in half_rows(list(range(row_count(batch))))]


def half_rows(rows: list[int]) -> list[list[int]]:
    """Row numbers in two lists; one where there is one row."""
    middle = len(rows) // 2
    return [rows[:middle], rows[middle:]] if middle else [rows]


class Batches(Protocol):
    """What a trainer draws from: an endlessly repeatable sequence of batches per epoch, enterable at any point."""

    batches_per_epoch: int | None
    """Batches that this rank gets in an epoch; None where only reading shows it (streams)."""

    def iterate(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """This rank's batches of an epoch, from the start-th on; each has a method `to(device)`."""


def pad(rows: Sequence[Ids], step: int = 1, extra: int = 0) -> tuple[Array, Array]:
    """Ragged ids -> ([B, L] int64 padded with PAD_ID, [B] lengths); L holds the longest + extra, rounded up to `step`.
    Rows of ids for each step, [L_i, W], give [B, L, W]."""
    lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
    width = round_up(max(1, int(lengths.max(initial=0)) + extra), step)
    flat = np.concatenate([np.asarray(row) for row in rows if len(row)]) if lengths.sum() else np.zeros(0, np.int64)
    padded = np.full((len(rows), width, *flat.shape[1:]), PAD_ID, np.int64)
    padded[np.arange(width)[None, :] < lengths[:, None]] = flat
    return padded, lengths


def round_up(value: int, step: int) -> int:
    """The next multiple of step."""
    return -(-value // step) * step


def collate(pairs: Sequence[Pair], length_step: int = 1) -> Batch:
    """Pairs of ids -> Batch, with bos and eos added to the targets and eos to the sources."""
    source, source_lengths = pad([source for source, _ in pairs], length_step, extra=1)
    rows = np.arange(len(pairs))
    # Marks for the encoder where the sentence ends; gives empty sources one real step.
    tokens = source if source.ndim == 2 else source[..., 0]
    tokens[rows, source_lengths] = EOS_ID
    target_output, target_lengths = pad([target for _, target in pairs], length_step, extra=1)
    target_input = np.full_like(target_output, BOS_ID)
    target_input[:, 1:] = target_output[:, :-1]
    target_output[rows, target_lengths] = EOS_ID
    arrays = (source, source_lengths + 1, target_input, target_output)
    return Batch(*(torch.from_numpy(array) for array in arrays))


def pad_features(rows: Sequence[Array], step: int = 1, padding: float = 0) -> tuple[Array, Array]:
    """Sequences [S_i, ...] of one element type -> ([B, S, ...] padded with `padding`, [B] lengths); S rounded up to
    `step`."""
    lengths = np.array([len(row) for row in rows], np.int64)
    width = round_up(max(1, int(lengths.max(initial=0))), step)
    padded = np.full((len(rows), width, *rows[0].shape[1:]), padding, rows[0].dtype)
    for place, row in zip(padded, rows, strict=True):
        place[: len(row)] = row
    return padded, lengths


def collate_to_decode(pairs: Sequence[Pair]) -> Batch:
    """`collate`, in few lengths."""
    return collate(pairs, decoding_length_step(max(len(ids) for pair in pairs for ids in pair)))


def decoding_length_step(longest: int) -> int:
    """What inputs to decode are padded to multiples of: the longer ones to larger multiples, so that few lengths
    occur."""
    return DECODING_STEP if longest < 8 * DECODING_STEP else 4 * DECODING_STEP


def collate_features(pairs: Sequence[tuple[Array, Ids]], length_step: int = 1) -> Batch:
    """Pairs of features [S_i, ...] float32 and target ids -> Batch: what feeds a decoder from something unwritten."""
    ids = collate([((), target) for _, target in pairs], length_step)
    source, lengths = pad_features([features for features, _ in pairs], length_step)
    return ids._replace(source=torch.from_numpy(source), source_lengths=torch.from_numpy(lengths))


def collate_sequences(examples: Sequence[tuple[Array, Array]], length_step: int = 1) -> SequenceBatch:
    """Pairs of inputs [S_i, ...] and targets ([T_i, ...], or a class as an array of no dimension) -> SequenceBatch.

    Labels are padded with PAD_ID, float values with NaN: not known.
    """
    inputs, lengths = pad_features([each for each, _ in examples], length_step)
    targets = [np.asarray(target) for _, target in examples]
    padding = PAD_ID if np.issubdtype(targets[0].dtype, np.integer) else math.nan
    joined = pad_features(targets, length_step, padding)[0] if targets[0].ndim else np.stack(targets)
    return SequenceBatch(torch.from_numpy(inputs), torch.from_numpy(lengths), torch.from_numpy(joined))
