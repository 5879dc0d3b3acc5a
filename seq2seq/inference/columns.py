"""Columns of tables in, columns out: a translator as a function of batches, for Ray Data, datasets and Spark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seq2seq.data.mixing import Tags, is_tag
from seq2seq.errors import check
from seq2seq.inference.translator import Translator
from seq2seq.runs.hub import find_run
from seq2seq.runs.layout import MODEL_FILE
from seq2seq.runs.weights import CHECKSUM, stored_shapes
from seq2seq.runtime.device import device_named, prepare_process

if TYPE_CHECKING:
    import pandas


class ColumnTranslator:
    """Adds a column of translations to batches of rows, whose other columns stay as they are:

    `dataset.map(ColumnTranslator(RUN, "en"), batched=True)` of datasets, `frame.mapInPandas(ColumnTranslator(RUN, "en")
    .frames, schema)` of Spark, `data.map_batches(ColumnTranslator, fn_constructor_args=(RUN, "en"), ...)` of Ray Data.

    The model is loaded with the first batch: what is sent to other processes is its name and checksum.
    """

    def __init__(
        self,
        run: str,
        column: str,
        into: str = "translation",
        tag: str = "",
        device: str = "cpu",
        **search_options: Any,
    ) -> None:
        """run: as `load` takes it. column: of the texts; blank and missing ones give blank translations. into: the
        column that is added. tag: what stands before each text that begins with none of the tags that the model was
        trained with. Options: those of `Translator.translate`. Raises UserError where there is no such run."""
        for name, value in (("column", column), ("into", into)):
            check(isinstance(value, str) and bool(value), f"{name} must be the name of a column, not {value!r}")
        check(column != into, f"column and into are the same column {column!r}; name another one")
        check(isinstance(tag, str) and (not tag or is_tag(tag)), f"tag must be like <2de>, not {tag!r}")
        directory = find_run(run, {})
        # Absolute, since workers have other working directories; a Hub id is looked up where the model is loaded.
        self.run = str(directory.resolve()) if Path(run).exists() else str(run)
        self.column, self.into, self.tag = column, into, tag
        self.device, self.search_options = str(device_named(device)), search_options
        self.checksum = stored_shapes(directory / MODEL_FILE)[1].get(CHECKSUM, "")
        """Of the weights. datasets, which keeps what a function gave, knows by it a model that was trained further."""
        self._model: tuple[Translator, Tags] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_model": None}

    def __call__(self, batch: Any) -> Any:
        """A batch of rows (a mapping of columns, a pandas DataFrame or a pyarrow Table) with the column added, of the
        same type. Raises UserError where the column is missing, or holds something that is not text."""
        names = getattr(batch, "column_names", None) or list(getattr(batch, "keys", tuple)())
        check(self.column in names, f"no column {self.column!r}; the columns are {', '.join(map(str, names))}")
        check(self.into not in names, f"there is a column {self.into!r} already; name another one with into")
        cells = batch[self.column]
        best = self._translated(cells.to_pylist() if hasattr(cells, "to_pylist") else list(cells))
        if hasattr(batch, "append_column"):
            import pyarrow

            return batch.append_column(self.into, pyarrow.array(best, pyarrow.string()))
        if hasattr(batch, "assign"):
            return batch.assign(**{self.into: best})
        added = np.array(best, dtype=object) if isinstance(cells, np.ndarray) else best
        return {**{name: batch[name] for name in names}, self.into: added}

    def frames(self, frames: Iterable[pandas.DataFrame]) -> Iterator[pandas.DataFrame]:
        """pandas DataFrames with the column added, as Spark's mapInPandas wants it."""
        for frame in frames:
            yield self(frame)

    def _translated(self, texts: Sequence[Any]) -> list[str]:
        given = ["" if _is_missing(text) else text for text in texts]
        for text in given:
            check(isinstance(text, str), f"column {self.column!r} must hold text, but there is {text!r:.60}")
        translator, tags = self._loaded()
        given = list(map(tags.added, given))
        for text in given:
            check(not tags.lacks(text), f"column {self.column!r}: {text!r:.60} {tags.problem}; give a tag")
        return translator.translate(given, **self.search_options)

    def _loaded(self) -> tuple[Translator, Tags]:
        """The model, and the tags that it reads; loaded once. Raises UserError where it was trained without the tag."""
        if self._model is None:
            prepare_process()
            translator = Translator.from_pretrained(self.run, device=self.device)
            known = translator.tags
            check(not self.tag or self.tag in known, f"tag {self.tag} is none of the model's: {', '.join(known)}")
            self._model = translator, Tags(self.tag, tuple(known), translator.needs_tag)
        return self._model


def _is_missing(text: Any) -> bool:
    """Whether a cell holds nothing: None or, of pandas, nan or NA, which compares to nothing."""
    return (
        text is None or type(text).__name__ == "NAType" or (isinstance(text, float | np.floating) and math.isnan(text))
    )
