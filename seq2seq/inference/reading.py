"""Files and texts as a run's model reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from seq2seq.config import from_dict, read_mapping
from seq2seq.data.characters import Characters
from seq2seq.data.examples import Examples
from seq2seq.data.readers import ReaderConfig, read_file
from seq2seq.data.symbols import EOS_ID
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.data.words import word_ids
from seq2seq.errors import UserError, check_argument
from seq2seq.inference.inputs import check_text, read_input
from seq2seq.model.frontends import FrontEndConfig, Tokens
from seq2seq.runs.layout import CONFIG_FILE
from seq2seq.runtime.paths import checked_path

Array = np.ndarray


def stored_reader(directory: Path) -> ReaderConfig:
    """How a run's inputs are read; arrays where its configuration does not say."""
    path = directory / CONFIG_FILE
    return from_dict(ReaderConfig, read_mapping(path).get("reader", {}), f"{path}, reader")


def read_source(
    reader: ReaderConfig, front_end: FrontEndConfig, source: str | Path, vocabulary: Vocabulary | None = None
) -> Array:
    """An input as the front end reads it, of a file, or of a text where the reader takes one. vocabulary: that of
    subwords or words. Raises UserError where it cannot be read, or is of another shape."""
    check_argument("read_source", "reader", reader, ReaderConfig)
    if reader.reads_text:
        check_text(source, "the text")
        return read_input(front_end.form(), _ids(reader, front_end, str(source), vocabulary), "the text")
    given = read_file(reader, checked_path(source, "source", "a file"))
    if isinstance(front_end.form(), Tokens) and getattr(given, "shape", ())[1:] == (1,):
        given = given[:, 0]  # a CSV file of ids has one column
    return read_input(front_end.form(), given, str(source))


def _ids(reader: ReaderConfig, front_end: FrontEndConfig, text: str, vocabulary: Vocabulary | None) -> Array:
    if reader.kind != "characters":
        if vocabulary is None:
            raise UserError("this model reads arrays, not text: it has no vocabulary")
        if reader.kind == "words":
            return word_ids(vocabulary, Characters(reader.symbols), front_end.word_length, text)
        return text_ids(vocabulary, text)
    if "\\" not in reader.symbols:  # so that a text of several lines can be written as one line
        text = text.replace("\\n", "\n")
    return np.array(Characters(reader.symbols).encode(text), np.int64)


def text_ids(vocabulary: Vocabulary, text: str) -> Array:
    """[S] int64 ids of a text, end of sentence included, so that an empty one has a step too."""
    check_argument("text_ids", "vocabulary", vocabulary, Vocabulary)
    check_argument("text_ids", "text", text, str)
    return np.array([*vocabulary.encode(text), EOS_ID], np.int64)


class Reads(Protocol):
    """A model that reads files or texts."""

    reader: ReaderConfig

    def read(self, source: str | Path) -> Array:
        """The input."""


def read_examples_of(model: Reads, examples: Examples) -> list[Array]:
    """The inputs of all examples; files lie in their folder, or below it. Raises UserError, naming the row, at one that
    cannot be read."""
    inputs = []
    for row in examples.rows:
        try:
            inputs.append(model.read(row.source if model.reader.reads_text else examples.folder / row.source))
        except UserError as error:
            raise UserError(f"{row.place}: {error}") from None
    return inputs
