"""Error rates of token sequences: word, phoneme, digit and character error rate, as the speech and g2p fields count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seq2seq.config import UserError


@dataclass(frozen=True)
class ErrorRates:
    """Rates over a corpus, in percent."""

    token: float
    """Substitutions, deletions and insertions over the references' tokens (WER, PER, CER by what a token is)."""
    sequence: float
    """Sequences with any error."""
    sequences: int

    def describe(self, token: str = "token") -> str:
        """One line for people; token: what the tokens are."""
        return f"{token} error rate {self.token:.2f} %, sequence error rate {self.sequence:.2f} % of {self.sequences:,}"


def error_rates(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> ErrorRates:
    """Compares token sequences written with spaces between tokens; of several references the nearest counts.

    Edit distances are jiwer's. Raises UserError where jiwer is not installed or the numbers of lines differ.
    """
    if len(hypotheses) != len(references) or not hypotheses:
        raise UserError(f"{len(hypotheses)} hypotheses but {len(references)} lines of references")
    errors = tokens = wrong = 0
    for hypothesis, lines in zip(hypotheses, references, strict=True):
        count, length = min((edits(hypothesis, line), len(line.split())) for line in lines)
        errors, tokens, wrong = errors + count, tokens + length, wrong + (count > 0)
    return ErrorRates(100 * errors / max(1, tokens), 100 * wrong / len(hypotheses), len(hypotheses))


def edits(hypothesis: str, reference: str) -> int:
    """Substitutions, deletions and insertions that turn one token sequence into the other."""
    try:
        from jiwer import process_words
    except ImportError:
        raise UserError("error rates need jiwer: pip install 'seq2seq[tasks]'") from None
    if not reference.split():  # jiwer refuses an empty reference
        return len(hypothesis.split())
    counted = process_words(reference, hypothesis)
    return int(counted.substitutions + counted.deletions + counted.insertions)
