"""Pretrained vectors of words, from the text format of GloVe and word2vec: a word and its numbers per line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from seq2seq.data.formats import numbered_lines
from seq2seq.data.symbols import UNK_ID
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.errors import UserError, check

Array = np.ndarray

WORDS_AT_ONCE = 4_096
"""Lines in memory together."""


def vector_size(path: Path) -> int:
    """Numbers of each vector, as the first line has it. Raises UserError where the file has none."""
    _, line = next(_lines(path), (0, ""))
    fields = _fields(line)
    size = int(fields[1]) if _is_header(fields) else len(fields) - 1
    check(size > 0, f"{path}, line 1: must be a word and its numbers, with spaces between them, not {line[:40]!r}")
    return size


def read_vectors(path: Path, vocabulary: Vocabulary) -> dict[int, Array]:
    """Ids of the vocabulary and their vectors [D] float32, of each word of the file that is one whole piece there;
    where several are the same piece (The, the), the first. All other vectors are dropped as they are read. Raises
    UserError naming file and line where a line is malformed."""
    found: dict[int, Array] = {}
    rows = _rows(path, vector_size(path))
    while some := list(islice(rows, WORDS_AT_ONCE)):
        for ids, (_, vector) in zip(vocabulary.encode_batch([word for word, _ in some]), some, strict=True):
            if len(ids) == 1 and ids[0] != UNK_ID:
                found.setdefault(ids[0], vector)
    return found


def _rows(path: Path, size: int) -> Iterator[tuple[str, Array]]:
    """Words, which may hold spaces, and their vectors."""
    expected, count = 0, 0
    for number, line in _lines(path):
        if number == 1 and _is_header(_fields(line)):
            expected = int(_fields(line)[0])
            continue
        word, *numbers = _fields(line, size)
        try:
            vector: Array = np.array(numbers, np.float32)
        except ValueError:
            vector = np.empty(0, np.float32)
        if not word or len(vector) != size or not np.isfinite(vector).all():
            raise UserError(f"{path}, line {number}: must be a word and {size} numbers, not {line[:40]!r}")
        count += 1
        yield word, vector
    check(
        expected in (0, count),
        f"{path}: holds {count:,} vectors, but its first line says {expected:,}; is the file whole?",
    )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """As `numbered_lines`, with another word for those whose file is word2vec's binary one."""
    try:
        yield from numbered_lines(path)
    except UserError as error:
        if isinstance(error.__cause__, UnicodeDecodeError):
            raise UserError(f"{error}; vectors in word2vec's binary format must be saved as text first") from None
        raise


def _fields(line: str, most: int = -1) -> list[str]:
    """What stands between spaces or tabs, of the last `most` of these."""
    return line.rstrip().replace("\t", " ").rsplit(" ", most)


def _is_header(fields: list[str]) -> bool:
    """Whether a first line is word2vec's: the number of words and of numbers for each."""
    return len(fields) == 2 and all(field.isdecimal() for field in fields)
