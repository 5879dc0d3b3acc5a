"""What attention does in a whole corpus, in three numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from seq2seq.errors import check

Weights = Sequence[Sequence[float]]
"""[T][S] attention of one sentence, the ends of both sentences last."""


class AttentionStatistics(NamedTuple):
    """Means over a corpus."""

    entropy: float
    """Of the attention of a target piece, in nats: 0 where it looks at one piece of the source alone."""
    coverage: float
    """Percentage of the source that got attention: a piece counts as what it got in all, but 1 at most."""
    monotonicity: float
    """Percentage of the steps from one target piece to the next in which the piece that is attended to most does not
    come before the last one."""

    def report(self) -> list[str]:
        """For people, a line each."""
        return [
            f"attention entropy {self.entropy:.3f} nats",
            f"attention coverage {self.coverage:.2f} %",
            f"attention monotonicity {self.monotonicity:.2f} %",
        ]


def attention_statistics(maps: Sequence[Weights]) -> AttentionStatistics:
    """The statistics of these sentences. The rows of ends of sentences count, too, for coverage alone. Raises UserError
    where there is no target piece."""
    entropies: list[float] = []
    got, pieces, kept, moves = 0.0, 0, 0, 0
    for weights in maps:
        if not weights:
            continue
        words = weights[:-1]
        entropies += [-sum(each * math.log(each) for each in row if each > 0) for row in words]
        got += sum(min(1.0, sum(column)) for column in zip(*weights, strict=True))
        pieces += len(weights[0])
        places = [row.index(max(row)) for row in map(list, words)]
        kept += sum(one <= other for one, other in pairwise(places))
        moves += max(0, len(places) - 1)
    check(bool(entropies), "there are no target words, whose attention could be described")
    mean = sum(entropies) / len(entropies)
    return AttentionStatistics(mean, 100 * got / pieces, 100 * kept / moves if moves else 100.0)
