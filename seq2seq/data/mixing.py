"""Several corpora in one training: what is known of each, and which of their rows an epoch is made of."""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from seq2seq.config import Real, check_fields, check_numbers, from_dict, is_utf8
from seq2seq.data.in_memory import Data, name_of_data
from seq2seq.data.resumable import Resumable
from seq2seq.data.vocabulary import TAG
from seq2seq.errors import UserError, check

Array = np.ndarray
Item = TypeVar("Item")

PASSES, CHOICES = 1, 2
"""Last words of seeds, which keep the random numbers of this file apart from each other and from those of batches."""


@dataclass(frozen=True)
class CorpusConfig:
    """One of several corpora that are trained on together."""

    path: Data
    """As data names one: folder, file or Hub id; in Python a Dataset or DatasetDict, too."""
    source: str = ""
    """Column of its source; empty: that of the option source."""
    target: str = ""
    """Column of its target; empty: that of the option target."""
    tag: str = ""
    """Token that stands before each of its sources, such as <2de>; empty: none."""
    weight: float | None = None
    """Its share of the pairs of an epoch, in proportion to the other weights; 0 leaves the corpus out. All corpora have
    a weight, or none."""

    def __post_init__(self) -> None:
        with contextlib.suppress(UserError):  # what is no data is refused below, by this field's name
            object.__setattr__(self, "path", name_of_data(self.path))
        if isinstance(self.path, str):  # a name alone is all that most give: it is called as they call it
            check(is_utf8(self.path), f"option 'data' must be UTF-8, not {self.path!r}")
        check_fields(self, "data")
        check(bool(self.path), "option 'data.path' must not be empty")
        if self.weight is not None:
            check_numbers(self, "data", weight=Real(0, 1_000_000))
        check(
            not self.tag or is_tag(self.tag),
            f"option 'data.tag' must be a word in pointed brackets, in small letters, such as <2de>, not {self.tag!r}",
        )


if TYPE_CHECKING:
    AnyData: TypeAlias = Data | Sequence[Data | CorpusConfig]
else:
    AnyData = str | tuple[str | CorpusConfig, ...]
    """What the command line and config.json can hold."""


def is_tag(text: str) -> bool:
    """Whether a text is a tag that normalisation does not change."""
    return TAG.fullmatch(text) is not None and unicodedata.normalize("NFKC", text).casefold() == text


def tagged(source: str, tag: str) -> str:
    """A source behind a tag; one that is blank, or where there is no tag, as it is."""
    return f"{tag} {source}" if tag and source.strip() else source


def untagged(source: str, tags: Collection[str]) -> str:
    """A source without the tag that it may begin with."""
    return tag_apart(source, tags)[1]


def tag_apart(source: str, tags: Collection[str]) -> tuple[str, str]:
    """Which of the tags a source begins with, empty where it is none of them, and the rest."""
    first, _, rest = source.lstrip().partition(" ")
    return (first, rest) if first in tags else ("", source)


class Tags(NamedTuple):
    """The tags that a model knows, and which of them texts get."""

    given: str
    """Of texts that have none; empty: none."""
    known: tuple[str, ...]
    needed: bool
    """Whether the model never saw a text without a tag."""

    def before(self, text: str, place: str) -> str:
        """The text with its tag. Raises UserError, naming the place, where it has none and the model needs one."""
        text = self.added(text)
        self.check(text, place)
        return text

    def check(self, text: str, place: str) -> None:
        """Raises UserError, naming the place, where a text lacks its tag."""
        check(not self.lacks(text), f"{place}: {self.problem}; give --tag")

    def added(self, text: str) -> str:
        """The text behind the tag that texts get, unless it begins with one."""
        return text if self.apart(text)[0] else tagged(text, self.given)

    def lacks(self, text: str) -> bool:
        """Whether a text that is not blank has no tag and the model needs one."""
        return self.needed and bool(text.strip()) and not self.apart(text)[0]

    @property
    def problem(self) -> str:
        """What is wrong with such a text."""
        return f"begins with none of the tags that this model reads, {', '.join(self.known)}"

    def apart(self, text: str) -> tuple[str, str]:
        """The tag that a text begins with, empty where there is none, and the rest."""
        return tag_apart(text, self.known)


def every_tagged(stored: Mapping[str, Any]) -> bool:
    """Whether all corpora that a run's stored configuration names, but those of weight 0, have a tag."""
    corpora = stored.get("data")
    return isinstance(corpora, list) and all(each.get("tag") for each in corpora if each.get("weight") != 0)


def data_of(data: Any) -> str | tuple[CorpusConfig, ...]:
    """What a configuration keeps of its `data`: a list as the corpora that it names, all else as `name_of_data` has it.
    Raises UserError for what is neither, and where only some corpora have a weight, or none has one above 0."""
    if not isinstance(data, list | tuple):
        return name_of_data(data)
    check(len(data) > 0, "option 'data' must name a corpus, but its list is empty")
    corpora = tuple(_corpus_of(each, f"data, corpus {number}") for number, each in enumerate(data, 1))
    given = [each.weight for each in corpora if each.weight is not None]
    check(len(given) in (0, len(corpora)), "data: give all corpora a weight, or none of them")
    check(not given or any(given), "data: all weights are 0; give at least one corpus a weight above 0")
    return corpora


def places_of(data: Any) -> list[str]:
    """Where data lies that a configuration names: one place, or that of each corpus."""
    return [str(each.path) for each in data] if isinstance(data, tuple) else [str(data)]


def _corpus_of(one: Any, where: str) -> CorpusConfig:
    """A corpus, its options, or its data alone. where: says in errors which it is."""
    if isinstance(one, CorpusConfig):
        return one
    if isinstance(one, Mapping) and not any(hasattr(each, "column_names") for each in one.values()):
        return from_dict(CorpusConfig, dict(one), where)
    return CorpusConfig(name_of_data(one))


def with_columns(corpora: Sequence[CorpusConfig], source: str, target: str) -> list[CorpusConfig]:
    """The corpora whose weight is not 0, with their columns: where one names none, these."""
    named = [replace(each, source=each.source or source, target=each.target or target) for each in corpora]
    return [each for each in named if each.weight != 0]


def corpus_names(corpora: Sequence[CorpusConfig]) -> list[str]:
    """What the corpora are called in logs and files: by their tags where these differ, else by data and columns."""
    tags = [each.tag.strip("<>") for each in corpora]
    if all(tags) and len(set(tags)) == len(tags):
        return tags
    names = [f"{Path(str(each.path)).name.split('.')[0]}_{each.source}_{each.target}" for each in corpora]
    return [f"{name}_{row}" if names.count(name) > 1 else name for row, name in enumerate(names, 1)]


def shares(weights: Sequence[float | None], sizes: Sequence[int], temperature: float) -> Array:
    """The share of each corpus in what is drawn: in proportion to the weights or, where there are none, to the sizes to
    the power of 1 / temperature (Devlin 2019; Arivazhagan et al. 2019). [corpora], of sum 1."""
    if weights[0] is None:
        proportions = np.array(sizes, np.float64) ** (1 / temperature)
    else:
        proportions = np.array(weights, np.float64)
    return proportions / proportions.sum()


class Mix:
    """Which rows of several corpora, that stand one after the other, an epoch is made of: as many as they have in all,
    a function of seed and epoch.

    From each corpus rows are drawn pass after pass: none comes again before all have come, over the epochs too.
    """

    def __init__(self, shares: Array, sizes: Sequence[int], seed: int) -> None:
        """shares: of each corpus, of sum 1. sizes: its rows."""
        self.sizes, self.seed = list(sizes), seed
        self.counts = _whole(shares * sum(sizes), sum(sizes))
        """Rows of each corpus in an epoch."""

    def rows(self, epoch: int) -> Array:
        """Row numbers, ascending; some stand there several times, some not at all."""
        starts = np.cumsum([0, *self.sizes[:-1]])
        return np.concatenate([start + self._drawn(corpus, epoch) for corpus, start in enumerate(starts)])

    def _drawn(self, corpus: int, epoch: int) -> Array:
        count, size = self.counts[corpus], self.sizes[corpus]
        if count == size:
            return np.arange(size)
        first, end = epoch * count // size, -(-(epoch + 1) * count // size)
        passes = [
            np.random.default_rng((self.seed, corpus, number, PASSES)).permutation(size) for number in range(first, end)
        ]
        begin = epoch * count - first * size
        return np.sort(np.concatenate([*passes, np.zeros(0, np.int64)])[begin : begin + count]).astype(np.int64)


def _whole(wanted: Array, total: int) -> list[int]:
    """Whole numbers of that total next to those wanted: the largest remainders are rounded up."""
    counts = np.floor(wanted).astype(np.int64)
    missing = total - int(counts.sum())
    counts[np.argsort(counts - wanted, kind="stable")[:missing]] += 1
    return [int(count) for count in counts]


class Interleaved(Iterator[Item]):
    """Draws from streams by their shares, as a function of seed and epoch, until each was read to its end once; those
    that end before begin anew. It can go on where it stood, if the streams can."""

    def __init__(self, streams: Sequence[Callable[[], Iterator[Item]]], shares: Array, seed: int, epoch: int) -> None:
        self.streams, self.bounds = streams, np.cumsum(shares)[:-1]
        self.random = np.random.default_rng((seed, epoch, 0, CHOICES))
        self.running, self.ended = [begin() for begin in streams], set[int]()

    def state(self) -> dict[str, Any]:
        """Where it stands, in values that JSON holds."""
        streams = [each.state() for each in self.running if isinstance(each, Resumable)]
        return {"random": self.random.bit_generator.state, "ended": sorted(self.ended), "streams": streams}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from there; nothing was read yet."""
        self.random.bit_generator.state, self.ended = state["random"], set(state["ended"])
        for stream, place in zip(self.running, state["streams"], strict=True):
            assert isinstance(stream, Resumable)
            stream.restore(place)

    def __next__(self) -> Item:
        if len(self.ended) == len(self.streams):
            raise StopIteration  # for good: the others would go on
        chosen = int(np.searchsorted(self.bounds, self.random.random(), side="right"))
        item = next(self.running[chosen], None)
        if item is None:
            self.ended.add(chosen)
            if len(self.ended) == len(self.streams):
                raise StopIteration
            self.running[chosen] = self.streams[chosen]()
            item = next(self.running[chosen], None)
            check(item is not None, f"corpus {chosen + 1} of data has no pair left; see the counts of dropped pairs")
        assert item is not None
        return item
