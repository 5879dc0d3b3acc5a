"""The ways to find outputs, of which a plan chooses one: beam search in its forms, or drawing at random."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from seq2seq.data.symbols import BOS_ID, EOS_ID
from seq2seq.inference.plan import SearchPlan
from seq2seq.inference.rules import Started
from seq2seq.inference.terminology import Terms
from seq2seq.runtime.kernels import DECODING_STEP
from seq2seq.search.beam import Hypothesis, beam_search
from seq2seq.search.constraints import constrained_beam_search
from seq2seq.search.diverse import diverse_beam_search
from seq2seq.search.sampling import LimitedState, ending_in_time, sample, stochastic_beam_search, tempered


def found_by(
    plan: SearchPlan,
    started: Started,
    sources: Sequence[Sequence[int]],
    terms: Sequence[Terms] | None = None,
    falling: bool = True,
) -> list[list[Hypothesis]]:
    """plan.found outputs of each sentence. sources: their tokens. terms: what the outputs must hold. falling: as
    `beam_search` takes it."""
    step, state, limits = started
    decoding = plan.decoding
    if terms is not None:
        return constrained_beam_search(
            step, state, limits, plan.search, BOS_ID, EOS_ID, plan.found, terms, DECODING_STEP, falling
        )
    if decoding.beam_groups > 1:
        groups = (decoding.beam_groups, decoding.diversity)
        return diverse_beam_search(
            step, state, limits, plan.search, BOS_ID, EOS_ID, plan.found, *groups, DECODING_STEP, falling
        )
    if decoding.sampling == "off":
        return beam_search(step, state, limits, plan.search, BOS_ID, EOS_ID, plan.found, DECODING_STEP, falling)
    draw = sample if decoding.sampling == "ancestral" else stochastic_beam_search
    seeds = [seed_of(source, decoding.seed) for source in sources]
    shaped = tempered(ending_in_time(step, EOS_ID), decoding.temperature, decoding.top_k, decoding.top_p)
    return draw(
        shaped, LimitedState(state, limits), limits, plan.search, BOS_ID, EOS_ID, plan.found, seeds, DECODING_STEP
    )


def seed_of(source: Sequence[int], seed: int) -> int:
    """A seed of a sentence's own, which depends on nothing but its tokens and the seed given."""
    return int.from_bytes(hashlib.sha256(repr((seed, list(source))).encode()).digest()[:8], "big")
