"""What `seq2seq predict` does once the run is loaded: reads inputs, asks the model, writes a line per input."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from seq2seq.cli.lines import STDIN, lines_of
from seq2seq.cli.verbs import search_settings
from seq2seq.errors import UserError, check
from seq2seq.inference.character_model import CharacterModel
from seq2seq.inference.load import Loaded
from seq2seq.inference.outputs import Labelled, probabilities, values_line
from seq2seq.inference.predictor import Predictor
from seq2seq.inference.transcriber import Generator
from seq2seq.inference.translator import Translator

Array = np.ndarray

INPUTS_IN_MEMORY = 256
"""Inputs that are read before the first of them is answered, in order to decode like lengths together."""

Name = int | str
"""Number of a line, or name of a file."""


class Answer(NamedTuple):
    """One input's answer."""

    rows: list[tuple[str, ...]]
    """The cells of each line to write, behind the input's name."""
    fields: dict[str, Any]
    """What the JSON object has behind the input's name."""


def write_answers(model: Loaded, options: argparse.Namespace) -> None:
    """Answers all inputs, on standard output. Raises UserError at one that cannot be read, naming it, when those before
    it are answered."""
    answer = _answering(model, options)
    for group in _groups(model, options.files):
        names, inputs = zip(*group, strict=True)
        for name, each in zip(names, answer(inputs), strict=True):
            sys.stdout.buffer.write(_lines(name, each, options.json).encode("utf-8", errors="replace"))
        sys.stdout.buffer.flush()


def _lines(name: Name, answer: Answer, as_json: bool) -> str:
    """The output lines of one input; tabs separate columns, so those inside a cell become spaces there."""
    if as_json:
        kind = "line" if isinstance(name, int) else "file"
        return json.dumps({kind: name, **answer.fields}, ensure_ascii=False) + "\n"
    return "".join("\t".join(_cell(cell) for cell in (str(name), *row)) + "\n" for row in answer.rows)


def _cell(text: str) -> str:
    return text.replace("\t", " ").replace("\n", " ")


def _groups(model: Loaded, files: Sequence[str]) -> Iterator[list[tuple[Name, Any]]]:
    """Names and inputs, some at a time; those before one that cannot be read come before its error does."""
    group: list[tuple[Name, Any]] = []
    sources: Iterator[tuple[Name, Any]] = _numbered(model, files) if _reads_text(model) else _named(model, files)
    while True:
        try:
            group.append(next(sources))
        except StopIteration:
            break
        except (UserError, OSError):
            if group:
                yield group
            raise
        if len(group) == INPUTS_IN_MEMORY:
            yield group
            group = []
    if group:
        yield group


def _reads_text(model: Loaded) -> bool:
    return isinstance(model, Translator) or (isinstance(model, Generator | Predictor) and model.reader.reads_text)


def _numbered(model: Any, files: Sequence[str]) -> Iterator[tuple[Name, Any]]:
    """The lines of text files with their numbers, as the model takes them. A translator takes blank ones, too."""
    with lines_of(files, "a text") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield number, line if isinstance(model, Translator) else model.read(line)
            except UserError as error:
                raise UserError(f"{lines.place(number)}: {error}") from None


def _named(model: Any, files: Sequence[str]) -> Iterator[tuple[Name, Any]]:
    """Files with their names, as the model takes them."""
    for file in files or (STDIN,):
        if file != STDIN:
            yield file, model.read(file)
            continue
        with lines_of([STDIN], "names of files") as names:
            yield from ((name, model.read(name)) for name in names if name.strip())


def _answering(model: Loaded, options: argparse.Namespace) -> Callable[[Sequence[Any]], Iterable[Answer]]:
    """The function from inputs to answers. Raises UserError where an option is of no use to this kind of run."""
    settings, n_best = search_settings(options), options.n_best
    check(
        options.max_input_length is None or isinstance(model, Translator),
        f"--max-input-length is for runs that translate; {options.model} does not",
    )
    match model:
        case Translator():
            model.max_source_tokens = options.max_input_length or model.max_source_tokens

            def translated(texts: Sequence[str]) -> Iterator[Answer]:
                for best in model.search(texts, n_best or 1, **settings):
                    yield _ranked([(each.text, each.score) for each in best], n_best)

            return translated
        case Generator():

            def generated(inputs: Sequence[Array]) -> Iterator[Answer]:
                for best in model.search(inputs, n_best or 1, **settings):
                    texts = model.vocabulary.decode_batch([each.tokens for each in best])
                    yield _ranked([(text, each.score) for text, each in zip(texts, best, strict=True)], n_best)

            return generated
        case CharacterModel():
            raise UserError(
                f"{options.model}: holds a language model, which goes on writing: seq2seq sample {options.model} TEXT"
            )
    unused = [f"--{name.replace('_', '-')}" for name in settings]
    check(not unused, f"{', '.join(unused)}: for runs that write text; {options.model} does not")
    several = n_best is None or model.names_a_class
    check(several, f"--n-best: for runs that write text or name a class; {options.model} does not")
    return lambda inputs: _predicted(model, inputs, n_best)


def _predicted(model: Predictor, inputs: Sequence[Array], n_best: int | None) -> Iterator[Answer]:
    for outputs in model.predict(inputs):
        answer = model.meaning(outputs)
        if model.labels is None:
            yield Answer([(values_line(answer),)], {"answer": answer.tolist()})
            continue
        if isinstance(answer, Labelled):
            named = {"class": answer.name, "labels": answer.labels}
            fields = {"answer": named, "score": answer.score, "scores": answer.scores}
            yield Answer([(answer.name, " ".join(answer.labels))], fields)
        elif isinstance(answer, list):
            scores = probabilities(outputs).max(-1).tolist()
            yield Answer([(" ".join(answer),)], {"answer": answer, "scores": scores})
        else:
            likely = probabilities(outputs)
            order = (-likely).argsort(kind="stable")[: n_best or 1]
            yield _ranked([(model.labels[label], float(likely[label])) for label in order], n_best)


def _ranked(candidates: list[tuple[str, float]], n_best: int | None) -> Answer:
    """The best of texts or labels with their scores, or several."""
    text, score = candidates[0] if candidates else ("", 0.0)
    fields: dict[str, Any] = {"answer": text, "score": score}
    if n_best is None:
        return Answer([(text,)], fields)
    fields["n_best"] = [{"answer": text, "score": score} for text, score in candidates]
    return Answer(
        [(str(rank), f"{score:.6f}", text) for rank, (text, score) in enumerate(candidates, 1)],
        fields,
    )
