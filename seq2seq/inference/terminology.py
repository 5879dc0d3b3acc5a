"""Terms that translations must hold, in the vocabulary's pieces."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from seq2seq.data.symbols import UNK_ID
from seq2seq.data.units import Unicode, normalised
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.errors import UserError, check

Terms = list[list[int]]
"""Token ids of the terms that one output must hold."""


class Terminology:
    """Terms of the source with what each must become."""

    def __init__(self, vocabulary: Vocabulary, terms: Mapping[str, str], unicode: Unicode = "unchanged") -> None:
        """unicode: the form that the model's texts have.

        Raises UserError where a term is no text, blank, or cannot be written."""
        check(
            isinstance(terms, Mapping), f"terminology must be a mapping of texts to texts, not {type(terms).__name__}"
        )
        for source, target in terms.items():
            check(
                isinstance(source, str) and isinstance(target, str), "terminology must be a mapping of texts to texts"
            )
            check(bool(source.strip()), "terminology: a source term is blank")
        self.unicode: Unicode = unicode
        sources, targets = ([normalised(each, unicode) for each in side] for side in (terms, terms.values()))
        self.ids = dict(zip(map(str.strip, sources), ids_of_terms(vocabulary, targets), strict=True))
        longest_first = sorted(self.ids, key=len, reverse=True)
        self.pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")

    def of(self, text: str) -> Terms:
        """What the translation of a text must hold: of each source term that stands in it as a word or words of its
        own, and in no longer one. Behind a tab stand no words, but features."""
        if not self.ids:
            return []
        words = normalised(text, self.unicode).partition("\t")[0]
        met = dict.fromkeys(found[0] for found in self.pattern.finditer(words))
        return [self.ids[source] for source in met]


def ids_of_terms(vocabulary: Vocabulary, terms: Sequence[str]) -> Terms:
    """Raises UserError where a term is blank or cannot be written."""
    found = vocabulary.encode_batch(terms)
    for term, ids in zip(terms, found, strict=True):
        check(bool(ids), "a term is blank; leave it out")
        if UNK_ID in ids:
            raise UserError(f"the term {term[:40]!r} has a character that the vocabulary cannot write")
    return found
