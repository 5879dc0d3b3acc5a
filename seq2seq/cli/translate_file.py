"""translate --input FILE --output FILE: shards, columns, and going on after a kill."""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seq2seq.cli.arguments import Parser, named, path_named
from seq2seq.cli.features import reads_features
from seq2seq.cli.output_lines import output_lines
from seq2seq.cli.rows import Rows, rows_of
from seq2seq.cli.tags import read_by, tags_of
from seq2seq.cli.verbs import fusion_weights

if TYPE_CHECKING:
    from seq2seq.data.mixing import Tags
    from seq2seq.inference.translator import Translator

LINES_TOGETHER = 1_024
"""Lines that are translated and written as one part: as many as are translated together anyway."""


class Shard(NamedTuple):
    """Part `number` of `of` parts of a file's lines, one after the other and of equal size."""

    number: int
    of: int

    def bounds(self, lines: int) -> tuple[int, int]:
        """The first line, and the first one behind."""
        return lines * (self.number - 1) // self.of, lines * self.number // self.of


def shard_named(text: str) -> Shard:
    """The type of the option: 2/5."""
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    shard = Shard(int(found[1]), int(found[2])) if found else Shard(0, 0)
    if not 1 <= shard.number <= shard.of:
        raise argparse.ArgumentTypeError(f"must be like 1/4, the first of four parts, got {text[:40]!r}")
    return shard


def add_file_options(parser: Parser) -> None:
    """Files that may be large."""
    group = parser.add_argument_group(
        "large files", "the same command goes on where it was interrupted, and loses or doubles no line"
    )
    group.add_argument("--input", type=path_named, metavar="FILE", help="file to translate, with --output")
    group.add_argument(
        "--output",
        type=path_named,
        metavar="FILE",
        help="file to write; FILE.part and FILE.progress until it is complete",
    )
    group.add_argument(
        "--shard",
        type=shard_named,
        metavar="I/N",
        help="translate only the I-th of N equal parts of the input; their outputs, one after the other, are the whole",
    )
    group.add_argument(
        "--column",
        type=named,
        metavar="NAME",
        help="column to translate of an --input of TSV with a header, or JSON lines, or two with a comma, of sources "
        "and their features; all columns are passed through, and translation is added (with --scores, score)",
    )


def check_file_options(options: argparse.Namespace) -> None:
    """Raises UserError where the options do not go together."""
    from seq2seq.errors import check

    if options.output is None:
        for name in ("input", "shard", "column"):
            check(getattr(options, name) is None, f"--{name} goes with --output: name a file to write")
        return
    check(options.input is not None, "--output goes with --input: name the file to translate")
    others = ("files", "interactive", "attention", "split_sentences", *(["n_best"] if options.column else []))
    for name in others:
        spelled = "FILE" if name == "files" else "--" + name.replace("_", "-")
        check(not getattr(options, name), f"{spelled} does not go with --{'column' if name == 'n_best' else 'output'}")
    fits = options.input.is_file() or not options.input.exists()
    check(fits, f"--input {options.input}: is read twice, which only a file can be; save it as one")
    same = options.output.exists() and options.input.exists() and options.output.samefile(options.input)
    check(not same, f"--output {options.output}: that is the input; name another file")


def translate_file(load: Callable[[], Translator], options: argparse.Namespace, settings: dict[str, Any]) -> None:
    """Translates the input, or its shard, into the output, from where an earlier call ended. load: gives the model,
    once the files have been looked at."""
    from seq2seq.cli.lines import read_lines
    from seq2seq.cli.resumable import ResumableFile
    from seq2seq.errors import check

    digest, lines = _measured(options.input)
    with (
        options.input.open("rb") as stream,
        ResumableFile(options.output, _deciding(options, settings, digest)) as output,
    ):
        if output.complete:
            return
        given = read_lines(stream, str(options.input))
        table = options.column is not None and options.input.suffix.lower() == ".tsv"
        header = next(given, "").removesuffix("\r") if table else ""
        rows = rows_of(options.input, options.column, header, options.scores)
        first, end = options.shard.bounds(lines - table) if options.shard else (0, lines - table)
        prefixes = _prefixes_of(options, lines - table)
        begins_whole = options.shard is None or options.shard.number == 1
        head = (rows.first_line + "\n").encode() if rows.header and begins_whole and not output.size else b""
        translator, begin = load(), first + output.done
        tags = tags_of(translator, options)
        if rows.columns or reads_features(translator) or tags.needed:
            _check_all(rows, translator, tags)
        for part in _parts(islice(given, begin, end), begin, end):
            begins = None if prefixes is None else prefixes[begin : begin + len(part)]
            written = _translated(translator, part, begin, rows, options, tags, {**settings, "prefixes": begins})
            output.append(head + written, len(part))
            head = b""
            begin += len(part)
        if head:  # no lines below it
            output.append(head, 0)
        check(begin == end, f"{options.input}: has become shorter meanwhile; restore it, and go on by the same command")
        output.finish()


def _check_all(rows: Rows, translator: Translator, tags: Tags) -> None:
    """Raises UserError, naming the line, where one cannot be read. This comes before any is translated: a file that is
    mended later is another input, and what was written by then of no use."""
    with rows.path.open("rb") as stream:
        for number, content in enumerate(stream, 1):
            if number > 1 or not rows.header:
                line = content.removesuffix(b"\n").decode("utf-8", "replace")  # which is warned of where it is read
                text = rows.text(line.removesuffix("\r") if rows.columns else line, number)
                read_by(translator, tags, text, f"{rows.path}, line {number}")


def _measured(path: Path) -> tuple[str, int]:
    """SHA-256 of a file's content, and its lines."""
    digest, lines, last = hashlib.sha256(), 0, b"\n"
    with path.open("rb") as stream:
        while content := stream.read(1 << 20):
            digest.update(content)
            lines, last = lines + content.count(b"\n"), content[-1:]
    return digest.hexdigest(), lines + (last != b"\n")


def _deciding(options: argparse.Namespace, settings: dict[str, Any], digest: str) -> dict[str, Any]:
    """All that decides the output."""
    from seq2seq.runtime.version import version
    from seq2seq.tasks.evaluation_files import weights_sum

    names = ("scores", "column", "precision", "max_input_length", *(["tag"] if options.tag else []))
    return {
        "input": digest,
        "models": [weights_sum(Path(run)) or run for run in (options.model, *options.ensemble)],
        "lm": None if options.lm is None else [weights_sum(Path(options.lm)) or options.lm, fusion_weights(options)],
        "version": version(),
        **settings,
        **{name: getattr(options, name) for name in names},
        "shard": list(options.shard) if options.shard else None,
        "prefixes": _measured(options.prefixes)[0] if options.prefixes else None,
        **({"shortlist": _measured(options.shortlist)[0]} if options.shortlist else {}),
    }


def _prefixes_of(options: argparse.Namespace, lines: int) -> list[str] | None:
    from seq2seq.cli.lines import file_lines
    from seq2seq.errors import check

    if options.prefixes is None:
        return None
    prefixes = file_lines(options.prefixes, "prefixes")
    check(
        len(prefixes) == lines,
        f"{options.prefixes} has {len(prefixes)} lines, {options.input} has {lines} to translate",
    )
    return prefixes


def _parts(lines: Iterator[str], begin: int, end: int) -> Iterator[list[str]]:
    """Lines that are translated together; the bar shows how far."""
    from tqdm import tqdm

    disable = True if sys.stdout.isatty() else None
    with tqdm(total=end - begin, desc="translating", unit="line", dynamic_ncols=True, disable=disable) as progress:
        while part := list(islice(lines, LINES_TOGETHER)):
            yield part
            progress.update(len(part))


def _translated(
    translator: Translator,
    lines: Sequence[str],
    begin: int,
    rows: Rows,
    options: argparse.Namespace,
    tags: Tags,
    settings: dict[str, Any],
) -> bytes:
    lines = [line.removesuffix("\r") for line in lines] if rows.columns else lines
    above = 2 if rows.header else 1
    numbered = enumerate(lines, begin + above)
    texts = [tags.before(rows.text(line, row), f"{rows.path}, line {row}") for row, line in numbered]
    found = translator.search(texts, **settings)
    if rows.columns:
        written = [
            rows.written(line, best[0].text, best[0].score) + "\n" for line, best in zip(lines, found, strict=True)
        ]
    else:
        written = [output_lines(begin + row + 1, best, options) for row, best in enumerate(found)]
    return "".join(written).encode("utf-8", errors="replace")
