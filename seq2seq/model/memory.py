"""What an encoder hands to a decoder.

Shape legend used across the package: B sentences, S source steps, T target steps, V vocabulary, H hidden units,
E embedding units, L layers, N hypotheses (B x beam) during search.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Memory(NamedTuple):
    """Encoded input, whatever it was made from: words, image columns, audio frames."""

    states: Tensor
    """[B, S, H] one vector per *output* step of the encoder (S is shorter than the input where it subsamples)."""
    mask: Tensor
    """[B, S] bool, True where the step is real, False where it is padding."""
    final_hidden: Tensor
    """[B, H] a summary of the whole input: of a BiLSTM, both directions' last h. Starts the decoder's h. Where the
    decoder takes over layer by layer, [B, L H]: that of every layer, the lowest first."""
    final_cell: Tensor
    """[B, H] the same of the cell state c; it is handed over too, never dropped."""
    beside: Memory | None = None
    """A second memory, such as that of features, for decoders that look at two."""


def length_mask(lengths: Tensor, max_length: int) -> Tensor:
    """[B] lengths -> [B, max_length] bool mask, True on real steps."""
    return torch.arange(max_length, device=lengths.device)[None, :] < lengths[:, None]


def mean_memory(states: Tensor, lengths: Tensor) -> Memory:
    """Memory for encoders with no final state of their own: h and c start from the mean (Xu et al. 2015, eq. 4-5).

    states: [B, S, H]; lengths: [B] int64, real steps per row (at least 1).
    """
    mask = length_mask(lengths, states.shape[1])
    mean = (states * mask[..., None]).sum(1) / lengths.clamp(min=1)[:, None].to(states.dtype)
    return Memory(states, mask, mean, mean)
