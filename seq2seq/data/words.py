"""Words as tokens, each with its characters: from a text whose words have spaces between them to ids."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from seq2seq.data.characters import Characters
from seq2seq.data.symbols import EOS_ID, PAD_ID, UNK_ID
from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig

Array = np.ndarray


def train_words(texts: Iterable[str], size: int, seed: int) -> tuple[Vocabulary, str]:
    """The most frequent words of texts, in small letters, `size` at most, and all their characters as they stand."""
    lines = list(texts)
    settings = VocabularyConfig(size=size, model_type="word", normalization="nmt_nfkc_cf", byte_fallback=False)
    return Vocabulary.train(lines, settings, seed), "".join(sorted(set("".join(lines)) - set(" \t\r\n")))


def word_ids(vocabulary: Vocabulary, characters: Characters, length: int, text: str) -> Array:
    """[S, 1 + length] int64: each word's id, then those of its characters, of a longer word its begin and its end. A
    text without words has one row, for the end of the sentence."""
    words = text.split()
    ids = np.full((max(1, len(words)), 1 + length), PAD_ID, np.int64)
    ids[:, 0] = EOS_ID
    for row, word, found in zip(ids, words, vocabulary.encode_batch(words), strict=False):
        # Normalisation may split a word, or leave nothing of it; there is a row per word all the same.
        row[0] = found[0] if len(found) == 1 else UNK_ID
        spelled = characters.encode(word if len(word) <= length else word[: length // 2] + word[length // 2 - length :])
        row[1 : 1 + len(spelled)] = spelled
    return ids
