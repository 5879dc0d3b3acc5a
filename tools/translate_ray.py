#!/usr/bin/env python3
"""Translates a column of any amount of rows on many processes or machines with Ray Data (the extra [ray]).

    tools/translate_ray.py RUN --input parquet:///data/in --output /data/out --column text --actors 4

The input is files of one kind, read in the order of their names: parquet://PATH, json://PATH (JSON lines), csv://PATH
or text://PATH (column text), where PATH is a file, a folder or an address such as s3://bucket/folder. The rows come
out in the same order, all columns and the translation, in shards OUTPUT/part-000000.parquet and so on. Each shard is
written as a whole; the same command goes on behind the last one. A process that dies is replaced, and its rows are
translated again.
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import posixpath
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seq2seq.cli.arguments import number_within
from seq2seq.cli.exit_status import guarded
from seq2seq.config import SEARCH
from seq2seq.errors import UserError, check
from seq2seq.inference.columns import ColumnTranslator

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem

KINDS = ("parquet", "json", "csv", "text")
SETTINGS = "settings.json"
"""In the output's folder: what decides the shards, so that those of another command are not added to."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Translates; exit status as the command seq2seq has it."""
    return guarded("translate_ray.py", lambda: translate(_parser().parse_args(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=(__doc__ or ""), formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("run", metavar="RUN", help="run directory, the same on all machines, or the Hub id of a model")
    parser.add_argument("--input", required=True, help="KIND://PATH, of the kinds parquet, json, csv and text")
    parser.add_argument("--output", required=True, help="folder, or its address, for the shards")
    parser.add_argument("--column", default="text", help="column to translate (default: text)")
    parser.add_argument("--into", default="translation", help="column that is added (default: translation)")
    parser.add_argument("--tag", default="", help="what stands before each text, such as '<2de>'")
    parser.add_argument(
        "--beam-size",
        type=number_within(SEARCH["beam_size"]),
        help="hypotheses kept per sentence (default: the run's)",
    )
    parser.add_argument("--actors", type=int, default=2, help="processes that translate (default: 2)")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda: a GPU for each of them (default: cpu)")
    parser.add_argument(
        "--batch-size", type=int, default=1_024, help="rows that one translates at once (default: 1024)"
    )
    parser.add_argument(
        "--rows-per-shard", type=int, default=10_000, help="rows of a file of the output (default: 10000)"
    )
    parser.add_argument("--address", help="of a Ray cluster (default: this machine)")
    parser.add_argument(
        "--num-cpus", type=int, help="logical CPUs of this machine's Ray (default: as many as there are)"
    )
    return parser


def translate(options: argparse.Namespace) -> None:
    """Translates what no shard holds yet."""
    for name in ("actors", "batch_size", "rows_per_shard"):
        check(getattr(options, name) > 0, f"--{name.replace('_', '-')} must be at least 1")
    search = {} if options.beam_size is None else {"beam_size": options.beam_size}
    arguments = {"column": options.column, "into": options.into, "tag": options.tag, "device": options.device, **search}
    checksum = ColumnTranslator(options.run, **arguments).checksum
    kind, path = _kind_and_path(options.input)
    files = _files(path)
    inside = "://" not in path + options.output and Path(options.output).resolve().is_relative_to(Path(path).resolve())
    check(not inside, f"--output {options.output}: lies in the input, whose files it would join; choose another folder")
    shards = Shards(options.output)
    deciding = {"input": options.input, "files": list(map(list, files.items())), "model": checksum}
    shards.begin({**arguments, **deciding, "rows_per_shard": options.rows_per_shard})
    ray = _started(options)
    try:
        rests = _not_done(_reader(ray.data, kind), list(files), shards.rows())
        tables = (table for rest in rests for table in _translated(rest, options, arguments))
        shards.write(tables, options.rows_per_shard)
    finally:
        ray.shutdown()
    print(f"{shards.rows():,} rows in {shards.count:,} shards in {options.output}")


def _translated(rows: Any, options: argparse.Namespace, arguments: dict[str, Any]) -> Iterator[pyarrow.Table]:
    """The rows of a Ray data set with their translations, in order."""
    from ray.data import ActorPoolStrategy

    run = str(Path(options.run).resolve()) if Path(options.run).exists() else options.run
    # In blocks of a batch each: what a process that dies had not handed over is a batch, and shards come one by one.
    # Ray replaces such a process by itself, and tries its blocks again.
    translated = rows.repartition(target_num_rows_per_block=options.batch_size).map_batches(
        ColumnTranslator,
        fn_constructor_args=(run,),
        fn_constructor_kwargs=arguments,
        batch_size=options.batch_size,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=options.actors),
        num_cpus=1,
        num_gpus=1 if options.device.startswith("cuda") else None,
    )
    yield from translated.iter_batches(batch_size=None, batch_format="pyarrow")


class Shards:
    """The files of the output, written one after the other."""

    def __init__(self, place: str) -> None:
        """place: a folder, or its address."""
        self.files, self.folder = _opened("--output", place)
        self.count = 0

    def begin(self, settings: dict[str, Any]) -> None:
        """Takes up what is there. Raises UserError where another command has written it, or files of others are."""
        from pyarrow.fs import FileType

        path = posixpath.join(self.folder, SETTINGS)
        self.files.create_dir(self.folder, recursive=True)
        if self.files.get_file_info(path).type == FileType.NotFound:
            check(
                self.files.get_file_info(self._path(0)).type == FileType.NotFound,
                f"{self.folder}: holds a part-000000.parquet of others; choose another --output",
            )
            self._store(path, json.dumps(settings, indent=2, sort_keys=True).encode() + b"\n")
        with self.files.open_input_stream(path) as stream:
            content = stream.read()
        try:
            stored = dict(json.loads(content))
        except (ValueError, TypeError, RecursionError):
            raise UserError(f"{path}: is damaged; restore it, or choose another --output") from None
        changed = [name for name in settings if stored.get(name) != settings[name]]
        check(
            not changed,
            f"{self.folder}: its shards were made with another {', '.join(changed)}; choose another --output",
        )
        while self.files.get_file_info(self._path(self.count)).type != FileType.NotFound:
            self.count += 1

    def rows(self) -> int:
        """Of all shards together."""
        from pyarrow import parquet

        paths = [self._path(number) for number in range(self.count)]
        return sum(parquet.read_metadata(path, filesystem=self.files).num_rows for path in paths)

    def write(self, tables: Iterator[pyarrow.Table], rows: int) -> None:
        """Writes rows as they come, so many to a shard, the last one fewer."""
        for table in _of_length(tables, rows):
            self._write(table)

    def _write(self, table: pyarrow.Table) -> None:
        import pyarrow
        from pyarrow import parquet

        content = pyarrow.BufferOutputStream()
        parquet.write_table(table, content)
        self._store(self._path(self.count), content.getvalue())
        self.count += 1

    def _path(self, number: int) -> str:
        return posixpath.join(self.folder, f"part-{number:06}.parquet")

    def _store(self, path: str, content: Any) -> None:
        """A file as a whole or not at all."""
        with self.files.open_output_stream(f"{path}.part") as stream:
            stream.write(content)
        self.files.move(f"{path}.part", path)


def _of_length(tables: Iterator[pyarrow.Table], rows: int) -> Iterator[pyarrow.Table]:
    """The rows of tables in tables of so many rows; the last one has fewer."""
    held: list[pyarrow.Table] = []
    for table in tables:
        held.append(table)
        while sum(map(len, held)) >= rows:
            together = _joined(held)
            yield together.slice(0, rows)
            held = [together.slice(rows)]
    together = _joined(held) if held else None
    if together is not None and len(together):
        yield together


def _joined(tables: list[pyarrow.Table]) -> pyarrow.Table:
    """Tables, one after the other. Of JSON lines and CSV a column that is empty in one of them has no type there."""
    import pyarrow

    try:
        return pyarrow.concat_tables(tables, promote_options="default")
    except pyarrow.ArrowException as error:
        problem = str(error).split("\n")[0]
        raise UserError(f"the input's columns are not of the same types everywhere: {problem}") from None


def _kind_and_path(given: str) -> tuple[str, str]:
    kind, found, path = given.partition("://")
    kinds = ", ".join(f"{kind}://PATH" for kind in KINDS)
    check(bool(found) and kind in KINDS and bool(path), f"--input {given}: must be one of {kinds}")
    return kind, path


def _reader(data: Any, kind: str) -> Callable[[list[str]], Any]:
    """What reads files of that kind. data: the module ray.data."""
    readers = {"parquet": data.read_parquet, "json": data.read_json, "csv": data.read_csv}
    return readers.get(kind) or functools.partial(data.read_text, drop_empty_lines=False)


def _opened(option: str, place: str) -> tuple[FileSystem, str]:
    """What holds a path or an address, and the path there. Raises UserError, naming the option, where an address
    cannot be read."""
    from pyarrow.fs import FileSystem

    try:
        return FileSystem.from_uri(place if "://" in place else Path(place).resolve().as_uri())
    except ValueError as error:  # pyarrow's own kind of it
        raise UserError(f"{option} {place}: {str(error).split(chr(10))[0]}") from None


def _files(path: str) -> dict[str, int]:
    """The files of the input, in the order of their names, and their bytes."""
    from pyarrow.fs import FileSelector, FileType

    files, name = _opened("--input", path)
    scheme = path.partition("://")[0] + "://" if "://" in path else ""
    info = files.get_file_info(name)
    check(info.type != FileType.NotFound, f"--input {path}: no such file or folder")
    if info.type == FileType.File:
        return {f"{scheme}{name}": info.size}
    inside = files.get_file_info(FileSelector(name, recursive=True))
    found = {
        each.path: each.size
        for each in sorted(inside, key=lambda each: str(each.path))
        if each.type == FileType.File and not each.base_name.startswith((".", "_"))
    }
    check(bool(found), f"--input {path}: the folder is empty")
    return {f"{scheme}{each}": size for each, size in found.items()}


def _not_done(read: Callable[[list[str]], Any], files: list[str], done: int) -> Iterator[Any]:
    """Ray data sets of the rows behind the first `done`, in order. read: reads a list of files."""
    while done and files:
        first = read([files[0]])
        rows = first.count()
        files = files[1:]
        if rows > done:
            yield first.split_at_indices([done])[1]
        done = max(0, done - rows)
    if files:
        yield read(files)


def _started(options: argparse.Namespace) -> Any:
    """Ray, with the order of rows kept."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UserError(f"Ray is not installed here ({error}): pip install 'seq2seq[ray]'") from None
    place = {"address": options.address} if options.address else {"num_cpus": options.num_cpus}
    try:
        ray.init(**place, include_dashboard=None if options.address else False, log_to_driver=False)
    except Exception as error:  # Ray raises a dozen unrelated types
        raise UserError(f"Ray cannot be started, or reached: {str(error).split(chr(10))[0]}") from None
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False  # of operators; without a terminal they are lines of a log
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    return ray


if __name__ == "__main__":
    sys.exit(main())
