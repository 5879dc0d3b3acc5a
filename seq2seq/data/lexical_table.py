"""Which tokens translate which: IBM Model 1 (Brown et al. 1993), learned from sentence pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from seq2seq.data.batch import Pair
from seq2seq.data.symbols import EOS_ID, PAD_ID

Array = np.ndarray
ITERATIONS = 5
MOST_EVENTS = 20_000_000
"""Pairs of a source and a target token that are learned from at most, which take about 2 GB."""


def pairs_to_learn_from(pairs: Iterable[Pair]) -> list[tuple[Array, Array]]:
    """The first sentence pairs, as many as MOST_EVENTS allows, without those that have an empty side: what
    `lexical_probabilities` takes. The source's end stands for what target tokens have that translate nothing; factors
    of tokens count like tokens."""
    read, events = [], 0
    for source, target in pairs:
        flat = np.array([*np.ravel(source), EOS_ID], np.int64)
        if len(flat) == 1 or not len(target):
            continue
        read.append((flat[flat != PAD_ID], np.array(target, np.int64)))
        events += len(read[-1][0]) * len(target)
        if events >= MOST_EVENTS:
            break
    return read


def lexical_probabilities(pairs: Sequence[tuple[Array, Array]]) -> tuple[Array, Array, Array]:
    """IBM Model 1: source tokens, target tokens, and P(target | source), of all that stand in a pair together. pairs:
    tokens of both sides; the source's hold one for targets that translate nothing."""
    first = np.concatenate([np.repeat(source, len(target)) for source, target in pairs])
    second = np.concatenate([np.tile(target, len(source)) for source, target in pairs])
    starts = np.cumsum([0, *(len(target) for _, target in pairs)])
    places = np.concatenate(
        [
            np.tile(np.arange(start, start + len(target)), len(source))
            for start, (source, target) in zip(starts, pairs, strict=False)
        ]
    )
    width = int(second.max()) + 1
    keys, event = np.unique(first * width + second, return_inverse=True)
    sources, targets = keys // width, keys % width
    probabilities = np.ones(len(keys))
    for _ in range(ITERATIONS):
        shares = probabilities[event]
        shares /= np.bincount(places, shares)[places]
        counts = np.bincount(event, shares)
        probabilities = counts / np.bincount(sources, counts)[sources]
    return sources, targets, probabilities
