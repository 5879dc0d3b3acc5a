"""What is wrong in each output, as edits of characters or symbols, and which of them are confused how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from seq2seq.errors import check
from seq2seq.evaluation.error_rates import character_edits, check_each_has_one, check_lines, edits
from seq2seq.runtime.atomic_files import write_atomically

HEADER = ("line", "source", "output", "reference", "edits", "script")
CONFUSIONS_HEADER = ("reference", "output", "count")
SPACE = "\u2423"
"""Stands for a space, which would not be seen."""


class Edit(NamedTuple):
    """One difference."""

    reference: str
    """The unit that should stand there; empty where there is one too many."""
    output: str
    """The unit that stands there; empty where one is missing."""
    position: int
    """In the reference, from 1; of a unit too many, that of the one before it."""

    def __str__(self) -> str:
        return f"{self.reference}→{self.output}@{self.position}"


def edit_script(output: str, reference: str, symbols: bool = False) -> list[Edit]:
    """The fewest edits between a reference and an output, by characters, or by symbols with spaces between them. A run
    of white space is one space. The alignment is jiwer's."""
    from jiwer import process_characters, process_words

    wanted, written = (text.split() if symbols else list(" ".join(text.split())) for text in (reference, output))
    if not wanted:
        return [Edit("", _shown(unit), 0) for unit in written]
    process = process_words if symbols else process_characters
    wanted_text, written_text = ((" " if symbols else "").join(units) for units in (wanted, written))
    found = []
    for chunk in process(wanted_text, written_text).alignments[0]:
        ours = wanted[chunk.ref_start_idx : chunk.ref_end_idx]
        theirs = written[chunk.hyp_start_idx : chunk.hyp_end_idx]
        if chunk.type == "equal":
            continue
        for place in range(max(len(ours), len(theirs))):
            one, other = (_shown(units[place]) if units else "" for units in (ours, theirs))
            found.append(Edit(one, other, chunk.ref_start_idx + (place + 1 if ours else 0)))
    return found


def check_error_list(path: Path) -> None:
    """Raises UserError where `write_error_list` would write over a file that is not ours, or has no folder."""
    check(path.parent.is_dir(), f"{path}: its folder does not exist; make it, or choose another --errors")
    for place, header in ((path, HEADER), (confusions_file(path), CONFUSIONS_HEADER)):
        if place.is_dir() or place.exists():
            own = place.is_file() and place.read_bytes().startswith(("\t".join(header) + "\n").encode())
            check(own, f"{place}: evaluate has not written that; move it, or choose another --errors")


def confusions_file(path: Path) -> Path:
    """Where the counts of an error list stand: errors.tsv, errors.confusions.tsv."""
    return path.with_name(f"{path.stem}.confusions{path.suffix}")


def write_error_list(
    path: Path,
    sources: Sequence[str],
    outputs: Sequence[str],
    references: Sequence[Sequence[str]],
    symbols: bool = False,
) -> None:
    """Writes a TSV of the outputs that are none of their references, each beside the nearest one, and a second of the
    counts of all edits, most frequent first. Raises UserError where the numbers of lines differ."""
    check_lines(outputs, references)
    check_each_has_one(references)
    distance = edits if symbols else character_edits
    rows: list[Sequence[object]] = [HEADER]
    confusions: Counter[tuple[str, str]] = Counter()
    for number, (source, output, lines) in enumerate(zip(sources, outputs, references, strict=True), 1):
        nearest = min(lines, key=lambda line: distance(output, line))
        script = edit_script(output, nearest, symbols)
        if script:
            rows.append((number, source, output, nearest, len(script), " ".join(map(str, script))))
            confusions.update((each.reference, each.output) for each in script)
    counts = sorted(confusions.items(), key=lambda item: (-item[1], item[0]))
    _write(path, rows)
    _write(confusions_file(path), [CONFUSIONS_HEADER, *((*pair, count) for pair, count in counts)])


def _write(path: Path, rows: Sequence[Sequence[object]]) -> None:
    """Rows as TSV; white space inside a cell becomes a space."""
    write_atomically(path, "".join("\t".join(" ".join(str(cell).split()) for cell in row) + "\n" for row in rows))


def _shown(unit: str) -> str:
    return SPACE if unit == " " else unit
