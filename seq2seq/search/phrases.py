"""Words and phrases that no output holds, however the vocabulary cuts them into pieces.

An automaton reads the characters of the pieces chosen so far. Its states are the places within banned phrases that
the text so far may have reached; they are made when they are first met.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seq2seq.search.step import StepFn

Place = frozenset[int]
"""Nodes of the tree of phrases that the text may have reached."""
WORD, ANYWHERE = 0, 1
"""Roots of the tree: of phrases that begin with a letter or digit, which count where a word begins, and of others."""
BEGIN, INSIDE, BANNED = 0, 1, -1
"""States of the automaton: before the first character, within a word that begins no phrase, and behind a phrase."""


class BannedPhrases:
    """The automaton. A phrase counts where no letter or digit stands directly before or behind it, so a banned "art"
    leaves "party" alone."""

    def __init__(self, phrases: Sequence[str], pieces: Sequence[bytes], eos: int) -> None:
        """phrases: as texts of the vocabulary read. pieces: UTF-8 of every id, empty for special symbols."""
        self.tree: list[dict[str, int]] = [{}, {}]
        self.open: set[int] = set()  # nodes where a phrase ends if the word does
        self.closed: set[int] = set()  # nodes where a phrase ends whatever follows
        for phrase in phrases:
            self._add(phrase)
        self.pieces, self.eos = list(pieces), eos
        self.beginning: dict[str, list[int]] = {}
        for token, piece in enumerate(self.pieces):
            self.beginning.setdefault(piece.decode("utf-8", "ignore")[:1], []).append(token)
        self.known: list[tuple[Place, bytes]] = []
        self.numbers: dict[tuple[Place, bytes], int] = {}
        for places in ({WORD, ANYWHERE}, {ANYWHERE}):
            self._number((frozenset(places), b""))
        self.next: dict[tuple[int, int], int] = {}
        self.masks: dict[int, np.ndarray] = {}
        self.always = self._completing(INSIDE, range(len(self.pieces)))

    def _add(self, phrase: str) -> None:
        node = WORD if phrase[0].isalnum() else ANYWHERE
        for character in phrase:
            node = self.tree[node].setdefault(character, len(self.tree))
            if node == len(self.tree):
                self.tree.append({})
        (self.open if phrase[-1].isalnum() else self.closed).add(node)

    def after(self, state: int, token: int) -> int:
        """The state after a token: BANNED where it completes a phrase."""
        if state == BANNED:
            return BANNED
        found = self.next.get((state, token))
        if found is None:
            found = self.next[state, token] = self._read(state, token)
        return found

    def banned(self, state: int) -> np.ndarray:
        """[V] bool: the tokens that complete a phrase."""
        if state not in self.masks:
            mask = np.zeros(len(self.pieces), bool)
            mask[self.always] = True
            mask[self._completing(state, self._candidates(state))] = True
            self.masks[state] = mask
        return self.masks[state]

    def _candidates(self, state: int) -> Iterable[int]:
        """Tokens that may complete a phrase here, those in `always` aside: most begin with no character that leads on
        from here."""
        places, begun = self.known[state]
        if begun:
            return range(len(self.pieces))
        characters = {character for node in places for character in self.tree[node]}
        if places & self.open:
            characters |= {character for character in self.beginning if not character.isalnum()}
        return [token for character in characters for token in self.beginning.get(character, ())]

    def _completing(self, state: int, tokens: Iterable[int]) -> list[int]:
        return [token for token in tokens if self.after(state, token) == BANNED]

    def _read(self, state: int, token: int) -> int:
        places, begun = self.known[state]
        ends = token == self.eos
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(begun + self.pieces[token], final=ends) + " " * ends
        rest = decoder.getstate()[0]  # bytes of a character that byte pieces have not completed
        for character in text:
            if not character.isalnum() and places & self.open:
                return BANNED
            places = self._advance(places, character)
            if places & self.closed:
                return BANNED
        return self._number((places, rest))

    def _advance(self, places: Place, character: str) -> Place:
        nodes = {self.tree[node][character] for node in places if character in self.tree[node]}
        return frozenset(nodes | ({ANYWHERE} if character.isalnum() else {WORD, ANYWHERE}))

    def _number(self, key: tuple[Place, bytes]) -> int:
        if key not in self.numbers:
            self.numbers[key] = len(self.known)
            self.known.append(key)
        return self.numbers[key]


class PhraseState(NamedTuple):
    """A model's state, and the automaton's of each hypothesis."""

    model: Any
    states: list[int] | None
    """None before the first token."""

    def reorder(self, hypotheses: Tensor, sentences: Tensor | None = None) -> PhraseState:
        """As `SearchState.reorder`."""
        assert self.states is not None
        states = [self.states[row] for row in hypotheses.tolist()]
        return PhraseState(self.model.reorder(hypotheses, sentences), states)


def without_phrases(
    step: StepFn[Any], phrases: BannedPhrases
) -> Callable[[Tensor, PhraseState], tuple[Tensor, PhraseState]]:
    """A StepFn by which no output holds a banned phrase. Start it from `PhraseState(state, None)`."""

    def restricted(token: Tensor, state: PhraseState) -> tuple[Tensor, PhraseState]:
        log_probs, inner = step(token, state.model)
        if state.states is None:
            states = [BEGIN] * len(token)
        else:
            states = [phrases.after(*pair) for pair in zip(state.states, token.tolist(), strict=True)]
        different = sorted({each for each in states if each != BANNED})
        if different:
            place = {each: row for row, each in enumerate(different)}
            masks = torch.from_numpy(np.stack([phrases.banned(each) for each in different])).to(log_probs.device)
            rows = torch.tensor([place.get(each, 0) for each in states], device=log_probs.device)
            log_probs = log_probs.masked_fill(masks[rows], -math.inf)
        return log_probs, PhraseState(inner, states)

    return restricted
