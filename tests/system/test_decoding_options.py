"""The ways to decode from the command line: as from Python, refused in one line, part of an evaluation's name."""

from __future__ import annotations

import io
import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from sacrebleu.metrics import CHRF

import seq2seq
from seq2seq.cli.main import main
from seq2seq.evaluation.error_rates import error_rates

STORED = Path(__file__).parents[1] / "fixtures" / "translator-0.1.0-format2"
LINES = ["ba ko mi", "lu te so ra", "", "ne ne ne ne"]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    files = {
        "in": LINES,
        "ban": ["KO", "", "NE NE"],
        "pieces": ["▁BA"],
        "prefixes": ["KO", "", "", "N"],
        "short": ["a"],
        "long": ["", "", "", "", "KO"],
    }
    files |= {"terms": ["ba\tRA", "", "lu te\tNE LU"], "one": ["ba RA"], "two": ["ba\tRA", "ba\tSO"]}
    for name, lines in files.items():
        (tmp_path / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return tmp_path


GIVEN: dict[str, tuple[list[str], dict[str, Any]]] = {
    "rules": (
        ["--min-length", "6", "--no-repeat-ngram", "2", "--no-unknown"],
        {"min_length": 6, "no_repeat_ngram": 2, "no_unknown": True},
    ),
    "lists": (["--ban", "ban", "--ban-pieces", "pieces"], {"ban": ["KO", "NE NE"], "ban_pieces": ["▁BA"]}),
    "scores": (
        ["--coverage-penalty", "0.5", "--length-reward=-0.2"],
        {"coverage_penalty": 0.5, "length_reward": -0.2},
    ),
    "samples": (
        ["--sampling", "ancestral", "--temperature", "1.5", "--top-k", "9", "--top-p", "0.9", "--seed", "7"],
        {"sampling": "ancestral", "temperature": 1.5, "top_k": 9, "top_p": 0.9, "seed": 7},
    ),
    "groups": (
        ["--beam-size", "6", "--beam-groups", "3", "--diversity", "1.5"],
        {"beam_size": 6, "beam_groups": 3, "diversity": 1.5},
    ),
    "bayes risk": (
        ["--mbr", "chrf", "--sampling", "ancestral", "--candidates", "12"],
        {"mbr": "chrf", "sampling": "ancestral", "candidates": 12},
    ),
    "terminology": (["--terminology", "terms"], {"terminology": {"ba": "RA", "lu te": "NE LU"}}),
    "prefixes": (["--prefixes", "prefixes"], {"prefixes": ["KO", "", "", "N"]}),
}


@pytest.mark.parametrize("name", GIVEN)
def test_options_are_those_of_python(
    name: str, texts: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.chdir(texts)
    words, options = GIVEN[name]
    assert main(["translate", str(STORED), "in", "--scores", *words]) == 0
    expected = seq2seq.load(STORED).search(LINES, **options)
    assert capsysbinary.readouterr().out.decode().splitlines() == [
        f"{best[0].score:.6f}\t{best[0].text}" for best in expected
    ]


WRONG: dict[str, tuple[list[str], str]] = {
    "no number": (["--min-length", "x"], "--min-length must be a whole number from 0 to 10,000, got 'x'"),
    "idle": (["--top-k", "3"], "top_k is of sampling: choose a kind of it, or leave top_k out"),
    "no terms": (["--terminology", "one"], "one, line 1: not a source term and a target term"),
    "two terms": (["--terminology", "two"], "two, line 2: 'ba' becomes 'RA' above; keep one line"),
    "no such file": (["--ban", "nowhere"], "nowhere: No such file or directory"),
    "no such piece": (["--ban-pieces", "ban"], "banned piece 'KO': the target vocabulary has no such piece"),
    "too few prefixes": (["--prefixes", "short"], "there are more texts than prefixes, of which there are 1"),
    "prefixes of paragraphs": (["--prefixes", "in", "--split-sentences"], "--prefixes is of single sentences"),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_get_one_line(
    name: str, texts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(texts)
    words, said = WRONG[name]
    assert main(["translate", str(STORED), "in", *words]) == 2
    complaint = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(complaint) == 1
    assert said in complaint[0]


def test_prefixes_left_over_are_reported_behind_all_outputs(
    texts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(texts)
    assert main(["translate", str(STORED), "in", "--prefixes", "long"]) == 2
    output = capsys.readouterr()
    assert output.out.splitlines() == seq2seq.load(STORED).translate(LINES)
    assert "there are more prefixes than texts, which are 4" in output.err
    with pytest.raises(seq2seq.UserError, match="4 texts but 0 prefixes"):
        seq2seq.load(STORED).search(LINES, prefixes=[])


def test_an_evaluation_is_named_by_how_it_was_decoded(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = texts / "data"
    data.mkdir()
    (data / "test.jsonl").write_text(
        "".join(json.dumps({"s": line, "t": line.upper()}) + "\n" for line in LINES if line)
    )
    words = [
        "evaluate",
        str(STORED),
        "--data",
        str(data),
        "--source",
        "s",
        "--target",
        "t",
        "--output",
        str(texts / "o"),
    ]
    assert main([*words, "--no-repeat-ngram", "1", "--ban", str(texts / "ban")]) == 0
    written = (texts / "o").glob("test-*-no_repeat_ngram=1-ban=*.hypotheses.txt")
    lines = next(written).read_text().splitlines()
    assert lines == seq2seq.load(STORED).translate(
        [line for line in LINES if line], no_repeat_ngram=1, ban=["KO", "NE NE"]
    )
    generator = STORED.with_name("generator-0.1.0-format2")
    capsys.readouterr()
    assert main(["evaluate", str(generator), "--data", str(data), "--no-unknown"]) == 2
    assert "--no-unknown: for runs that translate text" in capsys.readouterr().err


def test_figures_are_those_asked_for(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources, references = [line for line in LINES if line], ["BA KO MI", "LU SO RA", "NE NE"]
    rows = [{"source": one, "target": two} for one, two in zip(sources, references, strict=True)]
    (texts / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["evaluate", str(STORED), "--data", str(texts / "test.jsonl"), "--source", "source", "--target", "target"]
    words += ["--output", str(texts / "o"), "--json", "--metrics"]
    assert main([*words, "chrf++,wer,per,accuracy"]) == 0
    figures = json.loads(capsys.readouterr().out)
    written = seq2seq.load(STORED).translate(sources)
    metric = CHRF(word_order=2)
    assert figures["chrF2++"]["score"] == metric.corpus_score(written, [references]).score
    rates = error_rates(written, [[each] for each in references])
    assert figures["word_error_rate"] == figures["phoneme_error_rate"] == rates.token
    assert set(figures["signatures"]) == {"word_error_rate", "phoneme_error_rate", "exact_match"}
    assert set(figures) == {"sentences", "chrF2++", "signatures", *figures["signatures"]}
    assert list((texts / "o").glob("test-*-metrics=chrf+++wer+per+accuracy.metrics.json"))
    assert main([*words, "bleu,bleurt"]) == 2
    error = capsys.readouterr().err
    assert "--metrics must be some of bleu, chrf, chrf++, ter, accuracy, wer, cer, per, bleu-1, " in error
    assert "rouge-l, cider, comet, FILE.py:FUNCTION, got 'bleurt'" in error


def test_the_table_of_ways_is_made(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tool = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "decoding_table.py"))
    sources = ["ba ko mi", "lu te so ra", "ne ne ne ne", "ba te"]
    for split in ("train", "validation"):
        rows = [
            json.dumps({"en": line, "de": line.title()}) + "\n" for line in sources * (5 if split == "train" else 1)
        ]
        (texts / f"{split}.jsonl").write_text("".join(rows))
    only = ["--only", "plain beam", "greedy", "terminology", "ban"]
    assert tool["main"]([str(STORED), "--data", str(texts), "--rows", "3", "--time", *only]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0] == "| way | BLEU | chrF | changed | sentences/s |"
    assert table[2].startswith("| plain beam | ")
    assert " | 0.0% | " in table[2]
    assert len(table) == 6
    assert any(re.search(r"--terminology: .* \(([1-9]) of \1 terms\)", row) for row in table)
    sources, targets = ["a dog"] * 10 + ["a cow"] * 10, ["Ein Hund"] * 10 + ["Ein Rind"] * 10
    assert tool["terminology_of"](sources, targets) == {"dog": "Hund", "cow": "Rind", "a": "Ein"}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["translate", "--ban", "-"], "the text and --ban"),
        (["translate", "-", "--prefixes", "-"], "the text and --prefixes"),
        (["translate", "--interactive", "--terminology", "-"], "the text and --terminology"),
        (["translate", "any", "--ban", "-", "--ban-pieces", "-"], "--ban and --ban-pieces"),
        (["align", "--source-file", "-", "--target-file", "any", "--gold", "-"], "--source-file and --gold"),
        (["evaluate", "--ban", "-", "--terminology", "-"], "--ban and --terminology"),
    ],
)
def test_standard_input_is_read_once(
    words: list[str], named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The list of banned words would swallow the text, and the output be empty."""
    monkeypatch.chdir(tmp_path)
    Path("any").write_text("ba\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"ba ko\nmi\n")))
    assert main([words[0], str(STORED), *words[1:]]) == 2
    assert f"error: {named}: only one of them can come from standard input" in capsys.readouterr().err
