"""The programs that learn_to_execute makes, and what its curricula take of them."""

import contextlib
import csv
import io
import random
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import learn_to_execute
import pytest
from learn_to_execute import CHARACTERS, CONFIG, CURRICULA, HARDEST, KINDS

from seq2seq.errors import UserError


def printed_by_python(program: str) -> str:
    """What the interpreter prints."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(program, {})
    return output.getvalue().strip()


@pytest.mark.parametrize("kind", KINDS)
def test_programs_print_what_python_prints(kind: tuple[int, int]) -> None:
    writer = learn_to_execute.Writer(1)
    written = [writer.program(kind) for _ in range(100)]
    for program, printed in written:
        assert printed_by_python(program) == printed
        assert set(program) <= set(CHARACTERS.symbols)
        assert len(printed) < CONFIG.search.max_length
        assert max(map(len, re.findall(r"\d+", program))) <= max(kind[0], 2)  # 2: of range(16)
    assert any("for" in program for program, _ in written)


def test_what_is_tested_never_occurs_in_training() -> None:
    """Of the easiest kind there are so few programs that nearly all would."""
    config = replace(CONFIG, training_characters=30_000, trainer=replace(CONFIG.trainer, epochs=2))
    known: set[str] = set()
    tested = learn_to_execute.held_out(KINDS[0], 300, 3, known)
    assert len(known) == 300
    asked = {CHARACTERS.decode(ids.tolist()) for ids in tested.inputs}
    assert asked == known
    trained = [
        CHARACTERS.decode(ids.tolist())
        for stage in learn_to_execute.stages("naive", config, known)[:1]
        for ids in stage.inputs
    ]
    assert len(trained) > 1_000
    assert not known & set(trained)
    unchecked = [CHARACTERS.decode(ids.tolist()) for ids in learn_to_execute.stages("naive", config, set())[0].inputs]
    assert len(known & set(unchecked)) > 100


def test_curricula_take_kinds_in_the_papers_ways() -> None:
    drawn = random.Random(1)
    naive = [CURRICULA["naive"](epoch / 24, drawn) for epoch in range(24)]
    assert naive[::2] == [(length, nesting) for nesting in (1, 2, 3) for length in (1, 2, 3, 4)]
    assert naive[1::2] == naive[::2]
    counts = Counter(CURRICULA["mix"](0.5, drawn) for _ in range(12_000))
    assert set(counts) == set(KINDS)
    assert max(counts.values()) < 1_200
    last = Counter(CURRICULA["combined"](23 / 24, drawn) for _ in range(12_000))
    assert set(last) == set(KINDS)
    assert 6_000 < last[HARDEST] < 7_000  # half, and a twelfth of the other half


def test_curricula_take_as_many_steps() -> None:
    config = replace(CONFIG, training_characters=30_000, trainer=replace(CONFIG.trainer, epochs=12))
    for name in CURRICULA:
        sizes = [sum(map(len, stage.inputs)) for stage in learn_to_execute.stages(name, config, set())]
        assert all(29_900 < size <= 30_000 for size in sizes)


def test_the_table_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learn_to_execute.main(replace(CONFIG, output=str(tmp_path), quick=True, held_out_programs=1))
    printed = [re.findall(r"\d+\.\d(?= %)", line) for line in capsys.readouterr().out.splitlines()[1:]]
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [(row["curriculum"], row["length"], row["nesting"]) for row in rows[:2]] == [
        ("naive", "1", "1"),
        ("naive", "1", "2"),
    ]
    for number, figures in enumerate(printed):
        three = rows[3 * number : 3 * number + 3]
        kept = [row[column] for column in ("character_accuracy", "exact_match") for row in three]
        assert [f"{float(each):.1f}" for each in kept] == figures
    assert len(rows) == 36 == 3 * len(printed)


def test_no_more_is_held_out_than_there_is() -> None:
    with pytest.raises(UserError, match="held_out_programs must be"):
        replace(CONFIG, held_out_programs=501)
