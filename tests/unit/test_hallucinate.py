"""tools/hallucinate.py: stems are replaced alike in lemma and form, and all else stays."""

from pathlib import Path

import hallucinate
import pytest

from seq2seq.errors import UserError

ROWS = [["laufen", "V;PTCP", "gelaufen"], ["gut", "ADJ", "besser"], ["auf-hoeren", "V;3;SG", "hoert auf"]]


def test_stems_are_what_lemma_and_form_have_in_common() -> None:
    assert hallucinate.stems_of("laufen", "gelaufen") == [(0, 2, 6)]
    assert hallucinate.stems_of("walk", "walked") == [(0, 0, 4)]
    assert hallucinate.stems_of("gut", "besser") == []
    assert hallucinate.stems_of("auf-hoeren", "hoert auf") == [(4, 0, 4)]


def test_only_the_stems_are_replaced() -> None:
    made = list(hallucinate.made_up(ROWS, (0, 2), 200, seed=1))
    assert len(made) == 200
    letters = {letter for row in ROWS for cell in (row[0], row[2]) for letter in cell if letter.isalpha()}
    verbs = [row for row in made if row[1] == "V;PTCP"]
    others = [row for row in made if row[1] == "V;3;SG"]
    assert (len(verbs), len(others)) == (100, 100)  # in turn; the word without a stem gives none
    for lemma, _, form in verbs:
        assert form == f"ge{lemma}"
        assert len(lemma) == 6
        assert set(lemma) <= letters
    for lemma, _, form in others:
        assert (lemma[:4], lemma[8:], form[4:]) == ("auf-", "en", "t auf")
        assert lemma[4:8] == form[:4]
    assert len({lemma for lemma, _, _ in verbs}) > 95
    assert made == list(hallucinate.made_up(ROWS, (0, 2), 200, seed=1))
    assert made != list(hallucinate.made_up(ROWS, (0, 2), 200, seed=2))


def test_the_program_prints_rows_of_the_same_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "deu.trn"
    table.write_text("laufen\tgelaufen\tV;PTCP\n\nspielen\tgespielt\tV;PTCP\n", encoding="utf-8")
    words = [str(table), "--columns", "lemma,form,features"]
    assert hallucinate.main([*words, "--count", "5"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 5
    assert all(form.startswith("ge") and features == "V;PTCP" for _, form, features in lines)
    for wrong, message in (
        (["--columns", "lemma,form"], "line 1: 3 columns, but --columns names lemma, form"),
        (["--columns", "a,b,c"], "lacks 'lemma'"),
        (["--columns", ""], "--columns must name the columns of the file"),
        (["--target", "lemma"], "--source and --target are the same column 'lemma'"),
        (["--count", "0"], "--count must be at least 1"),
    ):
        assert hallucinate.main([*words, *wrong]) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(UserError, match="no lemma has 3 letters in common with its form"):
        list(hallucinate.made_up([ROWS[1]], (0, 2), 1, 1))
