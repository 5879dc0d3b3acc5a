"""What a search does beyond the plain beam. Needs no torch: the command line makes its options of these fields."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from seq2seq.config import SEARCH, SEEDS, Real, Whole, check_fields, check_numbers
from seq2seq.errors import check

BOUNDS: dict[str, Whole | Real] = {
    "min_length": Whole(0, SEARCH["max_length"].highest),  # type: ignore[arg-type]
    "no_repeat_ngram": Whole(0, 100),
    "length_reward": Real(-100, 100),
    "coverage_penalty": Real(0, 100),
    "candidates": Whole(0, 1_000),
    "temperature": Real(0.001, 1_000),
    "top_k": Whole(0, 1_000_000),
    "top_p": Real(0, 1, without=(0,)),
    "seed": SEEDS,
    "beam_groups": Whole(1, SEARCH["beam_size"].highest),  # type: ignore[arg-type]
    "diversity": Real(0, 1_000),
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
    """Added to the score of each output found, per token, before the best is chosen (He et al. 2016). It takes the
    place of the length penalty: set that to 0."""
    coverage_penalty: float = 0.0
    """Weight beta of the coverage penalty, which lowers the scores of outputs found whose attention left out parts of
    the source (Wu et al. 2016, eq. 14)."""

    candidates: int = 0
    """Outputs found from which the best are chosen by another score than the search's; 0 is beam_size."""
    sampling: Literal["off", "ancestral", "without_replacement"] = "off"
    """Draw outputs at random instead of searching for the best: independently of each other, or different ones
    (stochastic beam search, Kool et al. 2019)."""
    temperature: float = 1.0
    """Of sampling: above 1 probabilities become more alike, below 1 less."""
    top_k: int = 0
    """Of sampling: only the so many most probable tokens are drawn; 0 is all."""
    top_p: float = 1.0
    """Of sampling: only the fewest most probable tokens are drawn that have this probability together."""
    seed: int = 1
    """Of sampling. A sentence's draws depend on it and on the sentence, not on others beside it."""
    beam_groups: int = 1
    """Groups that divide the beam and keep away from each other, for n best that differ (Vijayakumar et al. 2016)."""
    diversity: float = 0.5
    """Of beam_groups: what a token counts less for each time that an earlier group has just chosen it, in nats."""
    mbr: Literal["off", "chrf", "bleu"] = "off"
    """Choose of the outputs found the one that is most like the others (minimum Bayes risk): by chrF or BLEU of single
    sentences. Outputs weigh by their probabilities; those of ancestral sampling alike. Their score is that likeness."""

    def __post_init__(self) -> None:
        check_fields(self, "")
        check_numbers(self, "", **BOUNDS)
        self._refuse_idle("candidates", "is of scores that order outputs anew: give one", not self.reorders)
        for name in ("temperature", "top_k", "top_p", "seed"):
            self._refuse_idle(name, "is of sampling: choose a kind of it", self.sampling == "off")
        self._refuse_idle("diversity", "is of beam_groups: give more than 1", self.beam_groups == 1)
        for name in ("length_reward", "coverage_penalty"):
            self._refuse_idle(
                name, "does nothing beside mbr, which has a score of its own: leave mbr", self.mbr != "off"
            )
        self._refuse_idle("beam_groups", "is of a search, not of sampling: leave that out", self.sampling != "off")

    def _refuse_idle(self, name: str, reason: str, idle: bool) -> None:
        """Raises UserError where an option was given that would do nothing."""
        default = {field.name: field.default for field in fields(self)}[name]
        check(not idle or getattr(self, name) == default, f"{name} {reason}, or leave {name} out")

    @property
    def rescores(self) -> bool:
        """Whether the outputs found are ordered anew by another score than the search's."""
        return bool(self.length_reward or self.coverage_penalty)

    @property
    def reorders(self) -> bool:
        """Whether the best are chosen among more outputs found than are given."""
        return self.rescores or self.mbr != "off"
