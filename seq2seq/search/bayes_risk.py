"""Minimum Bayes risk (Kumar & Byrne 2004; Eikema & Aziz 2020): of several texts, the one that is most like the others.

The likeness of two texts, the utility, is a metric of single sentences, computed for all pairs at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

Array = np.ndarray
CHARACTER_ORDERS, BETA = 6, 2
WORD_ORDERS = 4


def expected_utility(
    texts: Sequence[str], weights: Sequence[float], utility: Callable[[Sequence[str]], Array]
) -> Array:
    """[n] the utility of each text, 0 to 100, where the truth is each of the texts with the chances `weights` [n]."""
    different = list(dict.fromkeys(texts))
    place = {text: number for number, text in enumerate(different)}
    places = [place[text] for text in texts]
    chances = np.bincount(places, np.asarray(weights, np.float64) / np.sum(weights), len(different))
    expected: Array = (utility(different) @ chances)[places]
    return expected


def chrf_of_pairs(texts: Sequence[str]) -> Array:
    """[n, n] chrF2 of text i where the reference is text j, as sacreBLEU has it for single sentences."""
    stripped = ["".join(text.split()) for text in texts]
    precision, recall, orders = np.zeros((3, len(texts), len(texts)))
    for order in range(1, CHARACTER_ORDERS + 1):
        grams = [[text[start : start + order] for start in range(len(text) - order + 1)] for text in stripped]
        matches, sizes = _matches(grams), np.array([len(each) for each in grams], np.float64)
        both = (sizes[:, None] > 0) & (sizes > 0)
        precision += np.divide(matches, sizes[:, None], out=np.zeros_like(matches), where=both)
        recall += np.divide(matches, sizes, out=np.zeros_like(matches), where=both)
        orders += both
    orders = np.maximum(orders, 1)
    precision, recall, factor = precision / orders, recall / orders, BETA**2
    below = factor * precision + recall
    score: Array = np.divide(100 * (1 + factor) * precision * recall, below, out=np.zeros_like(below), where=below > 0)
    return score


def bleu_of_pairs(texts: Sequence[str]) -> Array:
    """[n, n] BLEU of text i where the reference is text j, as sacreBLEU has it for single sentences: effective order,
    exponential smoothing, tokens of 13a."""
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    tokenize = Tokenizer13a()
    words = [tokenize(text.rstrip()).split() for text in texts]
    sizes = np.array([len(each) for each in words], np.float64)
    logs, orders, smoothing, any_match = np.zeros((4, len(texts), len(texts)))
    for order in range(1, WORD_ORDERS + 1):
        grams = [[tuple(each[start : start + order]) for start in range(len(each) - order + 1)] for each in words]
        matches = _matches(grams)
        totals = np.broadcast_to(np.maximum(sizes - order + 1, 0)[:, None], matches.shape)
        smoothing += (matches == 0) & (totals > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs += np.where(totals > 0, np.log(np.where(matches > 0, matches, 0.5**smoothing) / totals), 0)
        orders += totals > 0
        any_match += matches
    with np.errstate(divide="ignore", invalid="ignore"):
        brevity = np.minimum(1 - sizes / sizes[:, None], 0)
        score: Array = np.where(any_match > 0, 100 * np.exp(brevity + logs / np.maximum(orders, 1)), 0)
    return score


UTILITIES = {"chrf": chrf_of_pairs, "bleu": bleu_of_pairs}


def _matches(grams: Sequence[Sequence[object]]) -> Array:
    """[n, n] how many n-grams two texts share, each as often as both have it.

    Where the second and third time of an n-gram are features of their own, a text is a vector of 0 and 1, and what two
    share is a product of vectors.
    """
    columns: dict[tuple[object, int], int] = {}
    rows, places = [], []
    for row, each in enumerate(grams):
        seen: Counter[object] = Counter()
        for gram in each:
            seen[gram] += 1
            rows.append(row)
            places.append(columns.setdefault((gram, seen[gram]), len(columns)))
    features = np.zeros((len(grams), len(columns)), np.float32)
    features[rows, places] = 1
    return (features @ features.T).astype(np.float64)
