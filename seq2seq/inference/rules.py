"""What the outputs of a search must and must not hold, in the vocabulary's pieces, and the step that obeys it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from seq2seq.data.symbols import EOS_ID, UNK_ID
from seq2seq.data.vocabulary import RightToLeft, Vocabulary
from seq2seq.errors import UserError, check
from seq2seq.inference.terminology import Terms
from seq2seq.search.decoding_config import DecodingConfig
from seq2seq.search.phrases import BannedPhrases, PhraseState, without_phrases
from seq2seq.search.prefix import PieceTexts, PrefixState, forced_prefix, prefix_limits
from seq2seq.search.restrictions import (
    CountingState,
    minimum_length,
    start_history,
    without_repeats,
    without_tokens,
)
from seq2seq.search.step import StepFn

Started = tuple[StepFn[Any], Any, Tensor]
"""A step function, its state before the first token, and the most tokens of each sentence [B]."""


@dataclass(frozen=True)
class Rules:
    """Rules of the outputs of some sentences."""

    decoding: DecodingConfig
    banned: tuple[int, ...] = ()
    """Tokens that no output has."""
    phrases: BannedPhrases | None = None
    pieces: PieceTexts | None = None
    """What the pieces write, where prefixes are forced."""
    prefixes: Sequence[bytes] | None = None
    """For each sentence the begin of its text, as its pieces write it."""
    terms: Sequence[Terms] | None = None
    """For each sentence the terms that its output holds. Search itself sees to them: no step alone can."""

    def of(self, rows: Sequence[int]) -> Rules:
        """The rules of these sentences alone."""
        prefixes = None if self.prefixes is None else [self.prefixes[row] for row in rows]
        terms = [] if self.terms is None else [self.terms[row] for row in rows]
        return replace(self, prefixes=prefixes, terms=terms if any(terms) else None)

    @property
    def force(self) -> bool:
        """Whether some tokens must be written, however improbable."""
        return self.decoding.min_length > 1 or self.prefixes is not None or self.terms is not None

    @property
    def name_tokens(self) -> bool:
        """Whether they go by tokens of the vocabulary."""
        return bool(self.banned) or any(each is not None for each in (self.phrases, self.prefixes, self.terms))

    def applied(self, step: StepFn[Any], state: Any, limits: Tensor) -> Started:
        """The step that obeys the rules, of the plain one."""
        decoding, device = self.decoding, limits.device
        banned = [*self.banned, *([UNK_ID] if decoding.no_unknown else [])]
        if banned:
            step = without_tokens(step, torch.tensor(banned, device=device))
        if decoding.min_length > 1:
            step, state = minimum_length(step, decoding.min_length, EOS_ID), CountingState(state)
            limits = limits.clamp(min=decoding.min_length)
        if decoding.no_repeat_ngram:
            step, state = without_repeats(step, decoding.no_repeat_ngram), start_history(state, len(limits), device)
        if self.phrases is not None:
            step, state = without_phrases(step, self.phrases), PhraseState(state, None)
        if self.prefixes is not None and self.pieces is not None:
            step, state = forced_prefix(step, self.pieces), PrefixState(state, list(self.prefixes))
            tokens_of_terms = None if self.terms is None else [sum(map(len, each)) for each in self.terms]
            limits = prefix_limits(limits, self.prefixes, tokens_of_terms)
        return step, state, limits


def banned_phrases(vocabulary: Vocabulary, texts: Sequence[str]) -> BannedPhrases | None:
    """The rule that none of these words and phrases appears. Raises UserError for a blank one."""
    if not texts:
        return None
    check(not isinstance(vocabulary, RightToLeft), "ban: this model writes from right to left; use ban_pieces")
    ids = vocabulary.encode_batch(texts)
    for number, text in enumerate(texts, 1):
        check(bool(text.strip()), f"banned text {number} is blank; leave it out")
    read = [
        text.strip() if UNK_ID in row else decoded
        for text, row, decoded in zip(texts, ids, vocabulary.decode_batch(ids), strict=True)
    ]  # as outputs read: other forms of a character would never meet one
    return BannedPhrases([each for each in read if each], vocabulary.piece_texts(), EOS_ID)


def ids_of_pieces(vocabulary: Vocabulary, pieces: Sequence[str]) -> tuple[int, ...]:
    """Ids of pieces by name. Raises UserError where the vocabulary has no such piece, or it is the end of sentence."""
    known = {piece: number for number, piece in enumerate(vocabulary.pieces(range(len(vocabulary))))}
    for piece in pieces:
        check(piece in known, f"banned piece {piece!r}: the target vocabulary has no such piece (▁ begins a word)")
        check(known[piece] != EOS_ID, f"banned piece {piece!r}: without it no output would end")
    return tuple(known[piece] for piece in pieces)


def prefix_texts(vocabulary: Vocabulary, prefixes: Sequence[str], longest: int) -> list[bytes]:
    """The prefixes as the pieces of outputs write them. A space at the end of one says that its last word ends there.
    Raises UserError where one has more than `longest` tokens, or cannot be written."""
    texts = vocabulary.piece_texts()
    written = []
    for prefix, ids in zip(prefixes, vocabulary.encode_batch(prefixes), strict=True):
        check(len(ids) <= longest, f"a prefix has {len(ids)} tokens, more than {longest}")
        if UNK_ID in ids:
            raise UserError(f"the prefix {prefix[:40]!r} has a character that the vocabulary cannot write")
        ended = bool(ids) and prefix[-1:].isspace()
        written.append(b"".join(texts[each] for each in ids) + b" " * ended)
    return written
