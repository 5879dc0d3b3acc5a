"""`evaluate --metrics` and `--scorer` with figures from outside: by hand, refused in one line, nothing lost."""

import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import seq2seq
from seq2seq.cli.main import main

STORED = Path(__file__).parents[2] / "fixtures" / "translator-0.1.0-format2"
SOURCES = ["ba ko mi", "lu te so ra", "ne ne"]
REFERENCES = [["BA KO MI"], ["LU TE", "LU\tTE SO  RA"], ["NE"]]
OWN = """
def heard(sources, hypotheses, references):
    assert [type(each) for each in references] == [list] * 3, references
    return [10.0 * len(source.split()) + len(lines) for source, lines in zip(sources, references)]

def total(sources, hypotheses, references):
    return len(" ".join(hypotheses))

def short(sources, hypotheses, references):
    return [1.0]

def wrong(sources, hypotheses, references):
    return hypotheses[0].nothing

def careless(sources, hypotheses, references):
    print("noise")
    hypotheses.sort(key=len, reverse=True)
    references[0].clear()
    return len(sources.pop())

def ending(sources, hypotheses, references):
    raise SystemExit(3)

def tensor(sources, hypotheses, references):
    import torch
    return torch.ones(3, requires_grad=True)

def forgotten(sources, hypotheses, references):
    pass
"""
PROGRAM = """
import sys
for line in sys.stdin:
    source, hypothesis, *references = line.rstrip("\\n").split("\\t")
    print(len(references) + 100 * (hypothesis in references))
"""
COMET = """
def download_model(name, local_files_only):
    assert local_files_only
    if {missing}:
        raise KeyError(f"Model '{{name}}' not supported by COMET.")
    return name

class Model:
    def predict(self, samples, batch_size, gpus, progress_bar):
        scores = [len(each["src"]) + len(each["ref"]) / 100 for each in samples]
        assert all(each["mt"].isupper() for each in samples)
        return type("Prediction", (), {{"scores": scores}})

def load_from_checkpoint(path, local_files_only):
    return Model()
"""


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # it would hide what changes within a second
    monkeypatch.setitem(sys.modules, "own_scorer", None)
    monkeypatch.delitem(sys.modules, "own_scorer")  # so that each test imports its own
    rows = [{"s": source, "t": target} for source, target in zip(SOURCES, REFERENCES, strict=True)]
    Path("test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("own_scorer.py").write_text(OWN)
    Path("program.py").write_text(PROGRAM)
    data = ["--data", "test.jsonl", "--source", "s", "--target", "t"]
    return ["evaluate", str(STORED), *data, "--output", "o", "--json"]


def figures(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(words) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_functions_and_commands(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    command = f"{sys.executable} program.py"
    metrics = ["--metrics", "accuracy,own_scorer.py:heard,own_scorer.py:total", "--scorer", command]
    found = figures([*words, *metrics], capsys)
    hypotheses = seq2seq.load(STORED).translate(SOURCES)
    assert found["own_scorer.py:heard"]["score"] == pytest.approx((31 + 42 + 21) / 3)
    assert found["own_scorer.py:total"]["score"] == len(" ".join(hypotheses))
    accepted = [["BA KO MI"], ["LU TE", "LU TE SO RA"], ["NE"]]
    right = [text in lines for text, lines in zip(hypotheses, accepted, strict=True)]
    assert 0 < sum(right) < 3
    assert found[command]["score"] == pytest.approx((4 + 100 * sum(right)) / 3)
    assert found["signatures"]["exact_match"].startswith("nrefs:var|case:mixed|unit:text|seq2seq:")
    assert set(found) == {"sentences", "exact_match", "signatures", command} | {
        f"own_scorer.py:{name}" for name in ("heard", "total")
    }
    stored = next(Path("o").glob("*-metrics=accuracy+own_scorer.py_heard+*.metrics.json"))
    assert json.loads(stored.read_text()) == found
    Path("program.py").write_text(PROGRAM + "# another version\n")
    anew = figures([*words, "--scorer", command], capsys)
    assert anew[command]["score"] == found[command]["score"]
    assert anew[command]["signature"] != found[command]["signature"]
    assert anew["BLEU"]["signature"].startswith("nrefs:var|"), "the usual figures stand beside it"
    assert anew["signatures"]["word_error_rate"].endswith(f"|jiwer:{metadata.version('jiwer')}")


def test_a_function_may_print_and_change_its_lists(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("own_scorer.py").write_text("print('loaded')\n" + OWN)
    found = figures([*words, "--metrics", "own_scorer.py:careless,own_scorer.py:heard"], capsys)
    assert found["own_scorer.py:careless"]["score"] == len(SOURCES[-1])
    assert found["own_scorer.py:heard"]["score"] == pytest.approx((31 + 42 + 21) / 3)
    hypotheses = next(Path("o").glob("*.hypotheses.txt")).read_text().splitlines()
    assert hypotheses == seq2seq.load(STORED).translate(SOURCES)


def test_a_command_may_hold_a_long_program(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    program = f"import sys; [print(2) for _ in sys.stdin]  # {'x' * 300}"
    command = f"{sys.executable} -c '{program}'"
    assert figures([*words, "--scorer", command], capsys)[command]["score"] == 2


FAULTS = {
    "no program": (["--scorer", "no-such-program -x"], "--scorer no-such-program -x: there is no such program", False),
    "status": (["--scorer", "false"], "--scorer false: ended with status 1", True),
    "lines": (["--scorer", "true"], "--scorer true: wrote 0 lines for 3; write a number for each", True),
    "no numbers": (["--scorer", "cat"], "--scorer cat: its line 1 is no number: 'ba ko mi", True),
    "too few": (["--metrics", "own_scorer.py:short"], "numbers of shape [1]; give one number or 3", True),
    "no number": (["--metrics", "own_scorer.py:wrong"], "own_scorer.py:wrong, line 13: AttributeError: 'str' ", True),
    "ends": (["--metrics", "own_scorer.py:ending"], "own_scorer.py:ending, line 22: SystemExit: 3", True),
    "tensor": (["--metrics", "own_scorer.py:tensor"], "gave tensor([1., 1., 1.], requires_grad=True), no number", True),
    "nothing": (["--metrics", "own_scorer.py:forgotten"], "own_scorer.py:forgotten gave None, no number", True),
    "no function": (["--metrics", "own_scorer.py:none"], "own_scorer.py defines no function none", False),
    "no file": (["--metrics", "bleu,nowhere.py:f"], "--metrics nowhere.py:f: there is no file nowhere.py", False),
    "no package": (["--metrics", "comet"], "--metrics comet: needs pip install unbabel-comet", False),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_one_line_and_lose_no_translation(
    name: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    given, said, answered = FAULTS[name]
    assert main([*words, *given]) == 2
    complaint = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(complaint) == 1
    assert said in complaint[0]
    hypotheses = [path.read_text() for path in Path().glob("o/*.hypotheses.txt")]
    assert hypotheses == ["".join(f"{line}\n" for line in seq2seq.load(STORED).translate(SOURCES))] * answered


def test_comet_is_asked_as_its_package_wants_it(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stand-in, as neither package nor model is here: what it is given, and the mean over several references."""
    monkeypatch.syspath_prepend(tmp_path)
    for missing in (True, False):
        monkeypatch.delitem(sys.modules, "comet", raising=False)
        (tmp_path / "comet" / str(missing)).mkdir(parents=True)
        (tmp_path / "comet" / "__init__.py").write_text(COMET.format(missing=missing) + "\n" * missing)
        if missing:
            assert main([*words, "--metrics", "comet"]) == 2
            assert "the model Unbabel/wmt22-comet-da is not here (" in capsys.readouterr().err
            continue
        found = figures([*words, "--metrics", "comet"], capsys)
    monkeypatch.delitem(sys.modules, "comet")
    expected = [len("ba ko mi") + 0.08, len("lu te so ra") + (0.05 + 0.12) / 2, len("ne ne") + 0.02]
    assert found["COMET"]["score"] == pytest.approx(sum(expected) / 3)
    assert found["COMET"]["signature"].startswith("model:Unbabel/wmt22-comet-da|version:")
    generator = STORED.with_name("generator-0.1.0-format2")
    (tmp_path / "comet" / "__init__.py").write_text(COMET.format(missing=False))
    assert main(["evaluate", str(generator), "--data", "test.jsonl", "--metrics", "comet"]) == 2
    assert "--metrics comet: for runs that read text" in capsys.readouterr().err
