"""Corpora: parallel text from the Hugging Face Hub or local files, as `datasets` objects of sentence pairs.

`datasets` is imported where it is used because that takes a second, which a command that only translates can save.
"""

import functools
import hashlib
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from seq2seq.config import COUNTS, Real, Whole, check_fields, check_numbers
from seq2seq.data.datasets_errors import cache_errors, quiet, read_batches
from seq2seq.data.in_memory import name_of_data
from seq2seq.data.languages import check_tokenizer
from seq2seq.data.loading import Columns, Corpus, digest, list_lengths, open_split
from seq2seq.data.mixing import AnyData, CorpusConfig, data_of, tagged, with_columns
from seq2seq.data.units import AnyVocabulary, FeatureUnits, Unicode, Units, columns_of, normalised
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.errors import check, check_argument
from seq2seq.runtime.distributed import World

if TYPE_CHECKING:
    import datasets

log = logging.getLogger(__name__)


TargetOrder = Literal["left_to_right", "right_to_left"]
KEPT, EMPTY, TOO_LONG, RATIO = range(4)
MOST_PARTS, ROWS_A_PART = 64, 10_000
"""Of a corpus that several ranks tokenise: the same for any number of them, so that each finds what others cached."""


@dataclass(frozen=True)
class DataConfig:
    """Where the parallel text comes from and which training pairs are used."""

    data: AnyData
    """Folder, file, or Hub id ("owner/name" or "owner/name:configuration"); in Python a Dataset or DatasetDict, too.
    Several corpora: the option several times, in a file a list; each a name, or {path: DIR, source: en, target: de,
    tag: <2de>, weight: 1}, of which path alone is needed."""
    source: str
    """Column (or suffix of the text files) of the source language, such as "en"."""
    target: str
    """Column (or suffix of the text files) of the target language; a list of strings is several references."""
    columns: str = ""
    """Names of all columns of tables without a header, in their order, with commas: lemma,features,form. Such files are
    train.tsv, validation.tsv and test.tsv, or as data names one: fre_train.tsv and fre_dev.tsv, deu.trn and deu.dev."""
    features: str = ""
    """Column of features of the source, such as V;PST;3: model.features says how they join it. translate then reads
    lines of a source, a tab, and its features."""
    source_units: Units = "auto"
    """What sources are cut into: characters, graphemes (characters with their combining marks), symbols (with spaces
    between them) or subwords, each side with a vocabulary of its own unless the units are the same. auto: as
    vocabulary.model_type says; of seq2seq train, where columns or features are named, as the texts look."""
    target_units: Units = "auto"
    """The same of targets."""
    feature_units: FeatureUnits = "symbols"
    """The same of features: symbols (with ; or spaces between them), characters or subwords."""
    unicode: Unicode = "unchanged"
    """Form that all texts are brought into, those to translate, too: unchanged, NFC or NFD."""
    target_order: TargetOrder = "left_to_right"
    """Order in which targets are written: left_to_right, or right_to_left, from the last piece to the first. A model of
    the second kind orders the n best outputs of one of the first anew (seq2seq rerank)."""
    mixing_temperature: float = 1.0
    """Of several corpora without weights: pairs are drawn in proportion to their sizes to the power of 1 / this. 1:
    each pair once an epoch; the higher, the more often are the small ones seen."""
    train_split: str = "train"
    """Split to train on; slices such as "train[:90%]" are understood."""
    validation_split: str = "validation"
    """Split to validate on."""
    test_split: str = "test"
    """Split to test on; empty: none. One that is named must be there, "test" need not be."""
    bleu_tokenizer: str = ""
    """BLEU's tokenizer, by sacreBLEU's names: 13a, intl, char, zh, ja-mecab, ko-mecab, flores101, flores200, spm, none.
    Empty: that of the language which the target column is named after ("zh_CN", "jpn", "chinese"), else 13a."""
    max_length: int = 128
    """Tokens a side above which a training pair is dropped; 0 keeps all."""
    max_ratio: float = 0.0
    """Ratio of the longer to the shorter side, in tokens, above which a training pair is dropped; 0 keeps all."""
    streaming: bool = False
    """Read the training data while training instead of preparing it on disk first, its files in another order each
    epoch. Its end is not known: the cosine schedule then needs trainer.max_steps."""
    shuffle_buffer_size: int = 10_000
    """Pairs from which a streamed corpus draws at random."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", data_of(self.data))
        check_fields(self, "")
        sides = () if isinstance(self.data, tuple) else ("source", "target")
        for name in ("data", *sides, "train_split", "validation_split"):
            check(bool(getattr(self, name)), f"option '{name}' must not be empty")
        if self.bleu_tokenizer:
            check_tokenizer(self.bleu_tokenizer)
        for corpus in self.corpora():
            self._check_columns(corpus)
        check_numbers(self, "", max_length=Whole(0, 1_000_000), max_ratio=Real(0, 1_000), shuffle_buffer_size=COUNTS)
        check_numbers(self, "", mixing_temperature=Real(1, 1_000))
        check(
            self.max_ratio == 0 or self.max_ratio >= 1, f"max_ratio must be 0 (off) or at least 1, got {self.max_ratio}"
        )
        several = self.corpora()
        check(
            not self.streaming or len(several) < 2 or several[0].weight is not None,
            "streaming: how large the corpora are is not known before their ends; give each a weight",
        )

    def _check_columns(self, corpus: CorpusConfig) -> None:
        for side in ("source", "target"):
            check(
                bool(getattr(corpus, side)), f"data: {corpus.path} has no {side}; give it one, or set the option {side}"
            )
        check(corpus.source != corpus.target, f"source and target are the same column '{corpus.source}'")
        check(
            self.features not in (corpus.source, corpus.target),
            f"features are a column of their own, not {self.features!r}",
        )
        columns_of(self.columns, corpus.source, corpus.target, *([self.features] if self.features else []))

    def corpora(self) -> list[CorpusConfig]:
        """The corpora that are trained on, with their columns: those of `data` whose weight is not 0."""
        given = self.data if isinstance(self.data, tuple) else (CorpusConfig(self.data),)
        return with_columns([each for each in given if isinstance(each, CorpusConfig)], self.source, self.target)

    @property
    def tags(self) -> list[str]:
        """The tags of all corpora, each once."""
        return list(dict.fromkeys(each.tag for each in self.corpora() if each.tag))

    @property
    def language(self) -> str:
        """The name of the target's column where all corpora have the same, else nothing."""
        targets = {each.target for each in self.corpora()}
        return targets.pop() if len(targets) == 1 else ""


@dataclass(frozen=True)
class FilterCounts:
    """Numbers of pairs that were kept and dropped; a dropped pair counts once, under the first reason."""

    kept: int
    empty: int
    too_long: int
    ratio: int

    def describe(self) -> str:
        """Return the counts as one line."""
        dropped = {"empty": self.empty, "too long": self.too_long, "of unlike lengths": self.ratio}
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in dropped.items() if count)
        return f"{self.kept:,} pairs kept, " + (f"dropped: {reasons}" if reasons else "none dropped")


def load_split(config: DataConfig, split: str) -> Corpus:
    """Return a split with exactly the columns ``source`` (text) and ``target`` (text, or a list of references).

    ``split`` is a name or a slice of one ("train[:90%]"). The result is a `datasets.Dataset`, or an `IterableDataset`
    when streaming; of several corpora, one after the other. Raises `UserError` when the data cannot be found or read,
    is empty or is not text.
    """
    check_argument("load_split", "config", config, DataConfig)
    check_argument("load_split", "split", split, str)
    return joined([load_corpus(config, corpus, split) for corpus in config.corpora()])


def load_corpus(config: DataConfig, corpus: CorpusConfig, split: str) -> Corpus:
    """`load_split` of one of the corpora of `config`, its sources behind its tag."""
    columns = Columns(corpus.source, corpus.target, config.features, columns_of(config.columns))
    opened = open_split(name_of_data(corpus.path), split, columns, config.streaming)
    if config.unicode == "unchanged" and not corpus.tag:
        return opened
    with quiet(), cache_errors():
        return opened.map(_prepared, fn_kwargs={"unicode": config.unicode, "tag": corpus.tag})


def joined(parts: list[Corpus]) -> Corpus:
    """Splits with the columns ``source`` and ``target``, one after the other; where one has lists of references, all
    have."""
    if len(parts) == 1:
        return parts[0]
    from datasets import Features, Sequence, Value, concatenate_datasets

    text = Value("string")
    kinds = [next(iter(part))["target"] for part in parts]
    several = any(isinstance(kind, list) for kind in kinds)
    features = Features({"source": text, "target": Sequence(text) if several else text})
    with quiet(), cache_errors():
        listed = [
            part.map(_listed, features=features) if several and isinstance(kind, str) else part
            for part, kind in zip(parts, kinds, strict=True)
        ]
        # Of Parquet files texts may be of a type for large ones, which does not join with the usual one.
        return concatenate_datasets(
            [each if each.features in (None, features) else each.cast(features) for each in listed]
        )


def _listed(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose target is a list of references."""
    return {"source": row["source"], "target": as_list(row["target"])}


def _prepared(row: dict[str, Any], unicode: Unicode, tag: str) -> dict[str, Any]:
    """A row in a Unicode form, the source behind the tag of its corpus."""
    targets = [normalised(each, unicode) for each in as_list(row["target"])]
    return {
        "source": tagged(normalised(row["source"], unicode), tag),
        "target": targets[0] if isinstance(row["target"], str) else targets,
    }


def tokenise(
    dataset: "datasets.Dataset",
    source_vocabulary: AnyVocabulary,
    target_vocabulary: Vocabulary,
    max_length: int = 0,
    max_ratio: float = 0.0,
    world: World | None = None,
) -> tuple["datasets.Dataset", FilterCounts]:
    """Encode a split into columns ``source_ids`` and ``target_ids`` (lists of int32, without beginning and end; of
    sources with factors, lists of rows).

    Several references of one source give a pair each. Pairs with an empty side are dropped, as are those longer than
    ``max_length`` tokens a side and those whose lengths differ by more than the factor ``max_ratio`` (0 = no limit).
    Arrow files of the results are cached by data, vocabularies and limits. Of several ranks each encodes a share of the
    rows, and takes the others from that cache; where they have none in common, it encodes them, too. Raises `UserError`
    when no pair is left, and where ranks hold other data than each other.
    """
    from datasets import Features, Sequence, Value, concatenate_datasets, is_caching_enabled

    factors = getattr(source_vocabulary, "factors", 0)
    source_type = Sequence(Value("int32"), length=1 + factors) if factors else Value("int32")

    def encode(batch: dict[str, list[Any]]) -> dict[str, list[list[Any]]]:
        source_ids, target_ids = encode_pairs(batch, source_vocabulary, target_vocabulary)
        return {"source_ids": source_ids, "target_ids": target_ids}

    # Named here because datasets would otherwise pickle the vocabularies to find out whether they have changed.
    encoding = ("tokenised", dataset._fingerprint, source_vocabulary.fingerprint(), target_vocabulary.fingerprint())
    world = world or World()
    # What lies in memory leaves no files to the others.
    shared = world.size > 1 and bool(dataset.cache_files) and is_caching_enabled()
    parts = min(MOST_PARTS, -(-len(dataset) // ROWS_A_PART)) if shared else 1

    def encoded_part(number: int) -> "datasets.Dataset":
        part = dataset.shard(parts, number, contiguous=True) if parts > 1 else dataset
        return part.map(
            encode,
            batched=True,
            remove_columns=dataset.column_names,
            features=Features({"source_ids": Sequence(source_type), "target_ids": Sequence(Value("int32"))}),
            writer_batch_size=10_000,
            new_fingerprint=digest(*encoding, *([number, parts] if parts > 1 else [])),
        )

    def encode_own_parts() -> None:
        with cache_errors():
            for number in range(world.rank, parts, world.size):
                encoded_part(number)

    with quiet(), cache_errors():
        if shared:
            world.gather(encode_own_parts)
        encoded_parts = [encoded_part(number) for number in range(parts)]
        encoded = encoded_parts[0] if parts == 1 else concatenate_datasets(encoded_parts)
        source_lengths, target_lengths = (list_lengths(encoded, side) for side in ("source_ids", "target_ids"))
        verdicts = verdicts_of(source_lengths, target_lengths, max_length, max_ratio)
        counts = FilterCounts(*np.bincount(verdicts, minlength=4).tolist())
        check_same_everywhere(world, source_lengths, target_lengths)
        check(counts.kept > 0, f"no sentence pair is left: {counts.describe()}")
        if counts.kept < len(encoded):
            limits = (*encoding, max_length, max_ratio)
            kept = encoded.select(np.flatnonzero(verdicts == KEPT), new_fingerprint=digest("kept", *limits))
            # Written out again so that readers find the rows in place instead of through a table of indices.
            flat = functools.partial(kept.flatten_indices, new_fingerprint=digest("flat", *limits))

            def write_flat() -> None:
                with cache_errors():
                    if world.is_main:
                        flat()

            if shared:
                world.gather(write_flat)
            encoded = flat()
    return encoded, counts


def check_same_everywhere(world: World, *lengths: npt.NDArray[np.int64]) -> None:
    """Raises UserError, on every rank, where tokenised sides are not as many and as long on each: hosts whose copies of
    the data differ would train on other batches than they agree on, or wait for each other."""
    if world.size == 1:
        return
    pairs = len(lengths[0])
    sizes = world.gather(lambda: (pairs, *(int(each.sum()) for each in lengths)))
    for rank, size in enumerate(sizes):
        check(
            size == sizes[0],
            f"process {rank + 1} of {world.size} reads other data than the first: {_described(size)} against "
            f"{_described(sizes[0])}; give each host the same files",
        )


def _described(size: tuple[int, ...]) -> str:
    pairs, *tokens = size
    return f"{pairs:,} pairs of {' and '.join(f'{each:,}' for each in tokens)} tokens"


def references(dataset: Corpus) -> list[list[str]]:
    """Return the references of every source: one, or several where the target column holds lists; no blank ones."""
    fits, kind = hasattr(dataset, "iter"), type(dataset).__name__
    check(fits, f"references: dataset must be a split as load_split gives it, not of type {kind}")
    return [_without_blanks(as_list(target)) for batch in dataset.iter(batch_size=1000) for target in batch["target"]]


def to_evaluate(config: DataConfig, dataset: Corpus) -> tuple[list[str], list[list[str]]]:
    """The sources of a split, and the references of each. Rows of the same word are one source with several references:
    those of tables without a header, and of sources that are cut into characters or symbols."""
    sources = [row["source"] for row in dataset]
    lines = references(dataset)
    if not config.columns and config.source_units in ("auto", "subwords"):
        return sources, lines
    merged: dict[str, list[str]] = {}
    for source, several in zip(sources, lines, strict=True):
        known = merged.setdefault(source, [])
        known += [each for each in several if each not in known]
    return list(merged), list(merged.values())


def data_fingerprint(dataset: Corpus) -> str:
    """Return the SHA-256 of the pairs' text, the same on every machine; of a stream, that of its first 1,000 pairs."""
    digest = hashlib.sha256()
    pairs: Any = dataset if hasattr(dataset, "__len__") else dataset.take(1000)
    for batch in read_batches(pairs, 1000, "training data"):
        digest.update(json.dumps([batch["source"], batch["target"]]).encode("ascii"))
    return digest.hexdigest()


def encode_pairs(
    batch: dict[str, list[Any]], source_vocabulary: AnyVocabulary, target_vocabulary: Vocabulary
) -> tuple[list[list[Any]], list[list[int]]]:
    """Encode a batch of rows, a pair for every reference."""
    targets = [as_list(target) for target in batch["target"]]
    source_ids = source_vocabulary.encode_batch(batch["source"])
    repeated = [ids for ids, several in zip(source_ids, targets, strict=True) for _ in several]
    return repeated, target_vocabulary.encode_batch([text for several in targets for text in several])


def as_list(target: str | list[str]) -> list[str]:
    """The references of a row."""
    return [target] if isinstance(target, str) else list(target)


def _without_blanks(lines: list[str]) -> list[str]:
    return [line for line in lines if line.strip()] or lines[:1]


def verdicts_of(
    source_lengths: npt.NDArray[np.int64],
    target_lengths: npt.NDArray[np.int64],
    max_length: int,
    max_ratio: float,
) -> npt.NDArray[np.int64]:
    """[n] lengths in tokens of both sides -> [n] KEPT, or why the pair is dropped: EMPTY, TOO_LONG or RATIO."""
    longer, shorter = np.maximum(source_lengths, target_lengths), np.minimum(source_lengths, target_lengths)
    verdicts = np.full(len(longer), KEPT, dtype=np.int64)
    if max_ratio:
        verdicts[longer > max_ratio * shorter] = RATIO
    if max_length:
        verdicts[longer > max_length] = TOO_LONG
    verdicts[shorter == 0] = EMPTY
    return verdicts
