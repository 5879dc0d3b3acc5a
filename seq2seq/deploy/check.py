"""Compares an exported directory with the model that it was made of."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from seq2seq.config import from_dict
from seq2seq.data.characters import Characters
from seq2seq.data.corpus import DataConfig, load_split
from seq2seq.data.mixing import tagged
from seq2seq.data.symbols import EOS_ID
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.errors import UserError
from seq2seq.exported.translate import Exported, Output
from seq2seq.inference.character_model import CharacterModel
from seq2seq.inference.load import Loaded
from seq2seq.inference.outputs import Translation
from seq2seq.inference.predictor import Predictor
from seq2seq.inference.transcriber import Generator
from seq2seq.inference.translator import Translator
from seq2seq.model.frontends import FrontEnd, Tokens

TOLERANCE = 1e-4
"""Of scores: nats per token; of outputs: of their largest value."""
NEAR_TIES = 10
"""Of so many answers one may differ because rounding decided in a beam."""
LONGEST = 40
"""Steps of an input that is made up."""
Pair = tuple[Any, float, Any, float]
"""The model's answer and its score, the export's and its score."""


class Report(NamedTuple):
    """How an export's answers compare with the model's own."""

    inputs: int
    differing: int
    """Whose answer is another one."""
    largest: float
    """Largest difference of a score or output."""
    made_up: bool
    """Whether the inputs were drawn at random, for want of the run's data."""


class Programs(Exported):
    """An export in torch's own format, asked as one in ONNX is."""

    def load_graph(self, name: str) -> Any:
        """As `Exported` has it."""
        return Program(
            torch.export.load(self.folder / f"{name}.pt2").module(check_guards=False), **self.config["graphs"][name]
        )


class Program(NamedTuple):
    """A program of torch, called as onnxruntime calls a graph."""

    module: Any
    inputs: list[str]
    outputs: list[str]

    def run(self, names: list[str] | None, given: dict[str, Any]) -> list[Any]:
        """The outputs of these names (None: all)."""
        found = self.module(*(torch.from_numpy(np.ascontiguousarray(given[name])) for name in self.inputs))
        outputs = dict(zip(self.outputs, found, strict=True))
        return [outputs[name].numpy() for name in names or self.outputs]


def check_export(model: Loaded, place: Path, count: int, stored: Any, exact: bool) -> Report:
    """Compares the answers to `count` inputs. exact: raises UserError where an answer differs by more than
    TOLERANCE."""
    checked: list[Pair] = []  # where it has any, these are judged in place of the pairs
    exported = Exported(place) if (place / "translate.py").exists() else Programs(place)
    random.seed(1)
    match model:
        case Translator():
            texts, made_up = _sentences(model, count, stored)
            ours = [best[0] for best in model.search(texts)]
            theirs = [best[0] for best in exported.search(texts)]
            pairs = [(a.text, a.score, b.text, b.score) for a, b in zip(ours, theirs, strict=True)]
            checked = _without_near_ties(model, texts, theirs, pairs) if exact else []
        case Generator():
            inputs, made_up = _inputs(model.config.front_end.form(), count), True
            found = [best[0] for best in model.search(inputs)]
            texts = model.vocabulary.decode_batch([each.tokens for each in found])
            theirs = [best[0] for best in exported.search(inputs)]
            rows = zip(texts, found, theirs, strict=True)
            pairs = [(text, a.score, b.text, b.score) for text, a, b in rows]
        case Predictor():
            inputs, made_up = _inputs(model.config.front_end.form(), count), True
            outputs = zip(model.predict(inputs), exported.predict(inputs), strict=True)
            pairs = [(_answer(model, a), 0.0, _answer(model, b), _distance(a, b)) for a, b in outputs]
        case CharacterModel():
            texts, made_up = _texts_of(model, count), True
            pairs = [("", model.bits_per_character(each), "", exported.bits_per_character(each)) for each in texts]
    report = _compare(checked or pairs, made_up)
    if exact and (not report.largest <= TOLERANCE or report.differing):  # not a number is no agreement
        raise UserError(
            f"the exported model answers {report.differing} of {report.inputs} inputs otherwise (scores differ by up "
            f"to {report.largest:.1e}): nothing is written; please report this"
        )
    return report._replace(differing=sum(_differs(*pair) for pair in pairs))


def _compare(pairs: Sequence[Pair], made_up: bool) -> Report:
    """An answer that differs at the same score is a tie, and none that differs."""
    distances = [abs(a - b) for _, a, _, b in pairs]
    return Report(len(pairs), sum(_differs(*pair) for pair in pairs), float(np.max(distances, initial=0.0)), made_up)


def _differs(one: Any, score: float, other: Any, other_score: float) -> bool:
    return one != other and not abs(score - other_score) <= TOLERANCE


def _without_near_ties(model: Translator, texts: list[str], theirs: Sequence[Output], pairs: list[Pair]) -> list[Pair]:
    """The pairs, where an answer of the export with another score stands beside the model's own score of it. Where two
    hypotheses are as good, rounding decides which one stays in the beam, and the answer that comes of it has another
    score than the model's own; rarely: where more than one in NEAR_TIES have, all stay as they are."""
    rows = [row for row, (_, score, _, other) in enumerate(pairs) if not abs(score - other) <= TOLERANCE]
    if len(rows) > max(1, len(pairs) // NEAR_TIES):
        return pairs
    answers = [theirs[row] for row in rows]
    scored = model.score_translations([texts[row] for row in rows], [Translation(*answer) for answer in answers])
    again = list(pairs)
    for row, answer, score in zip(rows, answers, scored, strict=True):
        again[row] = (
            answer.text,
            score.log_probability / score.tokens,
            answer.text,
            answer.log_probability / score.tokens,
        )
    return again


def _sentences(model: Translator, count: int, stored: Any) -> tuple[list[str], bool]:
    """Sentences of the run's data, or made-up ones where it is not at hand."""
    given = {field.name: stored[field.name] for field in fields(DataConfig) if field.name in (stored or {})}
    if "data" in given:
        with contextlib.suppress(UserError, OSError):
            corpus = from_dict(DataConfig, given, "the run's data")
            found = [
                row["source"] for row in itertools.islice(iter(load_split(corpus, corpus.validation_split)), count)
            ]
            if found:
                return found, False
    assert isinstance(model.source_vocabulary, Vocabulary)  # `plan_of` refuses others
    tag = model.tags[0] if model.needs_tag else ""
    return [tagged(text, tag) for text in _made_up(model.source_vocabulary, count)], True


def _made_up(vocabulary: Vocabulary, count: int) -> list[str]:
    ids = range(EOS_ID + 1, len(vocabulary))
    drawn = [random.choices(ids, k=random.randint(1, LONGEST)) for _ in range(count)]
    return vocabulary.decode_batch(drawn)


def _inputs(form: FrontEnd, count: int) -> list[Any]:
    generator = np.random.default_rng(1)
    shapes = [
        [int(generator.integers(1, LONGEST)) if size is None else size for size in form.input_shape]
        for _ in range(count)
    ]
    if isinstance(form, Tokens):
        return [generator.integers(0, form.vocabulary_size, shape) for shape in shapes]
    return [generator.random(shape, np.float32) for shape in shapes]


def _texts_of(model: CharacterModel, count: int) -> list[str]:
    assert isinstance(model.units, Characters)
    symbols = model.units.symbols
    return ["".join(random.choices(symbols, k=random.randint(1, LONGEST))) for _ in range(count)]


def _answer(model: Predictor, outputs: Any) -> Any:
    """The class or classes; nothing where the outputs are values, which are compared as numbers."""
    return outputs.argmax(-1).tolist() if model.labels is not None else None


def _distance(one: Any, other: Any) -> float:
    return float(np.abs(one - other).max() / max(1.0, np.abs(one).max()))
