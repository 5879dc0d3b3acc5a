"""Connectionist temporal classification (Graves et al. 2006): greedy and prefix-beam decoding, and CTC's prefix scores
joined with attention in one beam search (Watanabe et al. 2017).

The blank is PAD_ID, which no target contains.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seq2seq.data.symbols import EOS_ID, PAD_ID
from seq2seq.search.step import SearchState, StepFn

BLANK = PAD_ID


def ctc_greedy(log_probs: Tensor, mask: Tensor) -> list[list[int]]:
    """The labels of the most probable alignment: repeats merged, then blanks dropped. log_probs [B, S, V], mask [B, S]
    bool."""
    best = log_probs.argmax(-1).masked_fill(~mask, BLANK)
    return [
        [label for label, before in zip(row, [BLANK, *row], strict=False) if label not in (before, BLANK)]
        for row in best.tolist()
    ]


def ctc_beam_search(log_probs: Tensor, mask: Tensor, beam_size: int = 10) -> list[list[int]]:
    """The most probable labels, summed over their alignments (prefix search; Graves et al. 2006, section 3.2, with the
    beam of Hannun et al. 2014)."""
    return [_prefix_beam(row[real], beam_size) for row, real in zip(log_probs, mask, strict=True)]


def _prefix_beam(log_probs: Tensor, beam_size: int) -> list[int]:
    """log_probs [S, V] of one sequence."""
    beam: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}  # log P ending in blank, in a label
    for frame in log_probs.tolist():
        grown: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [-math.inf, -math.inf])
        for prefix, (blank, label) in beam.items():
            both = _add(blank, label)
            here = grown[prefix]
            here[0] = _add(here[0], both + frame[BLANK])
            for token, log_prob in enumerate(frame):
                if token == BLANK:
                    continue
                longer = grown[prefix + (token,)]  # noqa: RUF005
                if prefix and prefix[-1] == token:  # a repeat without a blank between stays the same prefix
                    here[1] = _add(here[1], label + log_prob)
                    longer[1] = _add(longer[1], blank + log_prob)
                else:
                    longer[1] = _add(longer[1], both + log_prob)
        ranked = sorted(grown.items(), key=lambda entry: -_add(entry[1][0], entry[1][1]))[:beam_size]
        beam = {prefix: (blank, label) for prefix, (blank, label) in ranked}
    return list(next(iter(beam)))


def _add(one: float, other: float) -> float:
    """log(exp(one) + exp(other))."""
    high, low = max(one, other), min(one, other)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


class JointState(NamedTuple):
    """The attention decoder's state beside CTC's forward variables of each hypothesis and its extensions."""

    inner: Any
    steps: int
    """Tokens so far."""
    log_probs: Tensor
    """[B, S, V] CTC's, padding frames pure blank."""
    label: Tensor
    """[N, S, V] log P of each extension, by frame, ending in a label (gamma_n)."""
    blank: Tensor
    """[N, S, V] the same ending in blank (gamma_b)."""
    prefix: Tensor
    """[N, V] log P of all labellings that begin with the extension (psi); in EOS_ID's column, that of ending here."""

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> JointState:
        """As `DecoderState.reorder`."""
        kept = (field.index_select(0, hypotheses) for field in (self.label, self.blank, self.prefix))
        log_probs = self.log_probs if sentences is None else self.log_probs.index_select(0, sentences)
        return JointState(self.inner.reorder(hypotheses, sentences), self.steps, log_probs, *kept)


def start_joint(inner: SearchState, log_probs: Tensor, mask: Tensor) -> JointState:
    """The state before the first token. log_probs [B, S, V] of the CTC head, mask [B, S] bool."""
    only_blank = torch.full_like(log_probs[:1, :1], -math.inf)
    only_blank[..., BLANK] = 0.0
    log_probs = torch.where(mask[..., None], log_probs, only_blank)
    # The empty prefix, in the place of every token: the first token given, bos, chooses one of these columns.
    blank = log_probs[..., BLANK].cumsum(1)[..., None].expand_as(log_probs)
    nothing = torch.zeros_like(log_probs[:, 0])
    return JointState(inner, 0, log_probs, torch.full_like(blank, -math.inf), blank, nothing)


def joint_step(step: StepFn[Any], weight: float) -> Callable[[Tensor, JointState], tuple[Tensor, JointState]]:
    """A StepFn that scores with (1 - weight) x attention + weight x CTC (Watanabe et al. 2017, eq. 11-17)."""

    def joined(token: Tensor, state: JointState) -> tuple[Tensor, JointState]:
        by_attention, inner = step(token, state.inner)
        label, blank = (_pick(field, token) for field in (state.label, state.blank))
        before = state.prefix.gather(1, token[:, None])
        log_probs = state.log_probs.repeat_interleave(len(token) // len(state.log_probs), 0)
        extended = _extend(label, blank, log_probs, token, first=state.steps == 0)
        increments = extended[2] - before
        increments[:, BLANK] = -math.inf
        scores = (1 - weight) * by_attention + weight * increments
        # A dead hypothesis has -inf - -inf; it stays dead.
        scores = scores.nan_to_num(nan=-math.inf, neginf=-math.inf)
        return scores, JointState(inner, state.steps + 1, state.log_probs, *extended)

    return joined


def _pick(field: Tensor, token: Tensor) -> Tensor:
    """[N, S, V], [N] -> [N, S]: the column of each row's token."""
    return field.gather(2, token[:, None, None].expand(-1, field.shape[1], 1))[..., 0]


def _extend(
    label: Tensor, blank: Tensor, log_probs: Tensor, last: Tensor, first: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Forward variables of every one-token extension of N prefixes.

    label, blank [N, S] of the prefix, log_probs [N, S, V], last [N] its last token -> [N, S, V] twice, prefix scores
    [N, V]. first: the prefix is empty.
    """
    either = torch.logaddexp(label, blank)
    sources = either[..., None].expand_as(log_probs).clone()
    sources.scatter_(2, last[:, None, None].expand(-1, sources.shape[1], 1), blank[..., None])
    new_label = torch.full_like(log_probs, -math.inf)
    new_blank = torch.full_like(log_probs, -math.inf)
    if first:
        new_label[:, 0] = log_probs[:, 0]
    prefix = new_label[:, 0]
    for frame in range(1, log_probs.shape[1]):
        arriving = sources[:, frame - 1]
        new_label[:, frame] = torch.logaddexp(new_label[:, frame - 1], arriving) + log_probs[:, frame]
        before = torch.logaddexp(new_blank[:, frame - 1], new_label[:, frame - 1])
        new_blank[:, frame] = before + log_probs[:, frame, BLANK, None]
        prefix = torch.logaddexp(prefix, arriving + log_probs[:, frame])
    prefix = prefix.clone()
    prefix[:, EOS_ID] = either[:, -1]
    return new_label, new_blank, prefix
