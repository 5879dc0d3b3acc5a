"""Weights of a sum of features, found on validation data: coordinate by coordinate, over a grid that becomes finer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

STEPS = (1.0, 0.3, 0.1)
"""What a weight is changed by, coarse to fine."""
REACH = 3
"""Steps in each direction that are tried at a time."""
ROUNDS = 5
"""Times that all weights are looked at with one step, at most."""


def search_weights(
    first: Sequence[float], score: Callable[[Sequence[float]], float], signs: Sequence[bool]
) -> tuple[list[float], float]:
    """The weights with the highest score found, and that score. first: where to begin. signs: for each weight whether
    it may be negative. A change must raise the score: weights that do nothing stay as they are."""
    best, highest = list(first), score(first)
    for step in STEPS:
        for _ in range(ROUNDS):
            before = highest
            for place, signed in enumerate(signs):
                values = [round(best[place] + times * step, 6) for times in range(-REACH, REACH + 1) if times]
                for value in values:
                    tried = [*best[:place], value, *best[place + 1 :]]
                    found = score(tried) if value >= 0 or signed else highest
                    if found > highest:
                        best, highest = tried, found
            if highest == before:
                break
    return best, highest
