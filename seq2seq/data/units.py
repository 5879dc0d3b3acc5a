"""Units: what source, target and features are cut into, and the vocabulary of sources that have features."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol

from seq2seq.data.symbols import EOS_ID, PAD_ID, UNK_ID
from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig, column_texts, train_vocabularies
from seq2seq.errors import check

Units = Literal["auto", "subwords", "characters", "graphemes", "symbols"]
Unicode = Literal["unchanged", "NFC", "NFD"]
FeatureUnits = Literal["symbols", "characters", "subwords"]
FEATURE_SEPARATOR = re.compile(r"[;|]|,(?=[^,;|=()]+=)")
"""A comma is part of a feature, as in NOM(1,SG), unless a name and = follow it."""
HANGUL = "\uac00", "\ud7a3"
"""The first and the last of Unicode's syllables."""
FIRST_ID = EOS_ID + 1
"""Ids below are padding, unknown, beginning and end, which text and features share."""


class UnitsConfig(Protocol):
    """The options that decide it, of `DataConfig`."""

    @property
    def features(self) -> str: ...
    @property
    def source_units(self) -> Units: ...
    @property
    def target_units(self) -> Units: ...
    @property
    def feature_units(self) -> FeatureUnits: ...
    @property
    def unicode(self) -> Unicode: ...
    @property
    def tags(self) -> Sequence[str]: ...


def unit_vocabulary(
    texts: Iterable[str],
    units: Units,
    config: VocabularyConfig,
    seed: int,
    tags: Sequence[str] = (),
    read_only: bool = False,
) -> Vocabulary:
    """Learns the vocabulary of texts cut into these units; auto: as `config` says, else with all that occurs, and texts
    as they stand. tags: words that are a piece each, whatever the units. read_only: of texts that are read, not
    written, where characters are the letters of Hangul's syllables, which share a few dozen letters."""
    if units == "auto":
        return Vocabulary.train(texts, config, seed, tags=tags)
    if units == "subwords":
        kind = config.model_type if config.model_type in ("unigram", "bpe") else "unigram"
        return Vocabulary.train(texts, replace(config, model_type=kind), seed, tags=tags)
    lines = list(texts)
    settings = replace(
        config, model_type="word" if units == "symbols" else "char", normalization="identity", character_coverage=1.0
    )
    clusters = _clusters(lines) if units == "graphemes" else ()
    apart = hangul_letters() if read_only and units == "characters" and any(map(has_hangul, lines)) else None
    return Vocabulary.train(lines, settings, seed, whole=True, clusters=clusters, tags=tags, apart=apart)


def has_hangul(text: str) -> bool:
    """Whether there is a syllable of Hangul in a text."""
    return any(HANGUL[0] <= character <= HANGUL[1] for character in text)


def hangul_letters() -> dict[str, str]:
    """Each syllable of Hangul, and the letters that it is made of (Unicode's canonical decomposition)."""
    syllables = map(chr, range(ord(HANGUL[0]), ord(HANGUL[1]) + 1))
    return {syllable: unicodedata.normalize("NFD", syllable) for syllable in syllables}


def _clusters(lines: list[str]) -> list[str]:
    """Characters with their combining marks, as users see them (Unicode's extended grapheme clusters), of all lines."""
    import regex  # takes a tenth of a second, which a command that only translates can save

    found = {cluster for line in lines for cluster in regex.findall(r"\X", line) if len(cluster) > 1}
    return sorted(cluster for cluster in found if not any(map(str.isspace, cluster)))


def normalised(text: str, unicode: Unicode) -> str:
    """The text in that Unicode form."""
    return text if unicode == "unchanged" else unicodedata.normalize(unicode, text)


def features_apart(features: str, units: FeatureUnits) -> str:
    """Features as their vocabulary cuts them: "V;PRS;3", "pos=V,tense=PRS" and "Mood=Ind|Tense=Pres" get spaces where
    they are symbols, else stay."""
    return " ".join(FEATURE_SEPARATOR.sub(" ", features).split()) if units == "symbols" else features


class SourceVocabulary:
    """The vocabulary of sources that are more than a text: with features behind a tab, or in a Unicode form.

    Ids of features follow those of text. They stand before the text's (tokens), or beside each of them (factors): then
    the ids of a source are rows [S, 1 + factors], PAD_ID where there are fewer features. A feature that training did
    not show is UNK_ID.
    """

    def __init__(
        self,
        text: Vocabulary,
        features: Vocabulary | None = None,
        factors: int = 0,
        unicode: Unicode = "unchanged",
        feature_units: FeatureUnits = "symbols",
    ) -> None:
        """factors: most features that are read of a source; 0: they are tokens."""
        self.text, self.features, self.factors = text, features, factors
        self.unicode, self.feature_units = unicode, feature_units

    def __len__(self) -> int:
        return len(self.text) + (len(self.features) - FIRST_ID if self.features else 0)

    def fingerprint(self) -> str:
        """The SHA-256 of all that decides the ids."""
        parts = [self.text.fingerprint(), self.features.fingerprint() if self.features else "", self.settings()]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def settings(self) -> dict[str, Any]:
        """What is stored of it beside the vocabularies."""
        return {
            "features": self.features is not None,
            "factors": self.factors,
            "unicode": self.unicode,
            "feature_units": self.feature_units,
        }

    def encode(self, text: str) -> list[Any]:
        """The ids of a source: numbers, or rows of them."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[Any]]:
        """The ids of every source. Raises UserError where features are to be read and a text that is not blank has no
        tab before them."""
        texts = [normalised(text, self.unicode) for text in texts]
        if self.features is None:
            return self.text.encode_batch(texts)
        for text in texts:
            self.check_source(text, f"{text!r:.60}")
        parts = [text.partition("\t") for text in texts]
        sources = self.text.encode_batch([source for source, _, _ in parts])
        shift = len(self.text) - FIRST_ID
        features = [
            [each + shift if each != UNK_ID else UNK_ID for each in ids]
            for ids in self.features.encode_batch([features_apart(given, self.feature_units) for _, _, given in parts])
        ]
        pairs = zip(sources, features, strict=True)
        if not self.factors:
            return [ids + source if source else [] for source, ids in pairs]
        return [[[each, *self._padded(ids)] for each in source] for source, ids in pairs]

    def tags(self) -> list[str]:
        """As `Vocabulary` has it."""
        return self.text.tags()

    def tokens_before(self, text: str) -> int:
        """Tokens of features that stand before those of the text."""
        if self.features is None or self.factors:
            return 0
        given = normalised(text, self.unicode).partition("\t")[2]
        return len(self.features.encode(features_apart(given, self.feature_units)))

    def spellings(self, texts: Sequence[str]) -> list[list[str]]:
        """As `Vocabulary` has it; features have none."""
        texts = [normalised(text, self.unicode) for text in texts]
        words = self.text.spellings([text.partition("\t")[0] if self.features else text for text in texts])
        return [[""] * self.tokens_before(text) + each for text, each in zip(texts, words, strict=True)]

    def check_source(self, text: str, place: str) -> None:
        """Raises UserError, naming the place, where features are to be read and a text that is not blank has none, or
        further columns."""
        _, *columns = text.split("\t")
        features = features_apart(columns[0], self.feature_units).strip() if len(columns) == 1 else ""
        fits = self.features is None or not text.strip() or bool(features)
        check(fits, f"{place}: this model reads lines of a source, a tab, and its features, such as walk<tab>V;PST")

    def check_features(self, texts: Sequence[str], place: str) -> None:
        """Raises UserError, naming the first row, where of most texts no feature occurs in training: their columns are
        in another order, or of another kind."""
        if self.features is None:
            return
        given = [features_apart(text.partition("\t")[2], self.feature_units) for text in texts]
        strange = [row for row, ids in enumerate(self.features.encode_batch(given)) if not set(ids) - {UNK_ID}]
        if 2 * len(strange) > len(texts):
            shown, row = given[strange[0]], strange[0] + 1
            problem = f"no feature of {shown!r:.60} occurs in training; are the columns in another order?"
            check(False, f"{place}, row {row}: {problem}")

    def _padded(self, features: list[int]) -> list[int]:
        return (features + [PAD_ID] * self.factors)[: self.factors]

    def pieces(self, ids: Sequence[Any]) -> list[str]:
        """What every id, or row of ids, stands for, to show."""
        first = [each[0] if self.factors else each for each in ids]
        return [self._piece(int(each)) for each in first]

    def _piece(self, number: int) -> str:
        if self.features is None or number < len(self.text):
            return self.text.pieces([number])[0]
        return self.features.pieces([number - len(self.text) + FIRST_ID])[0]


LONGEST_WORD = 24
"""Characters: texts that are longer, on average, are taken for sentences."""
AnyVocabulary = Vocabulary | SourceVocabulary


def train_unit_vocabularies(
    dataset: Any, config: UnitsConfig, settings: VocabularyConfig, per_step: bool, seed: int
) -> tuple[AnyVocabulary, Vocabulary]:
    """The source and the target vocabulary for a dataset with columns ``source`` and ``target``, cut into the units
    that `config` names. They hold one and the same `Vocabulary` of texts where units are the same and settings.joint.
    Model files that `settings` names are loaded instead.

    per_step: whether features are factors of each step, not tokens before the source.
    """
    if not hasattr(dataset, "__len__"):
        dataset = dataset.take(settings.max_training_sentences)
    units = config.source_units, config.target_units
    if settings.source_model is not None or (units == ("auto", "auto") and not config.features):
        source, target = train_vocabularies(dataset, settings, seed, config.tags)
    else:
        sources = [text.partition("\t")[0] if config.features else text for text in column_texts(dataset, ("source",))]
        targets = list(column_texts(dataset, ("target",)))
        joint = settings.joint and units[0] == units[1]
        target = unit_vocabulary(
            [*sources, *targets] if joint else targets, units[1], settings, seed, config.tags if joint else ()
        )
        source = target if joint else unit_vocabulary(sources, units[0], settings, seed, config.tags, read_only=True)
    return _with_features(source, dataset, config, settings, per_step, seed), target


def _with_features(
    text: Vocabulary, dataset: Any, config: UnitsConfig, settings: VocabularyConfig, per_step: bool, seed: int
) -> AnyVocabulary:
    """The vocabulary of sources, given that of their texts, with what it needs besides."""
    if not config.features:
        return text if config.unicode == "unchanged" else SourceVocabulary(text, unicode=config.unicode)
    units = config.feature_units
    given = [features_apart(source.partition("\t")[2], units) for source in column_texts(dataset, ("source",))]
    features = unit_vocabulary(given, units, settings, seed)
    factors = max(map(len, features.encode_batch(given))) if per_step else 0
    return SourceVocabulary(text, features, factors, config.unicode, units)


def guessed_units(sources: Iterable[str], targets: Iterable[str], features: bool) -> tuple[Units, Units]:
    """Of both sides: characters or symbols where sources are as short as words, or have features, else subwords."""
    lengths = [len(source) for source in sources]
    if not features and sum(lengths) > LONGEST_WORD * len(lengths):
        return "subwords", "subwords"
    parts = [part for target in targets for part in target.split()]
    short = sum(sum(map(str.isalnum, part)) < 3 for part in parts)
    return "characters", "symbols" if 4 * short > 3 * len(parts) else "characters"


def columns_of(columns: str, *used: str) -> tuple[str, ...]:
    """The names in "lemma,features,form". Raises UserError where one is empty or stands twice, or one used is not
    there."""
    names = tuple(name.strip() for name in columns.split(",")) if columns else ()
    check(all(names) and len(set(names)) == len(names), f"columns must be different names with commas, not {columns!r}")
    for name in used if names else ():
        check(name in names, f"columns {columns} lacks '{name}', which source, target or features names")
    return names
