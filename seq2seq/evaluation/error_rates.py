"""Error rates of token sequences: word, phoneme, digit and character error rate, as the speech and g2p fields count.

jiwer is imported where it is used: a command that only translates does not need it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from seq2seq.errors import check


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

    Edit distances are jiwer's. Raises UserError where the numbers of lines differ.
    """
    counts = _nearest(hypotheses, references, edits, lambda line: len(line.split()))
    wrong = sum(errors > 0 for errors, _ in counts)
    return ErrorRates(_rate(counts), 100 * wrong / len(hypotheses), len(hypotheses))


def character_error_rate(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Character edits in percent of the references' characters; of several references the nearest counts. A run of
    white space is one character. Raises UserError where the numbers of lines differ."""
    return _rate(_nearest(hypotheses, references, character_edits, lambda line: len(_plain(line))))


def edits(hypothesis: str, reference: str) -> int:
    """Substitutions, deletions and insertions that turn one token sequence into the other."""
    from jiwer import process_words

    if not reference.split():  # jiwer refuses an empty reference
        return len(hypothesis.split())
    return _total(process_words(_plain(reference), _plain(hypothesis)))


def character_edits(hypothesis: str, reference: str) -> int:
    """Substitutions, deletions and insertions of characters that turn one text into the other."""
    from jiwer import process_characters

    if not reference.split():
        return len(_plain(hypothesis))
    return _total(process_characters(_plain(reference), _plain(hypothesis)))


def check_lines(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Raises UserError where hypotheses are no list of texts, references no list of lists of them, or their numbers
    differ."""
    sized = all(hasattr(each, "__len__") and not isinstance(each, str) for each in (hypotheses, references))
    check(sized, "hypotheses must be a list of texts, references a list of lists of texts, one list per hypothesis")
    count = len(hypotheses)
    check(count == len(references), f"{count} hypotheses but {len(references)} lines of references")
    for number, (text, lines) in enumerate(zip(hypotheses, references, strict=True), 1):
        check(isinstance(text, str), f"hypothesis {number} is of type {type(text).__name__}; give texts")
        fits = not isinstance(lines, str) and hasattr(lines, "__len__") and all(isinstance(each, str) for each in lines)
        check(fits, f"the references of line {number} must be a list of texts, not {lines!r:.40}")


def check_each_has_one(references: Sequence[Sequence[str]]) -> None:
    """Raises UserError where a line has no reference, which the scorers' libraries do not foresee."""
    bare = next((number for number, lines in enumerate(references, 1) if not len(lines)), None)
    check(bare is None, f"line {bare} has no reference; each hypothesis needs at least one")


def _total(counted: Any) -> int:
    return int(counted.substitutions + counted.deletions + counted.insertions)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _nearest(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    count: Callable[[str, str], int],
    size: Callable[[str], int],
) -> list[tuple[int, int]]:
    """Per hypothesis the edits from its nearest reference (of equally near ones, the shortest), and that one's size."""
    check_lines(hypotheses, references)
    check(len(hypotheses) > 0, "0 hypotheses but 0 lines of references")
    check_each_has_one(references)
    pairs = zip(hypotheses, references, strict=True)
    return [min((count(hypothesis, line), size(line)) for line in lines) for hypothesis, lines in pairs]


def _rate(counts: list[tuple[int, int]]) -> float:
    return 100 * sum(errors for errors, _ in counts) / max(1, sum(size for _, size in counts))
