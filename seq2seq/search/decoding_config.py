"""What a search does beyond the plain beam. Needs no torch: the command line makes its options of these fields."""

from __future__ import annotations

from dataclasses import dataclass

from seq2seq.config import SEARCH, Real, Whole, check_fields, check_numbers

BOUNDS: dict[str, Whole | Real] = {
    "min_length": Whole(0, SEARCH["max_length"].highest),  # type: ignore[arg-type]
    "no_repeat_ngram": Whole(0, 100),
    "length_reward": Real(-100, 100),
    "coverage_penalty": Real(0, 100),
}
"""Of DecodingConfig's numbers."""


@dataclass(frozen=True)
class DecodingConfig:
    """Restrictions of the output and other ways to choose it. The defaults are the plain beam search."""

    min_length: int = 0
    """Shortest output in tokens, end of sentence included; 0 is none. The limit by max_length_ratio gives way to it."""
    no_repeat_ngram: int = 0
    """No run of so many pieces comes twice in one output; 0 allows all."""
    no_unknown: bool = False
    """Never write the unknown symbol (of vocabularies without byte fallback)."""
    length_reward: float = 0.0
    """Added to the score of each output found, per token, before the best is chosen (He et al. 2016)."""
    coverage_penalty: float = 0.0
    """Weight beta of the coverage penalty, which lowers the scores of outputs found whose attention left out parts of
    the source (Wu et al. 2016, eq. 14)."""

    def __post_init__(self) -> None:
        check_fields(self, "decoding")
        check_numbers(self, "", **BOUNDS)

    @property
    def rescores(self) -> bool:
        """Whether the outputs found are ordered anew by another score than the search's."""
        return bool(self.length_reward or self.coverage_penalty)
