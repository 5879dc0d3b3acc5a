"""Sources of parallel text: Hugging Face Hub, local files and folders, opened as `datasets` objects of sentence pairs.

`datasets` is imported where it is used because that takes a second, which a command that only translates can save.
"""

import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, Union

import numpy as np
import numpy.typing as npt

from seq2seq.data import formats
from seq2seq.data.datasets_errors import cache_errors, loading_errors, quiet, reading_errors
from seq2seq.data.in_memory import PLACEHOLDER, splits_in_memory
from seq2seq.data.slices import name_and_slice, rows_of_slice
from seq2seq.data.split_files import (
    ROW_FORMATS,
    VALIDATION_NAMES,
    Columns,
    all_split_files,
    packed_otherwise,
    present_splits,
    shard_files,
    split_files,
)
from seq2seq.data.tables import split_table
from seq2seq.errors import UserError, check
from seq2seq.runtime.paths import checked_path

if TYPE_CHECKING:
    import datasets


log = logging.getLogger(__name__)

Corpus: TypeAlias = Union["datasets.Dataset", "datasets.IterableDataset"]

KINDS = f"{', '.join(ROW_FORMATS)}, also with {', '.join(formats.COMPRESSIONS)} behind it"
LOCAL_HELP = "give a folder that holds train.jsonl, validation.jsonl and test.jsonl (or .csv, .tsv, .parquet)"


@dataclass(frozen=True)
class Shards:
    """Files of rows that a split is spread over."""

    paths: tuple[Path, ...]


class Found(NamedTuple):
    """A split of a corpus, before its columns are looked at."""

    rows: tuple[Path, ...] | Shards | Corpus
    """A file of rows, two text files, files that together are the split, or a data set with all its columns."""
    place: str
    """Names it in errors."""
    part: str = ""
    """The slice of it that is still to be taken, such as "[:90%]"."""
    folder: Path = Path()
    """Where its files lie, which rows may name others beside."""


def open_split(data: str, split: str, columns: Columns, streaming: bool = False) -> Corpus:
    """Return a split, or a slice such as "train[:90%]", as columns ``source`` and ``target`` that hold text."""
    name, part = name_and_slice(split)
    check(not (part and streaming), f"split {split!r}: a streamed corpus cannot be sliced")
    with quiet():
        if data == PLACEHOLDER:
            check(not columns.header, "columns names those of files without a header; data in memory names its own")
            return _from_memory(data, name, part, columns, streaming)
        found = find_split(data, split, columns, streaming)
        if isinstance(found.rows, tuple):
            corpus = _from_files(found.rows, columns, streaming)
        elif isinstance(found.rows, Shards):
            corpus = _from_shards(found.rows, columns, found.place, streaming)
        else:
            corpus = _standardised(found.rows, columns, found.place)
        return _sliced(corpus, name, found.part, found.place)


def find_split(data: str, split: str, columns: Columns, streaming: bool = False) -> Found:
    """Where a split lies that a folder, a file or a Hub id names. Raises `UserError` where there is none."""
    name, part = name_and_slice(split)
    if not is_local(data) and not columns.header:
        return Found(_from_hub(data, split, streaming), f"{data}, split {split}")
    path = checked_path(Path(data).expanduser(), "data", "a folder, a file or a Hub id")
    check(path.exists(), f"{path}: no such file or folder")
    check(os.access(path, os.R_OK), f"{path}: no permission to read it")
    if columns.header:
        table = split_table(path, name)
        return Found((table,), str(table), part, table.parent)
    if path.is_file():
        only = _split_of_file(path)
        check(
            name == only,
            f"{path}: one file holds the split '{only}' only, not '{name}'; {_slices(only, name)}, or {LOCAL_HELP}",
        )
        return Found(_rows_of((path,), streaming), str(path), part, path.parent)
    if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
        return Found(_saved(path, name, streaming), str(path), part, path)
    files = split_files(path, name, columns)
    if files:
        _warn_of_others(path, name, columns, files)
        return Found(_rows_of(files, streaming), " and ".join(map(str, files)), part, path)
    shards = shard_files(path, name)
    if shards:
        return Found(_shards_of(shards, streaming), f"{path}, split {name}", part, path)
    return Found(_from_other_folder(path, split, columns, streaming), f"{path}, split {split}", folder=path)


def open_any(data: str, split: str, wanted: str = "") -> "datasets.Dataset":
    """Return a split with all its columns, of any data set that `datasets` can load: a Hub id or a local folder.

    wanted: the form that a folder should have, for the error where it has another.
    """
    from datasets import load_dataset

    checked_path(data, "data", "a folder or a Hub id")
    data = os.fspath(data)  # as it was written: ./name is a folder, name may be a Hub id
    check(isinstance(split, str), f"split is of type {type(split).__name__}; give a name such as train")
    with quiet():
        if not is_local(data):
            return _from_hub(data, split, streaming=False)
        path = checked_path(Path(data).expanduser(), "data", "a folder or a Hub id")
        check(path.is_dir(), f"{path}: {'a file, not a' if path.exists() else 'no such'} folder")
        with loading_errors(f"{path}: no split '{split}' that can be loaded", f"; give {wanted}" if wanted else ""):
            return load_dataset(str(path), split=split)


def is_local(data: str) -> bool:
    """Whether a name is a path, not a Hub id: what looks like a path is never looked up on the Hub."""
    suffix = formats.row_format(Path(data))
    return (
        data.startswith((".", "/", "~"))
        or "\\" in data
        or data.count("/") > 1
        or suffix in ROW_FORMATS
        or checked_path(data, "data", "a folder, a file or a Hub id").exists()
    )


def _rows_of(paths: tuple[Path, ...], streaming: bool) -> tuple[Path, ...] | Corpus:
    """The files, or the data set that one of them holds in a format of tables."""
    if len(paths) == 2 or formats.row_format(paths[0]) in formats.ROW_SUFFIXES:
        return paths
    check(formats.row_format(paths[0]) in ROW_FORMATS, f"{paths[0]}: unknown kind of file; use {KINDS}")
    return _tables(paths, streaming)


def _shards_of(paths: tuple[Path, ...], streaming: bool) -> Shards | Corpus:
    """The files, or the data set that they hold in a format of tables."""
    return Shards(paths) if formats.row_format(paths[0]) in formats.ROW_SUFFIXES else _tables(paths, streaming)


def _tables(paths: tuple[Path, ...], streaming: bool) -> Corpus:
    """Files in a format that `datasets` reads."""
    from datasets import load_dataset

    others = f" or {len(paths) - 1:,} further files" if len(paths) > 1 else ""
    with loading_errors(f"{paths[0]}{others}: cannot read"):
        kind = formats.row_format(paths[0]).removeprefix(".")
        return load_dataset(kind, data_files=list(map(str, paths)), split="train", streaming=streaming)


def _from_shards(shards: Shards, columns: Columns, place: str, streaming: bool) -> Corpus:
    """The pairs of files of rows, each of which is a shard of the data set."""
    rows = (pair for path in shards.paths for pair in formats.read_pairs((str(path),), *columns))
    first = next(rows, None)
    if first is None:
        raise UserError(f"{place}: the corpus is empty")
    arguments = {
        "shards": list(map(str, shards.paths)),
        **dict(zip(("source", "target", "features"), columns, strict=False)),
        "several": isinstance(first["target"], list),
    }
    return _generated(formats.read_shards, arguments, shards.paths, columns, streaming)


def _from_files(paths: tuple[Path, ...], columns: Columns, streaming: bool) -> Corpus:
    place = " and ".join(map(str, paths))
    formats.check_sides(paths)
    arguments = {"paths": tuple(map(str, paths)), **columns._asdict()}
    first = next(formats.read_pairs(**arguments), None)
    if first is None:
        raise UserError(f"{place}: the corpus is empty")
    arguments["several"] = isinstance(first["target"], list)
    return _generated(formats.read_pairs, arguments, paths, columns, streaming)


def _generated(
    read: Callable[..., Iterator[formats.Pair]],
    arguments: dict[str, Any],
    paths: tuple[Path, ...],
    columns: Columns,
    streaming: bool,
) -> Corpus:
    """What a reader of our own gives; a stream, or a data set that is cached by the files' sizes and times."""
    from datasets import Dataset, Features, IterableDataset, Sequence, Value

    text = Value("string")
    features = Features({"source": text, "target": Sequence(text) if arguments["several"] else text})
    if streaming:
        return IterableDataset.from_generator(read, features=features, gen_kwargs=arguments)
    stamps = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    fingerprint = digest("files", formats.READER_VERSION, stamps, *columns)
    with cache_errors():
        return Dataset.from_generator(read, features=features, gen_kwargs=arguments, fingerprint=fingerprint)


def _warn_of_others(folder: Path, split: str, columns: Columns, files: tuple[Path, ...]) -> None:
    """Logs which files were taken where the folder holds several that are the split by their names."""
    others: list[str] = []
    with contextlib.suppress(UserError):  # a half of two text files
        others += (path.name for each in all_split_files(folder, split, columns) for path in each if each != files)
    if others:
        taken = " and ".join(path.name for path in files)
        log.warning("%s: the split %s is read from %s, not from %s beside it", folder, split, taken, ", ".join(others))


def _split_of_file(path: Path) -> str:
    """Return the split that a lone file holds: what its name says, else train."""
    stem = path.name.split(".")[0]
    return "validation" if stem in VALIDATION_NAMES else "test" if stem == "test" else "train"


def _slices(only: str, wanted: str) -> str:
    """What to do where a split is wanted and only another one is there."""
    if wanted in VALIDATION_NAMES:
        return f"to hold out a part of it, give --train-split '{only}[:95%]' --validation-split '{only}[95%:]'"
    return f"ask for a slice of it, such as '{only}[95%:]'"


def _chosen(splits: Mapping[str, Any], split: str, place: str) -> Any:
    """One of several data sets by name."""
    check(split in splits, f"{place}: no split '{split}'; {_splits_there(map(str, splits), split)}")
    return splits[split]


def _splits_there(splits: Iterable[str], wanted: str) -> str:
    """Which splits are there, in place of the one that is wanted; how to make it where there is train only."""
    names = list(splits)
    if not names:
        return "there are no splits"
    hint = f"; {_slices('train', wanted)}" if names == ["train"] else ""
    return f"{'the splits are' if len(names) > 1 else 'the only split is'} {', '.join(names)}{hint}"


def _from_memory(data: str, name: str, part: str, columns: Columns, streaming: bool) -> Corpus:
    """A split that a program gave, see `in_memory`."""
    from datasets import Dataset

    dataset = _chosen(splits_in_memory(data), name, "data in memory")
    place = f"data in memory, split {name}"
    transformed = isinstance(dataset, Dataset) and dataset.format["type"] == "custom"
    check(not transformed, f"{place}: it has a transform; apply it first, with map")
    dataset = dataset.with_format(None)  # arrays and tensors are no text
    check(isinstance(dataset, Dataset) or streaming, f"{place}: an IterableDataset is read with streaming true")
    if streaming and isinstance(dataset, Dataset):
        dataset = dataset.to_iterable_dataset()
    return _sliced(_standardised(dataset, columns, place), name, part, place)


def _saved(path: Path, split: str, streaming: bool) -> Corpus:
    """Open a folder written by `datasets`' save_to_disk."""
    from datasets import DatasetDict, load_from_disk

    with loading_errors(f"{path}: cannot read the saved data set"):
        dataset = load_from_disk(str(path))
    splits = dataset if isinstance(dataset, DatasetDict) else {"train": dataset}
    part = _chosen(splits, split, str(path))
    return part.to_iterable_dataset(min(len(part), len(part.cache_files) or 1)) if streaming else part


def _from_other_folder(path: Path, split: str, columns: Columns, streaming: bool) -> Corpus:
    """Open a folder laid out in one of the many other ways that `datasets` knows (shards, a cloned Hub repository)."""
    from datasets import load_dataset

    names = sorted(entry.name for entry in path.iterdir())
    check(len(names) > 0, f"{path}: the folder is empty; {LOCAL_HELP}")
    listing = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    stem = split.split("[")[0]
    splits = present_splits(path, columns)
    wanted = f"{stem}.jsonl, .csv, .tsv, .parquet, or {stem}.{columns.source} and {stem}.{columns.target}"
    known = f"; {_splits_there(splits, stem)}" if splits else f" ({wanted}) among {listing}"
    problem = f"{path}: no split '{split}'{known}{packed_otherwise(names, stem)}"
    # Without this, datasets would make a training split of whatever text lies there.
    check(any(formats.row_format(file) in ROW_FORMATS for file in path.rglob("*")), problem)
    with loading_errors(problem, splits_said=bool(splits)):
        return load_dataset(str(path), split=split, streaming=streaming)


def _from_hub(data: str, split: str, streaming: bool) -> Corpus:
    from datasets import load_dataset

    name, _, configuration = data.partition(":")
    with loading_errors(
        f"cannot load '{data}', split '{split}', from the Hugging Face Hub, and there is no such local path; "
        f"check the name and the network, or {LOCAL_HELP}"
    ):
        return load_dataset(name, configuration or None, split=split, streaming=streaming)


def _standardised(dataset: Corpus, columns: Columns, place: str) -> Corpus:
    """Reduce a data set to the columns ``source`` and ``target``, which must hold text."""
    from datasets import Dataset

    if not isinstance(dataset, Dataset):
        return _standardised_stream(dataset, columns, place)
    check(len(dataset) > 0, f"{place}: the corpus is empty")
    if columns.source not in dataset.column_names and "translation" in dataset.column_names:
        dataset = dataset.flatten()
        source, target = (f"translation.{column}" for column in columns.sides)
        columns = Columns(source, target, columns.features)
    for column in columns.used:
        check(
            column in dataset.column_names,
            f"{place}: column '{column}' is missing; the columns are {', '.join(dataset.column_names)}",
        )
    dataset = dataset.select_columns(list(columns.used))
    dataset = dataset.rename_columns(dict(zip(columns.used, Columns._fields[: len(columns.used)], strict=True)))
    _check_text(dataset, columns, place)
    return dataset.map(_joined, batched=True, remove_columns=["features"]) if columns.features else dataset


def _joined(batch: dict[str, list[str]]) -> dict[str, list[str]]:
    """Sources with their features behind them."""
    rows = zip(batch["source"], batch["features"], strict=True)
    return {"source": [formats.with_features(*row, "a row of the data") for row in rows]}


def _check_text(dataset: "datasets.Dataset", columns: Columns, place: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    def is_text(kind: pa.DataType) -> bool:
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))

    start = 0
    for table in dataset.with_format("arrow").iter(batch_size=10_000):
        for name, column in zip(Columns._fields, columns.used, strict=False):
            cells = table[name]
            is_list = pa.types.is_list(cells.type) or pa.types.is_large_list(cells.type)
            check(
                is_text(cells.type) or (name == "target" and is_list and is_text(cells.type.value_type)),
                f"{place}: column '{column}' holds {cells.type}, which is not text",
            )
            if cells.null_count:
                row = start + int(pc.index(pc.is_null(cells), True).as_py()) + 1
                raise UserError(f"{place}, row {row}: column '{column}' is null")
            if is_list:
                bad = [not texts or None in texts for texts in cells.to_pylist()]
                if any(bad):
                    raise UserError(f"{place}, row {start + bad.index(True) + 1}: column '{column}' lacks a reference")
        start += len(table)


def _standardised_stream(dataset: "datasets.IterableDataset", columns: Columns, place: str) -> Corpus:
    from datasets import Features, Sequence, Value

    with reading_errors(place):
        first = next(iter(dataset), None)
    if first is None:
        raise UserError(f"{place}: the corpus is empty")
    several = isinstance(formats.pair_of(first, *columns.sides, f"{place}, row 1")["target"], list)

    def pair(row: dict[str, Any], number: int) -> formats.Pair:
        return formats.pair_of(row, *columns.sides, f"{place}, row {number + 1}", columns.features)

    text = Value("string")
    features = Features({"source": text, "target": Sequence(text) if several else text})
    return dataset.map(pair, with_indices=True, remove_columns=list(first), features=features)


def _sliced(dataset: Corpus, name: str, part: str, place: str) -> Corpus:
    """Apply a slice such as "[:90%]", in the notation of `datasets`."""
    if not part:
        return dataset
    from datasets import Dataset

    assert isinstance(dataset, Dataset)
    return dataset.select(rows_of_slice(len(dataset), name, part, place))


def digest(*parts: Any) -> str:
    """Return a name for whatever is computed from these plain values, fit for the cache of `datasets`."""
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def list_lengths(dataset: "datasets.Dataset", column: str) -> npt.NDArray[np.int64]:
    """[n] lengths of a list column, read in pieces so that a memory-mapped corpus stays on disk."""
    import pyarrow.compute as pc

    pieces = dataset.select_columns([column]).with_format("arrow").iter(batch_size=100_000)
    lengths = [np.asarray(pc.list_value_length(piece.column(column)), np.int64) for piece in pieces]
    return np.concatenate(lengths) if lengths else np.zeros(0, np.int64)
