"""Figures of captions that sacreBLEU has not, as the evaluation code of the COCO captions computes them (Chen et al.
2015): ROUGE-L, CIDEr-D, and METEOR by its own program."""

from __future__ import annotations

import functools
import math
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

BETA = 1.2
"""How many times as much recall counts as precision in ROUGE-L."""
LONGEST = 4
"""Words of the longest n-grams of CIDEr."""
SIGMA = 6.0
"""Difference in length, in words, that lowers CIDEr-D by a factor of exp(-1/2)."""

Gram = tuple[str, ...]
Weights = dict[Gram, float]
"""TF-IDF weight of each n-gram of one length."""
References = Sequence[Sequence[str]]
"""One text or several for each caption."""


def caption_words(text: str) -> str:
    """A caption as the field scores it: small letters, words and numbers alone, a space between them."""
    text = text.lower()
    marks = "".join(each for each in set(text) if unicodedata.category(each)[0] == "M")  # vowels of Hindi, for one
    return " ".join(re.findall(rf"[\w'{marks}]+", text))


def rouge_l(captions: Sequence[str], references: References) -> float:
    """Mean over the captions of the F-measure of the longest common subsequence (Lin 2004), 0 to 100; precision and
    recall are each that of the best reference."""
    scores = [_rouge_l(caption.split(), lines) for caption, lines in zip(captions, references, strict=True)]
    return 100 * math.fsum(scores) / len(scores)


def _rouge_l(words: list[str], lines: Sequence[str]) -> float:
    texts = [line.split() for line in lines]
    common = [(longest_common(words, text), len(text)) for text in texts]
    precision = max(length for length, _ in common) / max(1, len(words))
    recall = max(length / max(1, size) for length, size in common)
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision) if precision and recall else 0.0


def longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    before = [0] * (len(second) + 1)
    for word in first:
        row = [0]
        for place, other in enumerate(second, 1):
            row.append(before[place - 1] + 1 if word == other else max(before[place], row[-1]))
        before = row
    return before[-1]


def cider(captions: Sequence[str], references: References) -> float:
    """CIDEr-D (Vedantam et al. 2015, section 5 and appendix), 0 to 10: mean cosine of n-grams weighed by TF-IDF, of 1
    to 4 words; document frequencies are those of these references."""
    seen = Counter(
        gram
        for lines in references
        for gram in {each for line in lines for size in range(1, LONGEST + 1) for each in _grams(line.split(), size)}
    )
    scores = []
    for caption, lines in zip(captions, references, strict=True):
        own, others = (
            _weighed(caption, seen, len(references)),
            [_weighed(line, seen, len(references)) for line in lines],
        )
        spans = [len(caption.split()) - len(line.split()) for line in lines]
        alike = (
            _alike(own, other) * math.exp(-(span**2) / (2 * SIGMA**2))
            for other, span in zip(others, spans, strict=True)
        )
        scores.append(10 * math.fsum(alike) / len(lines))
    return math.fsum(scores) / len(scores)


def _grams(words: list[str], size: int) -> Iterator[Gram]:
    return zip(*(words[begin:] for begin in range(size)), strict=False)


def _weighed(text: str, seen: Counter[Gram], documents: int) -> list[Weights]:
    """Count times log of the inverse document frequency, for each length of n-grams."""
    words = text.split()
    counts = [Counter(_grams(words, size)) for size in range(1, LONGEST + 1)]
    return [{gram: count * math.log(documents / max(1, seen[gram])) for gram, count in each.items()} for each in counts]


def _alike(caption: list[Weights], reference: list[Weights]) -> float:
    """Mean over the lengths of n-grams of the cosine, in which a weight of the caption counts up to the reference's."""
    return math.fsum(map(_cosine, caption, reference)) / LONGEST


def _cosine(caption: Weights, reference: Weights) -> float:
    product = math.fsum(
        min(weight, reference[gram]) * reference[gram] for gram, weight in caption.items() if gram in reference
    )
    norms = math.prod(math.sqrt(math.fsum(each**2 for each in side.values())) for side in (caption, reference))
    return product / norms if norms else 0.0


def meteor_is_there() -> bool:
    """Whether METEOR can be computed here."""
    return find_spec("pycocoevalcap") is not None and shutil.which("java") is not None


def meteor(captions: Sequence[str], references: References) -> float | None:
    """METEOR 1.5 (Denkowski & Lavie 2014), 0 to 100, by its authors' program; None where pycocoevalcap, which brings
    it, or Java is missing."""
    if not meteor_is_there():
        return None
    numbered = {number: list(lines) for number, lines in enumerate(references)}
    score, _ = _meteor_program().compute_score(numbered, {number: [caption] for number, caption in enumerate(captions)})
    return 100 * float(score)


@functools.cache
def _meteor_program() -> Any:
    """The program, which takes ten seconds to begin; it ends with ours."""
    from pycocoevalcap.meteor.meteor import Meteor

    return Meteor()
