"""Slices of splits, in the notation of `datasets`: "train[:90%]".

`datasets` is imported where it is used, as in loading.py.
"""

import re

from seq2seq.errors import UserError, check


def name_and_slice(split: str) -> tuple[str, str]:
    """The two parts of "train[:90%]"; the second is empty where all is wanted."""
    match = re.fullmatch(r"([^\[\]]+)(\[[^\]]*\])?", split)
    if match is None:
        raise UserError(f"malformed split {split!r}: expected a name or a slice such as train[:90%]")
    return match[1], match[2] or ""


def rows_of_slice(count: int, name: str, part: str, place: str) -> range:
    """Which of `count` rows a slice such as "[:90%]" takes; all where it is empty. Raises `UserError` where none."""
    from datasets import ReadInstruction

    try:
        rows = ReadInstruction.from_spec(f"x{part}").to_absolute({"x": count})[0]
    except (ValueError, AssertionError) as error:
        raise UserError(f"malformed split '{name}{part}': expected a slice such as {name}[:90%]") from error
    start, stop = rows.from_ or 0, count if rows.to is None else rows.to
    check(start < stop, f"{place}: the slice '{name}{part}' of {count:,} pairs is empty")
    return range(start, stop)
