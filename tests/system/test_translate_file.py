"""translate --input --output: shards, columns, blank lines, and what is refused."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import seq2seq
from seq2seq.cli import translate_file
from seq2seq.cli.main import main
from seq2seq.cli.resumable import ResumableFile
from seq2seq.data.units import SourceVocabulary
from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig
from seq2seq.model.seq2seq import build_model

STORED = Path(__file__).parents[1] / "fixtures" / "translator-0.1.0-format2"
LINES = ["ba ko mi", "", "lu te so ra", "  ", "ne ne", "so", "ra\u2028lu", "mi", ""]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(translate_file, "LINES_TOGETHER", 2)
    Path("in").write_text("".join(line + "\n" for line in LINES), encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def expected() -> list[str]:
    return seq2seq.load(STORED).translate(LINES)


def translated(*words: str) -> int:
    return main(["translate", str(STORED), *words])


def test_the_file_holds_a_line_for_each_line(expected: list[str]) -> None:
    assert translated("--input", "in", "--output", "out") == 0
    assert Path("out").read_text(encoding="utf-8").split("\n")[:-1] == expected
    assert sorted(path.name for path in Path().iterdir()) == ["in", "out"]


@pytest.mark.parametrize("count", [2, 5])
def test_shards_are_the_whole_one_after_the_other(count: int, expected: list[str]) -> None:
    for number in range(1, count + 1):
        assert translated("--input", "in", "--output", f"{number}", "--shard", f"{number}/{count}") == 0
    parts = [Path(f"{number}").read_text(encoding="utf-8") for number in range(1, count + 1)]
    assert "".join(parts).split("\n")[:-1] == expected
    assert max(map(len, (part.splitlines() for part in parts))) <= -(-len(LINES) // count) + 1


def test_other_columns_pass_through(expected: list[str]) -> None:
    rows = [f"{number}\t{line}\tx \t" for number, line in enumerate(LINES[:6])]
    Path("in.tsv").write_text("\n".join(["id\ttext\tnote\tlast", *rows, ""]), encoding="utf-8")
    for shard in ("1/2", "2/2"):
        words = ["--input", "in.tsv", "--output", shard[0], "--column", "text", "--shard", shard]
        assert translated(*words) == 0
    whole = (Path("1").read_text(encoding="utf-8") + Path("2").read_text(encoding="utf-8")).split("\n")
    assert whole == [
        "id\ttext\tnote\tlast\ttranslation",
        *(f"{row}\t{text}" for row, text in zip(rows, expected, strict=False)),
        "",
    ]


def test_more_shards_than_lines_have_one_header(expected: list[str]) -> None:
    Path("in.tsv").write_text(f"text\n{LINES[0]}\n", encoding="utf-8")
    for number in "123":
        words = ["--input", "in.tsv", "--output", number, "--column", "text", "--shard", f"{number}/3"]
        assert translated(*words) == 0
    whole = "".join(Path(number).read_text(encoding="utf-8") for number in "123")
    assert whole == f"text\ttranslation\n{LINES[0]}\t{expected[0]}\n"


def test_a_header_is_written_once_where_a_kill_fell_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(_: ResumableFile) -> None:
        raise KeyboardInterrupt

    Path("in.tsv").write_text("id\ttext\n", encoding="utf-8")
    words = ["--input", "in.tsv", "--output", "out", "--column", "text"]
    with monkeypatch.context() as patch:
        patch.setattr(ResumableFile, "finish", killed)
        assert translated(*words) == 130
    assert translated(*words) == 0
    assert Path("out").read_text(encoding="utf-8") == "id\ttext\ttranslation\n"


def test_a_pipe_is_refused_which_can_be_read_only_once(capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("pipe")
    writer = threading.Thread(target=Path("pipe").write_text, args=("ba\n",), daemon=True)
    writer.start()
    assert translated("--input", "pipe", "--output", "out") == 2
    assert "--input pipe: is read twice, which only a file can be" in capsys.readouterr().err
    assert not list(Path().glob("out*"))
    Path("pipe").read_text()  # so that the writer ends
    writer.join()


def test_a_file_that_appears_meanwhile_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = translate_file._translated

    def with_another(*arguments: Any) -> bytes:
        Path("out").write_text("mine")
        return whole(*arguments)

    monkeypatch.setattr(translate_file, "_translated", with_another)
    assert translated("--input", "in", "--output", "out") == 2
    assert "--output out: that file has appeared meanwhile; move it" in capsys.readouterr().err
    assert Path("out").read_text() == "mine"


def test_json_lines_keep_what_they_hold(expected: list[str]) -> None:
    lines = [f'{{"n": 1.50e3, "text": {json.dumps(line)}, "deep": {{"a": [1]}} }}' for line in LINES[:5]]
    Path("in.jsonl").write_text("\n".join([*lines, "", ""]), encoding="utf-8")
    assert translated("--input", "in.jsonl", "--output", "out", "--column", "text", "--scores") == 0
    written = Path("out").read_text(encoding="utf-8").split("\n")
    assert written[5:] == ["", ""]
    for before, after, text in zip(lines, written, expected, strict=False):
        assert after.startswith(before[:-2])
        row = json.loads(after)
        assert (row["translation"], row["n"], row["deep"]) == (text, 1500, {"a": [1]})
        assert row["score"] <= 0


def test_what_is_there_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").write_text("mine")
    assert translated("--input", "in", "--output", "out") == 2
    assert "--output out: that file exists; move it" in capsys.readouterr().err
    assert Path("out").read_text() == "mine"
    Path("new.part").write_text("mine")
    assert translated("--input", "in", "--output", "new") == 2
    assert Path("new.part").read_text() == "mine"


def test_what_began_with_other_settings_is_not_continued(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], expected: list[str]
) -> None:
    whole = translate_file._translated
    calls: list[int] = []

    def failing(*arguments: Any) -> bytes:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(*arguments)

    monkeypatch.setattr(translate_file, "_translated", failing)
    assert translated("--input", "in", "--output", "out") == 130
    assert not Path("out").exists()
    capsys.readouterr()
    assert translated("--input", "in", "--output", "out", "--beam-size", "2") == 2
    assert "a part of it was written with another beam_size; give the same" in capsys.readouterr().err
    Path("in").write_text("ba\n")
    assert translated("--input", "in", "--output", "out") == 2
    assert "a part of it was written with another input" in capsys.readouterr().err
    Path("in").write_text("".join(line + "\n" for line in LINES), encoding="utf-8")
    with Path("out.part").open("a") as part:
        part.write("HALF A LI")
    assert translated("--input", "in", "--output", "out") == 0
    assert Path("out").read_text(encoding="utf-8").split("\n")[:-1] == expected
    assert len(calls) == 3 + 3  # lines 5 to 9, two at a time: the first four were not translated again


def test_prefixes_go_with_their_lines() -> None:
    prefixes = ["KO", "", "", "", "RA", "SO", "", "LU", ""]
    Path("prefixes").write_text("".join(line + "\n" for line in prefixes))
    expected = [best[0].text for best in seq2seq.load(STORED).search(LINES, prefixes=prefixes)]
    for shard in ("1/2", "2/2"):
        words = ["--input", "in", "--output", shard[0], "--prefixes", "prefixes", "--shard", shard]
        assert translated(*words) == 0
    assert (Path("1").read_text() + Path("2").read_text()).split("\n")[:-1] == expected


WRONG: dict[str, tuple[list[str], str]] = {
    "no output": (["--input", "in"], "--input goes with --output"),
    "no input": (["--output", "out"], "--output goes with --input"),
    "no such input": (["--input", "nowhere", "--output", "out"], "nowhere: No such file or directory"),
    "itself": (["--input", "in", "--output", "in"], "--output in: that is the input"),
    "attention": (["--input", "in", "--output", "out", "--attention", "a"], "--attention does not go with --output"),
    "shard": (["--input", "in", "--output", "out", "--shard", "3/2"], "--shard must be like 1/4"),
    "suffix": (["--input", "in", "--output", "out", "--column", "a"], "in must end in .tsv or .jsonl"),
    "column": (["--input", "t.tsv", "--output", "out", "--column", "c"], "--column c: t.tsv has the columns a, b"),
    "cells": (["--input", "t.tsv", "--output", "out", "--column", "b"], "t.tsv, line 3: 1 columns, where the header"),
    "taken": (["--input", "taken.tsv", "--output", "out", "--column", "a"], "a column 'translation' already"),
    "json": (["--input", "t.jsonl", "--output", "out", "--column", "b"], "t.jsonl, line 2: no object with a text 'b'"),
    "damage": (["--input", "in", "--output", "old"], "old.progress: damaged; remove it and old.part"),
    "prefixes": (
        ["--input", "in", "--output", "out", "--prefixes", "t.tsv"],
        "t.tsv has 3 lines, in has 9 to translate",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_get_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("t.tsv").write_text("a\tb\nso\tra\nmi\n")
    Path("taken.tsv").write_text("a\ttranslation\n")
    Path("t.jsonl").write_text('{"b": "so"}\n{"b": 3}\n')
    Path("old.part").write_text("SO\n")
    Path("old.progress").write_text("{")
    words, said = WRONG[name]
    assert translated(*words) == 2
    complaint = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(complaint) == 1
    assert said in complaint[0]
    assert not list(Path().glob("out*"))


@pytest.fixture
def run_with_features(tmp_path: Path) -> Path:
    stored = seq2seq.Translator.from_pretrained(STORED)
    features = Vocabulary.train(["V PST"], VocabularyConfig(size=8, model_type="word"))
    source = SourceVocabulary(stored.source_vocabulary, features, factors=0)  # type: ignore[arg-type]
    config = replace(stored.config, tie="two_way")
    model = build_model(config, len(source), len(stored.target_vocabulary))
    seq2seq.Translator(model, config, source, stored.target_vocabulary).save_pretrained(tmp_path / "run")
    return tmp_path / "run"


def test_sources_and_features_from_two_columns(run_with_features: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = seq2seq.load(run_with_features).translate(["ba\tV", "ko\tPST"])
    words = ["translate", str(run_with_features), "--output", "out"]
    Path("in.tsv").write_text("\ufefflemma\tid\tfeats\nba\t1\tV\nko\t2\tPST\n", encoding="utf-8")
    assert main([*words, "--input", "in.tsv", "--column", "lemma,feats"]) == 0
    assert Path("out").read_text(encoding="utf-8").splitlines()[1:] == [
        f"ba\t1\tV\t{expected[0]}",
        f"ko\t2\tPST\t{expected[1]}",
    ]
    Path("out").unlink()
    Path("in.jsonl").write_text('{"l": "ba", "f": "V"}\n{"l": "ko", "f": "PST"}\n')
    assert main([*words, "--input", "in.jsonl", "--column", "l, f"]) == 0
    assert [json.loads(line)["translation"] for line in Path("out").read_text().splitlines()] == expected
    Path("out").unlink()
    for column, said in (("l,", "must be one column"), ("l,x", "line 1: no object with a text 'x'")):
        assert main([*words, "--input", "in.jsonl", "--column", column]) == 2
        assert said in capsys.readouterr().err


def test_a_part_that_was_changed_is_not_gone_on_with(capsys: pytest.CaptureFixture[str]) -> None:
    with ResumableFile(Path("out"), {}) as output:
        output.append(b"BA\n", 1)
    with ResumableFile(Path("out"), {}) as output:
        output.append(b"KO\n", 1)
    Path("out.part").write_bytes(b"BA\nXO\n")
    with pytest.raises(seq2seq.UserError, match=r"out\.part: changed since it was written"):
        ResumableFile(Path("out"), {})
    assert Path("out.part").read_bytes() == b"BA\nXO\n"


def test_a_line_without_its_features_is_named(run_with_features: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"text": "ba\tV"}, {"text": ""}, {"text": "ba ko"}]
    for wrong in ("ba ko", "ba ko\t ", "ba ko\t;;", "ba\tko\tV"):
        rows[2]["text"] = wrong
        Path("in.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
        words = ["--input", "in.jsonl", "--output", "out", "--column", "text"]
        assert main(["translate", str(run_with_features), *words]) == 2
        assert "error: in.jsonl, line 3: this model reads lines of a source, a tab, and its" in capsys.readouterr().err
    assert not list(Path().glob("out*"))


def test_bytes_that_are_no_utf_8_are_warned_of_once(capsys: pytest.CaptureFixture[str]) -> None:
    Path("in.jsonl").write_bytes(b'{"text": "ba \xff"}\n{"text": "ko"}\n')
    assert translated("--input", "in.jsonl", "--output", "out.jsonl", "--column", "text") == 0
    assert capsys.readouterr().err.count("not valid UTF-8") == 1
