"""tools/bleu.py against the sacrebleu command, both run as a user runs them."""

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seq2seq.evaluation.metrics import corpus_scores
from seq2seq.inference.outputs import Translation
from seq2seq.tasks.evaluate import Evaluation

TOOL = Path(__file__).parents[2] / "tools" / "bleu.py"


def lines(seed: int) -> str:
    generator = random.Random(seed)
    words = ["Der", "alte", "Zug,", "fährt", "um", "10:30", "Uhr", "ab", "\u2028", "5,5", "%."]
    return "".join(" ".join(generator.choices(words, k=generator.randint(3, 14))) + "\n" for _ in range(60))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bleu")
    for seed, name in enumerate(("ref1", "ref2", "hyp", "other")):
        (directory / name).write_text(lines(seed).replace("\u2028", "so"), encoding="utf-8", newline="\n")
    return directory


def tool(folder: Path, *arguments: str, stdin: str = "hyp") -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, str(TOOL), *arguments], cwd=folder, stdin=(folder / stdin).open("rb"), capture_output=True
    )


def sacrebleu(folder: Path, *arguments: str) -> list[dict[str, object]]:
    """The command's own figures, with six digits behind the point."""
    command = [sys.executable, "-m", "sacrebleu", *arguments, "-m", "bleu", "chrf", "ter", "-w", "6"]
    output = subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout
    return json.loads(output)  # type: ignore[no-any-return]


@pytest.mark.parametrize("references", [["ref1"], ["ref1", "ref2"]])
def test_figures_and_signatures_are_sacrebleus(folder: Path, references: list[str]) -> None:
    ours = json.loads(tool(folder, *references, "--json", "--confidence").stdout)
    theirs = sacrebleu(folder, *references, "-i", "hyp", "--confidence")
    for figure in theirs:
        mine = ours[figure["name"]]
        assert round(mine["score"], 6) == figure["score"]
        assert round(mine["mean"], 6) == figure["confidence_mean"]
        assert round(mine["confidence"], 6) == figure["confidence_var"]
        assert mine["signature"] == figure["signature"]
    assert len(theirs) == 3


def test_files_are_looked_at_before_standard_input(folder: Path) -> None:
    (folder / "empty").touch()
    for words in (["nothere"], ["ref1", "--compare", "nothere"]):
        ended = tool(folder, *words, stdin="empty")
        assert (ended.returncode, ended.stderr.decode()) == (
            2,
            "bleu.py: error: nothere: cannot be read (No such file or directory)\n",
        )


def test_a_dash_stands_for_the_translations(folder: Path) -> None:
    """It is no reference: against themselves they would be perfect."""
    assert tool(folder, "ref1", "-").stdout == tool(folder, "ref1").stdout != b""
    for words in (["-"], ["ref1", "--compare", "-"]):
        ended = tool(folder, *words)
        assert ended.returncode == 2
        assert ended.stderr.startswith(b"bleu.py: error: -: standard input has the translations to score; name a file")


@pytest.mark.parametrize("most", [1, 3])
def test_an_evaluations_files_give_its_figures(tmp_path: Path, most: int) -> None:
    """Whatever white space the references hold, and however many there are of each sentence."""
    texts = [lines(seed).replace("\u2028", "so").splitlines() for seed in range(4)]
    hypotheses = texts[3]
    references = [list(several[: 1 + row % most]) for row, several in enumerate(zip(*texts[:3], strict=True))]
    references[0][0], references[1][-1] = "Der alte\nZug\tfährt", "\u2028um 10:30\r\nUhr"
    scores = corpus_scores(hypotheses, references)
    (tmp_path / "test.references.7.txt").write_text("of an evaluation with more references\n")
    translations = [Translation(line, 0.0, 0.0, []) for line in hypotheses]
    Evaluation(hypotheses, references, translations, scores, scores).write(tmp_path, "test")
    names = sorted(path.name for path in tmp_path.glob("*references*"))
    assert names == (["test.references.txt"] if most == 1 else [f"test.references.{n}.txt" for n in (1, 2, 3)])
    output = json.loads(tool(tmp_path, *names, "--json", stdin="test.hypotheses.txt").stdout)
    assert output == scores.to_dict()


def paired_table(folder: Path) -> list[list[list[float]]]:
    """Numbers of the command's paired bootstrap: per system, per metric, score, mean, interval and p-value.

    Read from LaTeX, one row per system: its JSON fails on numpy's numbers.
    """
    command = [sys.executable, "-m", "sacrebleu", "ref1", "-i", "hyp", "other", "--paired-bs"]
    options = ["-m", "bleu", "chrf", "ter", "-w", "6", "-f", "latex", "--no-color"]
    output = subprocess.run([*command, *options], cwd=folder, capture_output=True, check=True).stdout.decode("utf-8")
    rows = [line.split("&")[1:] for line in output.split("\n") if "&" in line][1:]
    return [[[float(number) for number in re.findall(r"\d+\.\d+", cell)] for cell in row] for row in rows]


def test_paired_bootstrap_is_sacrebleus(folder: Path) -> None:
    ours = json.loads(tool(folder, "ref1", "--json", "--compare", "other").stdout)
    baseline, system = paired_table(folder)
    for column, name in enumerate(("BLEU", "chrF2", "TER")):
        first, second = ours[name]["stdin"], ours[name]["compared"]
        assert [round(first[key], 6) for key in ("score", "mean", "confidence")] == pytest.approx(baseline[column])
        assert [round(second[key], 6) for key in ("score", "mean", "confidence")] == pytest.approx(system[column][:3])
        assert round(ours[name]["p_value"], 4) == system[column][3]
        assert "bs:1000|seed:12345" in ours[name]["signature"]


def test_several_systems_make_a_table(folder: Path) -> None:
    words = ["ref1", "--compare", "other", "ref2"]
    figures = json.loads(tool(folder, *words, "--json").stdout)
    rows = tool(folder, *words, "--markdown").stdout.decode("utf-8").split("\n")
    assert rows[0] == "| system | BLEU | chrF2 | TER |"
    for row, key, found in (
        (2, "stdin", figures["other"]),
        (3, "compared", figures["other"]),
        (4, "compared", figures["ref2"]),
    ):
        cells = [cell.strip() for cell in rows[row].split("|")[2:-1]]
        for cell, name in zip(cells, ("BLEU", "chrF2", "TER"), strict=True):
            mark = "*" if key == "compared" and found[name]["p_value"] < 0.05 else ""
            assert cell == f"{found[name][key]['score']:.2f} ± {found[name][key]['confidence']:.2f}{mark}"
    latex = tool(folder, "ref1", "--latex").stdout.decode("utf-8")
    assert latex.startswith("% BLEU: nrefs:1|")
    assert "system & BLEU & chrF2 & TER \\\\\n\\midrule\nstandard input & " in latex


def test_options_mean_what_sacrebleus_mean(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = json.loads(
        tool(folder, "ref1", "--json", "--confidence", "--lowercase", "--tokenize", "char", "--seed", "7").stdout
    )
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    options = ["--confidence", "--lowercase", "--chrf-lowercase", "--tokenize", "char"]
    for figure in sacrebleu(folder, "ref1", "-i", "hyp", *options):
        mine = ours[figure["name"]]
        assert mine["signature"] == figure["signature"]
        assert (round(mine["score"], 6), round(mine["confidence"], 6)) == (figure["score"], figure["confidence_var"])
        assert "seed:7" in mine["signature"]


def test_text_is_utf8_whatever_the_locale(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    assert "μ = " in tool(folder, "ref1", "--confidence").stdout.decode("utf-8")


def test_text_output_names_each_metric(folder: Path) -> None:
    text = tool(folder, "ref1").stdout.decode()
    assert [line.split()[0] for line in text.split("\n") if line] == [
        "BLEU", "chrF2", "TER", "exact", "word", "character",
    ]  # fmt: skip


def test_an_unfit_tokenizer_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "chinese").write_text("我喜欢猫。\n他住在北京。\n", encoding="utf-8")
    warned = tool(tmp_path, "chinese", stdin="chinese")
    assert warned.returncode == 0
    assert warned.stderr.decode().count("choose --bleu-tokenizer zh or char\n") == warned.stderr.count(b"\n") == 1
    for option in ("--bleu_tokenizer", "--bleu-tokenizer", "--tokenize"):
        fitting = tool(tmp_path, "chinese", option, "zh", stdin="chinese")
        assert fitting.stderr == b""
        assert b"tok:zh" in fitting.stdout


@pytest.mark.parametrize(
    ("arguments", "stdin", "told"),
    [
        (["nowhere"], "hyp", b"nowhere: cannot be read"),
        (["short"], "hyp", b"short has 2 lines, standard input has 60"),
        (["ref1"], "empty", b"standard input is empty"),
        (["latin1"], "hyp", b"latin1, line 2: not valid UTF-8"),
        (["ref1", "--compare", "short"], "hyp", b"short has 2 lines"),
        (["ref1", "--randomisation"], "hyp", b"--randomisation compares systems: give --compare"),
        (["ref1", "--compare", "other", "short"], "hyp", b"short has 2 lines"),
        (["ref1", "--seed", "-3"], "hyp", b"the seed '-3' is neither"),
        (["ref1", "--tokenize", "13b"], "hyp", b"bleu_tokenizer must be one of 13a, intl, char"),
        (["ref1", "--seed", "x"], "hyp", b"the seed 'x' is neither"),
        (
            ["ref1", "--seed", "9" * 5_000],
            "hyp",
            b"is neither a whole number from 0 to 9,223,372,036,854,775,807 nor none",
        ),
    ],
)
def test_unusable_input_is_one_line_and_status_2(folder: Path, arguments: list[str], stdin: str, told: bytes) -> None:
    (folder / "short").write_text("a\nb\n")
    (folder / "empty").write_text("")
    (folder / "latin1").write_bytes(b"ok\nf\xe4hrt\n")
    ended = tool(folder, *arguments, stdin=stdin)
    assert ended.returncode == 2
    assert told in ended.stderr
    assert ended.stderr.count(b"\n") == 1
    assert ended.stdout == b""
