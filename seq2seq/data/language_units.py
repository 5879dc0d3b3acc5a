"""Units of a language model: what a text is made of, and comes back from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

from seq2seq.data.symbols import BOS_ID, EOS_ID, UNK_ID
from seq2seq.data.vocabulary import Vocabulary

UnitKind = Literal["characters", "subwords", "words"]


class Units(Protocol):
    """`Characters`, or `Pieces`."""

    first_drawn: int
    """The least id that a sample may have."""

    def __len__(self) -> int:
        """Number of ids."""

    def encode(self, text: str) -> list[int]:
        """Ids of a text."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids."""

    def unknown(self, texts: Iterable[str]) -> list[str]:
        """What of texts the model does not know."""


class Pieces:
    """Pieces of a SentencePiece vocabulary, line by line; a line's end is the end of a sentence, so that a model of
    them knows sentences as a translator with this vocabulary does."""

    first_drawn = EOS_ID

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    def __len__(self) -> int:
        return len(self.vocabulary)

    def encode(self, text: str) -> list[int]:
        """Ids of a text; EOS_ID for each line feed."""
        first, *others = self.vocabulary.encode_batch(text.split("\n"))
        for line in others:
            first += [EOS_ID, *line]
        return first

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, with a line feed for each EOS_ID."""
        lines: list[list[int]] = [[]]
        for token in ids:
            if token == EOS_ID:
                lines.append([])
            else:
                lines[-1].append(token)
        return "\n".join(self.vocabulary.decode_batch(lines))

    def unknown(self, texts: Iterable[str]) -> list[str]:
        """The words of texts with an unknown piece."""
        words = sorted({word for text in texts for word in text.split()})
        return [word for word, ids in zip(words, self.vocabulary.encode_batch(words), strict=True) if UNK_ID in ids]


def preceding(ids: Sequence[int]) -> list[int]:
    """What stands before each id of a text: BOS_ID at its beginning, and where a sentence has ended."""
    return [BOS_ID if token == EOS_ID else token for token in (EOS_ID, *ids[:-1])]
