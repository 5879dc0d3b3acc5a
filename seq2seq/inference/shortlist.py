"""Shortlists of a vocabulary: for each source token its likely translations by IBM Model 1 (Brown et al. 1993), learned
from the training data, and the most frequent target tokens."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seq2seq.config import Whole, check_number
from seq2seq.data.batch import Pair, round_up
from seq2seq.data.lexical_table import lexical_probabilities, pairs_to_learn_from
from seq2seq.data.symbols import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from seq2seq.errors import UserError, check
from seq2seq.runtime.atomic_files import replaced
from seq2seq.search.beam import Hypothesis

Array = np.ndarray
SPECIAL = (PAD_ID, UNK_ID, BOS_ID, EOS_ID)
"""Tokens of every list, which keep their ids."""
STEP = 256
"""Lists of a batch are filled up to multiples of so many tokens, so that few sizes occur (see DECODING_STEP)."""
SIZES = Whole(0, 100_000)


class Listed(NamedTuple):
    """What the sentences of a batch may write."""

    tokens: Tensor
    """[U] ids, those of SPECIAL first."""
    barred: Tensor
    """As `ListedState` has it."""

    def to(self, device: torch.device) -> Listed:
        """On a device."""
        return Listed(self.tokens.to(device), self.barred.to(device))

    def in_vocabulary(self, found: list[list[Hypothesis]]) -> list[list[Hypothesis]]:
        """Outputs of places among the tokens as outputs of tokens."""
        ids = self.tokens.tolist()
        return [[each._replace(tokens=[ids[place] for place in each.tokens]) for each in best] for best in found]


class Shortlist:
    """Which target tokens are scored for which source."""

    def __init__(self, translations: Array, frequency: Array, frequent: int, vocabularies: str) -> None:
        """translations: [source tokens, K], PAD_ID where there are fewer. frequency: all target tokens, most frequent
        first, of which as many as `frequent` are in each list. vocabularies: their fingerprint."""
        self.translations, self.frequency, self.frequent = translations, frequency, frequent
        self.vocabularies = vocabularies

    @property
    def size(self) -> int:
        """Tokens of the target's vocabulary."""
        return len(self.frequency)

    def of(self, sources: Sequence[Sequence[Any]]) -> Listed:
        """The lists of sentences, of their tokens; factors of tokens have translations as well."""
        allowed = np.zeros((len(sources), self.size), bool)
        allowed[:, [*SPECIAL, *self.frequency[: self.frequent]]] = True
        for row, source in enumerate(sources):
            allowed[row, self.translations[np.array([*np.ravel(source), EOS_ID], np.int64)]] = True
        inside: Array = np.logical_or.reduce(allowed)
        wanted = min(self.size, round_up(int(inside.sum()), STEP))
        inside[self.frequency[~inside[self.frequency]][: wanted - int(inside.sum())]] = True
        tokens = np.flatnonzero(inside)
        barred = torch.zeros(len(sources), len(tokens)).masked_fill_(~torch.from_numpy(allowed[:, tokens]), -torch.inf)
        return Listed(torch.from_numpy(tokens), barred)

    def save(self, path: Path) -> None:
        """Writes the file that `load` reads."""
        stored = {name: np.asarray(value) for name, value in vars(self).items()}
        with replaced(path) as file:
            np.savez_compressed(file, **stored)  # type: ignore[arg-type]  # whose other option is a switch

    @classmethod
    def load(cls, path: Path | str) -> Shortlist:
        """The shortlist of a file. Raises UserError where it is none."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                translations, frequency = stored["translations"], stored["frequency"]
                found = cls(translations, frequency, int(stored["frequent"]), str(stored["vocabularies"]))
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            reason = getattr(error, "strerror", None) or "no file that tools/shortlist.py has written, or damaged"
            raise UserError(f"{path}: {reason}") from None
        fits = translations.ndim == 2 and np.issubdtype(translations.dtype, np.integer) and translations.size > 0
        fits = fits and bool((np.sort(frequency) == np.arange(found.size)).all())
        fits = fits and translations.min() >= 0 and translations.max() < found.size
        check(fits, f"{path}: damaged; make it anew with tools/shortlist.py")
        return found


def vocabularies_sum(source: Any, target: Any) -> str:
    """The fingerprint of both vocabularies."""
    return f"{source.fingerprint()} {target.fingerprint()}"


def learned_shortlist(
    pairs: Iterable[Pair], sizes: tuple[int, int], vocabularies: str, translations: int = 50, frequent: int = 500
) -> Shortlist:
    """A shortlist of the `translations` likeliest translations of each token, and the `frequent` most frequent tokens.
    pairs: tokens of sentence pairs, in any order; learned from as many as MOST_EVENTS allows. sizes: of the source's
    and the target's vocabulary."""
    check_number("translations", translations, SIZES)
    check_number("frequent", frequent, SIZES)
    read = pairs_to_learn_from(pairs)
    check(bool(read), "a shortlist needs sentence pairs to learn from")
    sources, targets, probabilities = lexical_probabilities(read)
    order = np.lexsort((targets, -probabilities, sources))
    starts = np.searchsorted(sources[order], np.arange(sizes[0] + 1))
    table = np.full((sizes[0], max(1, translations)), PAD_ID, np.int32)
    for token, (begin, end) in enumerate(pairwise(starts)):
        best = targets[order[begin : min(end, begin + translations)]]
        table[token, : len(best)] = best
    counts = np.bincount(np.concatenate([target for _, target in read]), minlength=sizes[1])
    return Shortlist(table, np.argsort(-counts, kind="stable"), frequent, vocabularies)
