"""A language model with a cache of what it has just read: names and turns of phrase that come once come again."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq.config import Real, Whole, check_number
from seq2seq.data.language_units import preceding
from seq2seq.errors import check, check_argument
from seq2seq.inference.character_model import CharacterModel
from seq2seq.inference.inputs import check_text

STEPS_AT_A_TIME = 512
SIZE = 8_000
WEIGHTS = (0.05, 0.1, 0.2, 0.3, 0.4)
SHARPNESSES = (0.3, 0.6, 1.0)
"""What is tried where a cache is tuned."""


class NeuralCache(NamedTuple):
    """The continuous cache of Grave et al. (2017): the next token is, with a probability of `weight`, one
    that was read after a state like the present one.

    P(w) = (1 - weight) P_model(w) + weight x sum over cached steps i that w followed of softmax(sharpness x h . h_i),
    h being the highest layer's states. Nothing is trained.
    """

    size: int = SIZE
    """Steps that are remembered, the last ones."""
    weight: float = 0.2
    sharpness: float = 0.6


class Block(NamedTuple):
    """Some steps of a reading."""

    states: Tensor
    """[T, H] after each token that was given"""
    wanted: Tensor
    """[T] int64, the tokens that follow"""
    log_probs: Tensor
    """[T] theirs by the model alone"""


def bits_with_cache(model: CharacterModel, text: str, cache: NeuralCache) -> float:
    """`CharacterModel.bits_per_character`, forward, with a cache of the text's own beginning."""
    check_argument("bits_with_cache", "model", model, CharacterModel)
    check_text(text, "text")
    check_argument("bits_with_cache", "cache", cache, NeuralCache)
    check_number("size", cache.size, Whole(1, 10_000_000))
    check_number("weight", cache.weight, Real(0, 1, without=(1,)))
    check_number("sharpness", cache.sharpness, Real(0, 1_000))
    return _bits_by_cache(model, text, [cache])[0]


def tuned_cache(model: CharacterModel, text: str, size: int = SIZE) -> NeuralCache:
    """The cache of that size with which the text has the fewest bits, of some weights and sharpnesses."""
    check_argument("tuned_cache", "model", model, CharacterModel)
    check_text(text, "text")
    check_number("size", size, Whole(1, 10_000_000))
    caches = [NeuralCache(size, *each) for each in itertools.product(WEIGHTS, SHARPNESSES)]
    bits = _bits_by_cache(model, text, caches)
    return caches[bits.index(min(bits))]


@torch.inference_mode()
def _bits_by_cache(model: CharacterModel, text: str, caches: Sequence[NeuralCache]) -> list[float]:
    """Bits per character of a text with each of the caches."""
    check(bool(text), "the text to score is empty")
    largest = max(cache.size for cache in caches)
    totals = [0.0 for _ in caches]
    past: Block | None = None
    for block in _blocks(model, text):
        known = block if past is None else Block(*map(torch.cat, zip(past, block, strict=True)))
        likeness = block.states @ known.states.t()
        ages = torch.arange(len(known.wanted) - len(block.wanted), len(known.wanted), device=likeness.device)[:, None]
        ages = ages - torch.arange(len(known.wanted), device=likeness.device)  # of each step, seen from each
        same = known.wanted == block.wanted[:, None]
        for number, cache in enumerate(caches):
            cached = (ages > 0) & (ages <= cache.size)
            shares = (cache.sharpness * likeness).masked_fill(~cached, -math.inf).softmax(-1)
            by_cache = (shares * (same & cached)).nan_to_num().sum(-1).double()
            weight = cache.weight * cached.any(-1)
            probabilities = (1 - weight) * block.log_probs.double().exp() + weight * by_cache
            totals[number] -= float(probabilities.log().sum())
        past = Block(*(each[-largest:] for each in known))
    return [total / len(text) / math.log(2) for total in totals]


def _blocks(model: CharacterModel, text: str) -> Iterator[Block]:
    ids = model.units.encode(text)
    state, read = model.model.start(1), list[tuple[Tensor, Tensor]]()
    for number, (given, wanted) in enumerate(zip(preceding(ids), ids, strict=False), 1):
        log_probs, state = model.model.step(torch.tensor([given], device=model.device), state)
        read.append((state.hidden[0, -1].float(), log_probs[0, wanted]))
        if len(read) == STEPS_AT_A_TIME or number == len(ids):
            states, found = map(torch.stack, zip(*read, strict=True))
            yield Block(states, torch.tensor(ids[number - len(read) : number], device=model.device), found)
            read = []
