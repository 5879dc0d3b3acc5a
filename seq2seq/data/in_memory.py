"""A corpus that a program holds already, as the value of the option `data`, which otherwise is a name or a path."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, TypeAlias

from seq2seq.errors import UserError, check

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

    Data: TypeAlias = str | PathLike[str] | Dataset | Mapping[str, Dataset | IterableDataset]
else:
    Data = str
    """What the command line and config.json can hold."""

PLACEHOLDER = "(in memory)"
WANTED = "a folder, a file, a Hub id, a datasets.Dataset or a DatasetDict"


class InMemory(str):
    """Data sets by split. As text, in config.json too, it is PLACEHOLDER; copies of a configuration share the data."""

    splits: Mapping[str, Any]

    def __new__(cls, splits: Mapping[str, Any]) -> InMemory:
        """splits: a Dataset or IterableDataset for each name."""
        made = super().__new__(cls, PLACEHOLDER)
        made.splits = splits
        return made

    def __reduce__(self) -> tuple[type[InMemory], tuple[Mapping[str, Any]]]:
        """For pickle."""
        return InMemory, (self.splits,)

    def __deepcopy__(self, _memo: Any) -> InMemory:
        """dataclasses.asdict copies every value."""
        return self


def name_of_data(data: Any) -> str:
    """What a configuration keeps of its `data`: a name or path as text, or the data sets themselves, one alone as the
    split train. Raises UserError for anything else."""
    if isinstance(data, str):
        return data
    if isinstance(data, PathLike):
        return str(fspath(data))
    kinds = _kinds()
    if isinstance(data, kinds):
        return InMemory({"train": data})
    check(isinstance(data, Mapping), f"data must be {WANTED}, not of type {type(data).__name__}")
    for name, split in data.items():
        check(
            isinstance(name, str) and isinstance(split, kinds),
            f"data: split {name!r} is of type {type(split).__name__}; give a datasets.Dataset for each split",
        )
    return InMemory(data)


def splits_in_memory(data: str) -> Mapping[str, Any]:
    """The data sets of `InMemory` data. Raises UserError where only its placeholder is left, as read from a file."""
    if not isinstance(data, InMemory):
        raise UserError(
            "the data of this run was in memory, which a file of options cannot hold; give it anew: --data in a "
            "command, data= in Python"
        )
    return data.splits


def _kinds() -> tuple[type, ...]:
    from datasets import Dataset, IterableDataset

    return Dataset, IterableDataset
