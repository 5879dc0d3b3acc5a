"""What a decoder carries from step to step, and what it gives."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from seq2seq.model.memory import Memory


class DecoderState(NamedTuple):
    """All that a step needs. Hypotheses of one sentence stand next to each other: N = B x hypotheses per sentence."""

    hidden: Tensor
    """[N, L, H]; L is 1 with the conditional cell."""
    cell: Tensor
    """[N, L, H]; the same as hidden where the cell has no c."""
    feed: Tensor
    """[N, E] the last attentional vector (used by input_feeding)."""
    attention: Any
    """The attention's own state; what it keeps per sentence, beams share."""

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> DecoderState:
        """Keeps these rows: hypotheses indexes N; sentences indexes B, None where every sentence stays."""
        hidden, cell, feed = (field.index_select(0, hypotheses) for field in (self.hidden, self.cell, self.feed))
        return DecoderState(hidden, cell, feed, self.attention.reorder(hypotheses, sentences))


class WithSource(NamedTuple):
    """An attention's state, and beside it what else is read of the source's steps that it looks at."""

    attention: Any
    source: Tensor
    """[B, S, ...] embeddings of the source, or ids."""

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> WithSource:
        """As `DecoderState.reorder`; the source belongs to the sentences."""
        source = self.source if sentences is None else self.source.index_select(0, sentences)
        return WithSource(self.attention.reorder(hypotheses, sentences), source)


class Output(NamedTuple):
    """What a model gives of a batch under teacher forcing."""

    features: Tensor
    """[B, T, E] the output layer's input."""
    attention: Tensor
    """[B, T, S] weights, 0 on padding; S is 0 where the decoder does not attend."""
    memory: Memory
    """What the encoder gave."""
    source: Tensor | None = None
    """[B, S, ...] what the encoder read, for decoders that copy from it."""


class Dropouts(NamedTuple):
    """The masks of one unrolled sequence, drawn once (see SequenceDropout): [B, 1, width], or 1.0 where nothing is
    dropped."""

    embedding: Tensor
    layers: Tensor
    """[B, 1, H] on the hidden states that attention and the upper layers read."""
    readout: Tensor
