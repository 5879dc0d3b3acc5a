"""How figures that are not sacreBLEU's were computed, in the form of its signatures."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata

from seq2seq.runtime.version import version

RATES = {
    "exact match": ("mixed", "text", "seq2seq"),
    "word error rate": ("mixed", "between_spaces", "jiwer"),
    "phoneme error rate": ("mixed", "between_spaces", "jiwer"),
    "character error rate": ("mixed", "character", "jiwer"),
}
CAPTIONS = {
    **{f"BLEU-{order}": ("lc", "words_alone", "sacrebleu") for order in (1, 2, 3, 4)},
    "METEOR": ("lc", "words_alone", "pycocoevalcap"),
    "ROUGE-L": ("lc", "words_alone", "seq2seq"),
    "CIDEr": ("lc", "words_alone", "seq2seq"),
}
"""Of each figure, by its name for people: case, what is compared, the package that counts."""


def signature(name: str, references: Sequence[Sequence[str]]) -> str:
    """That of one of RATES or CAPTIONS."""
    case, unit, package = {**RATES, **CAPTIONS}[name]
    counts = {len(lines) for lines in references}
    number = str(counts.pop()) if len(counts) == 1 else "var"
    return f"nrefs:{number}|case:{case}|unit:{unit}|{package}:{_version(package)}"


def _version(package: str) -> str:
    return version() if package == "seq2seq" else metadata.version(package)
