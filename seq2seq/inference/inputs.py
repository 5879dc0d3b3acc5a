"""Inputs of a trained model, checked and padded: feature vectors, images, token ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch

from seq2seq.config import SEARCH, check_number, suggestion
from seq2seq.data.batch import Batch, Ids, collate_features
from seq2seq.errors import UserError, check
from seq2seq.model.frontends import FrontEnd, FrontEndConfig, Tokens, Words
from seq2seq.search.beam import SearchConfig

Array = np.ndarray


def list_of_texts(given: Any, what: str = "text") -> list[str]:
    """The strings of a list, tuple, array, column or the like, in order. what: names one of them in errors.

    Raises UserError where something else was given, such as a single string, a generator, or a list of numbers.
    """
    check(
        not isinstance(given, Iterator),
        f"{what}s must be a list of strings, not a {type(given).__name__}: give list(...) of it, or use "
        "Translator.stream, which reads and translates a part at a time",
    )
    return list(checked_texts(items_of(given, "strings", what), what))


def checked_texts(given: Iterable[Any], what: str = "text") -> Iterator[str]:
    """The texts as they come; UserError at one that is no string. what: names it."""
    for number, text in enumerate(given, 1):
        check(isinstance(text, str), f"{what} {number} is of type {type(text).__name__}; give strings")
        yield text


def items_of(given: Any, items: str, what: str) -> Iterable[Any]:
    """What was given, where going through it gives its items in order. items, what: name all and one of them in errors.

    Raises UserError for a single string, a dict, a set, and what holds no items at all.
    """
    kind = type(given).__name__
    wanted = f"{what}s must be a list of {items}"
    check(not isinstance(given, str | bytes), f"{wanted}, one per {what}, not a single string")
    check(not isinstance(given, Set), f"{wanted}, not a {kind}, whose order is left to chance")
    several = hasattr(given, "__iter__") and getattr(given, "ndim", 1) > 0  # an array without dimension is one item
    check(several and not isinstance(given, Mapping), f"{wanted}, not of type {kind}")
    return given


def check_text(value: Any, name: str) -> None:
    """Raises UserError where the value is no string."""
    check(isinstance(value, str), f"{name} must be a string, not of type {type(value).__name__}")


def search_settings(config: SearchConfig, n_best: int, options: Mapping[str, Any]) -> SearchConfig:
    """The settings of a search for the n best: config, with the options given. A beam that is not given is widened to
    n_best.

    Raises UserError for an unknown option, or a beam given that is narrower than n_best.
    """
    known = [field.name for field in fields(config)]
    for name in options:
        check(name in known, f"unknown search option '{name}'{suggestion(name, known)}")
    check_number("n_best", n_best, SEARCH["beam_size"])
    if "beam_size" not in options:
        return replace(config, beam_size=max(config.beam_size, int(n_best)), **options)
    settings = replace(config, **options)
    check(
        n_best <= settings.beam_size,
        f"n_best {n_best} is more than beam_size {settings.beam_size}: a beam holds no more outputs than that; "
        "raise beam_size, or leave it out",
    )
    return settings


def read_inputs(config: FrontEndConfig, inputs: Any) -> list[Array]:
    """Inputs as the front end reads them: [S, F] or [C, height, width] float32 (bytes become 0 to 1), or ids [S] int64.

    Raises UserError where they are no list, and, with the input's number, where one is of another shape, has no steps,
    or holds no numbers.
    """
    front_end = config.form()
    numbered = enumerate(items_of(inputs, "arrays", "input"), 1)
    return [read_input(front_end, one, f"input {number}") for number, one in numbered]


def read_input(front_end: FrontEnd, one: Any, name: str) -> Array:
    """One input, as `read_inputs` gives it. name: says in errors which."""
    wanted = front_end.input_shape
    shown = ", ".join("S" if size is None else str(size) for size in wanted)
    refusal = f"{name}: this model reads arrays [{shown}], not {type(one).__name__}"
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # refused below
            array = front_end.read(one)
    except (TypeError, ValueError, OverflowError) as error:  # no numbers, or rows of unequal length
        raise UserError(f"{refusal} ({error})") from None
    fits = array.ndim == len(wanted) and all(
        size in (None, found) for size, found in zip(wanted, array.shape, strict=True)
    )
    check(fits, f"{refusal} of shape {list(array.shape)}")
    check(len(array) > 0, f"{name} has no steps; leave it out")
    check(bool(np.isfinite(array).all()), f"{name} holds infinite or undefined values")
    if isinstance(front_end, Tokens | Words):
        whole, limit = bool(np.all(array == np.asarray(one))), front_end.id_limit
        within = int(array.min()) >= 0 and bool(np.all(array < limit))
        check(whole and within, f"{name}: ids are whole numbers from 0 to {np.max(limit) - 1}")
    return array


def collate_inputs(config: FrontEndConfig, pairs: Sequence[tuple[Array, Ids]], length_step: int = 1) -> Batch:
    """Pairs of an input ([S, F] features, or a [C, height, width] image) and target ids -> Batch."""
    steps = config.form().steps
    if steps is None:
        return collate_features(pairs, length_step)
    batch = collate_features([(image[None], target) for image, target in pairs], length_step)
    return batch._replace(
        source=torch.from_numpy(np.stack([image for image, _ in pairs])),
        source_lengths=torch.full((len(pairs),), steps),
    )
