"""Other segmentations of training sentences in every epoch, drawn word by word: BPE-dropout and subword regularisation.

What is drawn for a row is a function of seed, epoch and row, on every machine, which SentencePiece's own sampling is
not. Pieces never reach from one word into the next, so that words are segmented independently of each other, and what
is known of a word is kept for the next time.
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from random import Random
from typing import Any, NamedTuple

from seq2seq.data.batch import Ids, Pair
from seq2seq.data.resumable import Resumable
from seq2seq.data.units import AnyVocabulary
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.errors import UserError, check

Word = tuple[int, ...]
"""Ids of a word's pieces."""
Draw = Callable[[Word, Callable[[], float]], Sequence[int]]
"""A word, and a source of random numbers from [0, 1), to the ids of one of its segmentations."""

SPACE = "▁"
"""What a piece begins with that begins a word."""
FIRST_SURROGATE = 0xD800
"""From here on lie characters that no text has."""
WORDS_KEPT = 50_000
"""Words of which what can be drawn is kept: some 200 MB at most."""


class PieceTable(NamedTuple):
    """A vocabulary's pieces as the segmenters here take them."""

    texts: list[str]
    """Of each id. Symbols and bytes, which are never split nor merged, are a character each that no text has."""
    scores: list[float]
    ids: dict[str, int]
    begins: list[bool]
    """Whether a word begins with this piece."""
    longest: int
    """Characters of the longest piece."""

    @classmethod
    def of(cls, vocabulary: Vocabulary) -> PieceTable:
        """Raises UserError where pieces reach across words."""
        given, scores = vocabulary.scored_pieces()
        check(
            not any(SPACE in text[1:] for text in given if text is not None),
            "bpe_dropout and segmentation_alpha need a vocabulary whose pieces do not reach across words",
        )
        others = map(chr, range(FIRST_SURROGATE, FIRST_SURROGATE + len(given)))
        texts = [next(others) if text is None else text for text in given]
        ids = {text: piece for piece, text in enumerate(texts)}
        return cls(texts, scores, ids, [text.startswith(SPACE) for text in texts], max(map(len, texts)))

    def spelled(self, word: Word) -> str:
        """The word's characters."""
        return "".join([self.texts[piece] for piece in word])

    def words(self, ids: Ids) -> Iterator[Word]:
        """The pieces of each word."""
        begin = 0
        for place, piece in enumerate(ids):
            if self.begins[piece] and place > begin:
                yield tuple(ids[begin:place])
                begin = place
        if begin < len(ids):
            yield tuple(ids[begin:])


class Merges:
    """How the characters of a word may be merged, pair by pair, into its pieces."""

    __slots__ = ("ids", "length", "ranks", "usual", "whole")

    def __init__(self, text: str, table: PieceTable) -> None:
        self.length = len(text)
        self.ids: dict[tuple[int, int], int] = {}
        """Of a piece that begins and ends at these places."""
        for begin in range(self.length):
            for end in range(begin + 1, min(begin + table.longest, self.length) + 1):
                piece = table.ids.get(text[begin:end])
                if piece is not None:
                    self.ids[begin, end] = piece
        self.ranks = {span: -table.scores[piece] for span, piece in self.ids.items() if span[1] - span[0] > 1}
        """Which merge comes first: that of the lowest rank, of equal ones the leftmost."""
        self.usual: list[int] = []
        """Places of the merges without dropout, one after the other."""
        ends, ranks = self._characters()
        while (best := min(ranks, default=math.inf)) < math.inf:
            self.usual.append(ranks.index(best))
            self._merge(self.usual[-1], ends, ranks)
        self.whole = self._pieces(ends)

    def drawn(self, random: Callable[[], float], probability: float) -> list[int]:
        """Ids of the segmentation that is reached where each possible merge is left out with this probability."""
        for made in range(len(self.usual)):
            if random() < probability:
                return self._unusual(made, random, probability)
        return self.whole

    def _unusual(self, made: int, random: Callable[[], float], probability: float) -> list[int]:
        """The same where after so many usual merges the next one is left out."""
        ends, ranks = self._characters()
        for place in self.usual[:made]:
            self._merge(place, ends, ranks)
        left = list(ranks)
        left[self.usual[made]] = math.inf
        while (best := min(left, default=math.inf)) < math.inf:
            place = left.index(best)
            if random() < probability:
                left[place] = math.inf
            else:
                self._merge(place, ends, ranks)
                left = list(ranks)
        return self._pieces(ends)

    def _characters(self) -> tuple[list[int], list[float]]:
        """Where pieces end, of the word in single characters, 0 before them; and the rank of each pair's merge."""
        ranks = [self.ranks.get((begin, begin + 2), math.inf) for begin in range(self.length - 1)]
        return list(range(self.length + 1)), ranks

    def _merge(self, place: int, ends: list[int], ranks: list[float]) -> None:
        """Merges the pair of this place, and looks up the pairs that the new piece is part of."""
        del ends[place + 1], ranks[place]
        if place > 0:
            ranks[place - 1] = self.ranks.get((ends[place - 1], ends[place + 1]), math.inf)
        if place < len(ranks):
            ranks[place] = self.ranks.get((ends[place], ends[place + 2]), math.inf)

    def _pieces(self, ends: list[int]) -> list[int]:
        return [self.ids[span] for span in pairwise(ends)]


class BPEDropout:
    """BPE-dropout (Provilkov et al. 2020, algorithm 1): a word's characters are merged pair by pair; before each merge
    every possible one is left out with a probability, and the best of the rest is made, until none is left.

    With probability 0 that is SentencePiece's own segmentation. Raises UserError where the vocabulary is none of BPE.
    """

    def __init__(self, table: PieceTable, probability: float) -> None:
        ranks = all(score == int(score) for score in table.scores)
        check(ranks, "bpe_dropout needs a vocabulary of bpe: set vocabulary.model_type, or give such a model")
        self.table, self.probability = table, probability
        self.merges = functools.lru_cache(WORDS_KEPT)(self._merges)

    def __call__(self, word: Word, random: Callable[[], float]) -> Sequence[int]:
        """Draws a segmentation."""
        merges = self.merges(word)
        return word if merges is None else merges.drawn(random, self.probability)

    def _merges(self, word: Word) -> Merges | None:
        """None where a character of the word has no piece of its own."""
        text = self.table.spelled(word)
        return Merges(text, self.table) if all(character in self.table.ids for character in text) else None


class SubwordRegularisation:
    """Subword regularisation (Kudo 2018, section 3.3, of all segmentations): one is drawn in proportion to its
    probability to the power of alpha, by filtering forward over the word's characters and sampling backward."""

    def __init__(self, table: PieceTable, alpha: float) -> None:
        self.table, self.alpha = table, alpha
        self.endings = functools.lru_cache(WORDS_KEPT)(self._endings)

    def __call__(self, word: Word, random: Callable[[], float]) -> Sequence[int]:
        """Draws a segmentation."""
        endings = self.endings(word)
        end, drawn = len(endings) - 1, []
        while end:
            cumulative, pieces = endings[end]
            end, piece = pieces[bisect_left(cumulative, random())]
            drawn.append(piece)
        drawn.reverse()
        return drawn

    def _endings(self, word: Word) -> list[tuple[list[float], list[tuple[int, int]]]]:
        """For each place in the word: the cumulative probabilities, up to the last but one, of the pieces that may end
        there, given that one does; and each one's begin and id."""
        text, ids, scores = self.table.spelled(word), self.table.ids, self.table.scores
        reached = [0.0]  # log of the sum over all segmentations up to there
        endings: list[tuple[list[float], list[tuple[int, int]]]] = [([], [])]
        for end in range(1, len(text) + 1):
            begins = range(max(0, end - self.table.longest), end)
            found = ((begin, ids.get(text[begin:end])) for begin in begins)
            pieces = [(begin, piece) for begin, piece in found if piece is not None]
            weights = [reached[begin] + self.alpha * scores[piece] for begin, piece in pieces]
            top = max(weights, default=-math.inf)
            shares = [math.exp(weight - top) if top > -math.inf else 0.0 for weight in weights]
            total = sum(shares)
            reached.append(top + math.log(total) if total else -math.inf)
            endings.append(([each / total for each in accumulate(shares[:-1])] if total else [], pieces))
        return endings


class PairSampler:
    """Draws both sides of a pair anew, as a function of seed, epoch and row alone."""

    def __init__(
        self, source: Vocabulary, target: Vocabulary, segmenter: Callable[[PieceTable], Draw], seed: int
    ) -> None:
        tables = [PieceTable.of(source)] if source is target else [PieceTable.of(source), PieceTable.of(target)]
        sides = [(table, segmenter(table)) for table in tables]
        self.source, self.target = sides[0], sides[-1]
        self.seed = seed

    def __call__(self, pair: Pair, epoch: int, row: int) -> Pair:
        """The pair's ids, segmented anew."""
        random = Random(((self.seed << 32) + epoch << 48) + row).random
        source, target = pair
        return _drawn(*self.source, source, random), _drawn(*self.target, target, random)


def _drawn(table: PieceTable, draw: Draw, ids: Ids, random: Callable[[], float]) -> list[int]:
    drawn: list[int] = []
    for word in table.words(ids):
        drawn += draw(word, random)
    return drawn


def pair_sampler(
    source: AnyVocabulary, target: Vocabulary, merge_dropout: float, alpha: float, seed: int
) -> PairSampler | None:
    """The sampler of these options (see ExperimentConfig); None where both are 0. Raises UserError where the vocabulary
    does not fit."""
    if not merge_dropout and not alpha:
        return None
    if not isinstance(source, Vocabulary):
        raise UserError(
            "bpe_dropout and segmentation_alpha: this run's sources hold features, or are brought to a Unicode form"
        )
    if merge_dropout:
        return PairSampler(source, target, functools.partial(BPEDropout, probability=merge_dropout), seed)
    return PairSampler(source, target, functools.partial(SubwordRegularisation, alpha=alpha), seed)


class Resegmented(Iterator[Pair]):
    """The pairs of a stream, which begins with row 0, segmented anew. It can go on where it stood, if the stream
    can. rank, size: rows of several ranks have numbers of their own."""

    def __init__(self, pairs: Iterator[Pair], sampler: PairSampler, epoch: int, rank: int = 0, size: int = 1) -> None:
        self.pairs, self.sampler, self.epoch, self.row = pairs, sampler, epoch, 0
        self.rank, self.size = rank, size

    def state(self) -> dict[str, Any]:
        """Where it stands, in values that JSON holds."""
        assert isinstance(self.pairs, Resumable)
        return {"row": self.row, "pairs": self.pairs.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from there; nothing was read yet."""
        assert isinstance(self.pairs, Resumable)
        self.row = state["row"]
        self.pairs.restore(state["pairs"])

    def __next__(self) -> Pair:
        pair = next(self.pairs)
        self.row += 1
        return self.sampler(pair, self.epoch, (self.row - 1) * self.size + self.rank)


def resegmented(
    pairs: Iterator[Pair], sampler: PairSampler | None, epoch: int, rank: int = 0, size: int = 1
) -> Iterator[Pair]:
    """The pairs of a rank's stream, segmented anew where there is a sampler."""
    return pairs if sampler is None else Resegmented(pairs, sampler, epoch, rank, size)
