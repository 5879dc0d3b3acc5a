"""The list of errors: applying an edit script to the reference gives the output; files by hand."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from seq2seq.errors import UserError
from seq2seq.evaluation.error_list import Edit, check_error_list, edit_script, write_error_list


def applied(reference: list[str], script: list[Edit]) -> list[str]:
    """The reference, edited."""
    units: list[list[str]] = [[], *([unit] for unit in reference)]  # before the first, and each with what follows it
    for edit in script:
        if edit.reference:
            assert units[edit.position][0] == edit.reference
            units[edit.position][0] = edit.output
        else:
            units[edit.position].append(edit.output)
    return [unit for each in units for unit in each if unit]


def distance(one: list[str], two: list[str]) -> int:
    """Levenshtein's, by its recursion in a table."""
    row = list(range(len(two) + 1))
    for number, unit in enumerate(one, 1):
        before, row = row, [number]
        for place, other in enumerate(two, 1):
            row.append(min(before[place] + 1, row[-1] + 1, before[place - 1] + (unit != other)))
    return row[-1]


@pytest.mark.parametrize("symbols", [False, True])
def test_a_script_turns_the_reference_into_the_output(symbols: bool) -> None:
    generator = random.Random(1)
    for _ in range(200):
        wanted, written = (generator.choices("abc", k=generator.randint(0, 7)) for _ in range(2))
        texts = [(" " if symbols else "").join(each) for each in (written, wanted)]
        script = edit_script(*texts, symbols)
        assert applied(wanted, script) == written
        assert len(script) == distance(wanted, written)


def test_the_files_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "errors.tsv"
    check_error_list(path)
    outputs, references = ["ging", "a b", "x\ty"], [["geht", "gong"], ["a  b"], ["xy"]]
    write_error_list(path, ["gehen\tV;PST", "b", "c"], outputs, references)
    assert path.read_text(encoding="utf-8").splitlines() == [
        "line\tsource\toutput\treference\tedits\tscript",
        "1\tgehen V;PST\tging\tgong\t1\to→i@2",
        "3\tc\tx y\txy\t1\t→␣@1",
    ]
    assert (tmp_path / "errors.confusions.tsv").read_text(encoding="utf-8").splitlines() == [
        "reference\toutput\tcount",
        "\t␣\t1",
        "o\ti\t1",
    ]
    write_error_list(path, ["a", "b"], ["t a", "t"], [["t o"], ["t o n"]], symbols=True)
    assert path.read_text(encoding="utf-8").splitlines()[1:] == [
        "1\ta\tt a\tt o\t1\to→a@2",
        "2\tb\tt\tt o n\t2\to→@2 n→@3",
    ]
    check_error_list(path)  # its own are written again
    (tmp_path / "errors.confusions.tsv").write_text("mine\n")
    with pytest.raises(UserError, match=r"confusions\.tsv: evaluate has not written that"):
        check_error_list(path)
    with pytest.raises(UserError, match="its folder does not exist"):
        check_error_list(tmp_path / "no" / "errors.tsv")
