"""`seq2seq export`: every kind of run answers alike in an environment made of its requirements.txt alone, which has no
torch; and what cannot be exported is said before anything is written."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import benchmark_export
import numpy as np
import onnx
import pytest
from packaging.requirements import Requirement

import seq2seq
from seq2seq.cli.main import main
from seq2seq.deploy import check, export, onnx_file
from seq2seq.deploy.plans import plan_of
from seq2seq.errors import UserError
from seq2seq.exported.translate import Exported, Output
from seq2seq.runs.layout import MODEL_FILE
from tests.exports import STORED, export_of
from tests.tiny_runs import frames_of

pytest.importorskip("onnxscript")

TEXTS = ["ba ko mi", "lu te so ra ne", "", "ne ne " * 30, "so", "Ünknown — ?"]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An export of each kind."""
    return {kind: export_of(kind, tmp_path_factory) for kind in STORED}


@pytest.fixture(scope="module")
def python(exports: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of an environment that has what the exports' requirements.txt name, and what that needs."""
    environment = tmp_path_factory.mktemp("environment") / "venv"
    interpreter = new_environment(environment)
    (packages,) = environment.glob("lib/python*/site-packages")
    for distribution in needed(named(exports)):
        for name in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            if not (packages / name).exists():
                (packages / name).symlink_to(distribution.locate_file(name))
    return interpreter


def new_environment(folder: Path) -> str:
    """The interpreter of an environment without packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return str(folder / "bin" / "python")


def named(exports: dict[str, Path]) -> list[Requirement]:
    """What the exports' requirements.txt name."""
    files = [(path / "requirements.txt").read_text() for path in exports.values()]
    return [Requirement(line) for text in files for line in text.splitlines() if line and not line.startswith("#")]


def needed(requirements: list[Requirement]) -> list[metadata.Distribution]:
    """The packages installed here that fulfil requirements, and those that they need."""
    found: dict[str, metadata.Distribution] = {}
    waiting = list(requirements)
    while waiting:
        requirement = waiting.pop()
        if requirement.name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found[requirement.name] = metadata.distribution(requirement.name)
        assert requirement.specifier.contains(found[requirement.name].version, prereleases=True), str(requirement)
        waiting += map(Requirement, found[requirement.name].requires or [])
    return list(found.values())


@pytest.mark.slow
def test_pip_makes_the_environment(exports: dict[str, Path], tmp_path: Path) -> None:
    interpreter = new_environment(tmp_path / "venv")
    files = [word for path in exports.values() for word in ("-r", str(path / "requirements.txt"))]
    constraints = str(Path(__file__).parents[2] / "constraints.txt")
    pip = [sys.executable, "-m", "pip", "--python", interpreter, "install", "-q", "--no-compile", "-c", constraints]
    subprocess.run([*pip, *files], check=True)
    assert answers(interpreter, exports["translator"], given="ba ko mi\n").strip()


def answers(python: str, folder: Path, *words: object, given: str = "", status: int = 0) -> str:
    """What translate.py writes, called from elsewhere."""
    command = [python, str(folder / "translate.py"), *map(str, words)]
    ended = subprocess.run(command, input=given.encode(), capture_output=True, cwd="/")
    assert ended.returncode == status, ended.stderr.decode()
    return (ended.stderr if status else ended.stdout).decode()


def test_the_environment_holds_no_torch(python: str, exports: dict[str, Path]) -> None:
    for name in ("torch", "seq2seq"):
        assert subprocess.run([python, "-c", f"import {name}"], capture_output=True, cwd="/").returncode == 1


def test_a_translator_answers_alike(python: str, exports: dict[str, Path], tmp_path: Path, capsysbinary) -> None:  # type: ignore[no-untyped-def]
    given = "".join(f"{text}\n" for text in TEXTS)
    (tmp_path / "in.txt").write_text(given)
    other = ["--length-penalty", "0.3", "--length-penalty-kind", "gnmt", "--max-length-ratio", "0.5"]
    for words in ([], ["--n-best", "3"], ["--scores", "--beam-size", "1"], ["--max-length", "3"], other):
        capsysbinary.readouterr()
        assert main(["translate", str(STORED["translator"]), str(tmp_path / "in.txt"), *words]) == 0
        expected, found = (
            capsysbinary.readouterr().out.decode(),
            answers(python, exports["translator"], *words, given=given),
        )
        numbers = re.compile(r"-?\d+\.\d{6}")
        assert numbers.sub("", found) == numbers.sub("", expected)
        ours, theirs = ([float(each) for each in numbers.findall(text)] for text in (expected, found))
        assert theirs == pytest.approx(ours, abs=1e-4)


def test_paragraphs_are_translated_as_the_toolkit_does(exports: dict[str, Path], tmp_path: Path, capsysbinary) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("sentencex")
    given = "  Ba ko mi.  So ra? Ne ne.\n\nlu te\n"
    (tmp_path / "paragraphs.txt").write_text(given)
    words = ["translate", str(STORED["translator"]), str(tmp_path / "paragraphs.txt"), "--split-sentences"]
    assert main(words) == 0
    expected = capsysbinary.readouterr().out.decode()
    assert expected.count("  ") == 2
    assert answers(sys.executable, exports["translator"], "--split-sentences", given=given) == expected


def test_other_kinds_answer_alike(python: str, exports: dict[str, Path], tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    files = {"generator": [], "predictor": []}  # type: dict[str, list[str]]
    for number, digits in enumerate(([0], [1, 2], [3, 3, 0])):
        files["generator"].append(str(tmp_path / f"{number}.npy"))
        np.save(files["generator"][-1], frames_of(digits))
        files["predictor"].append(str(tmp_path / f"{number}.csv"))
        Path(files["predictor"][-1]).write_text("".join(f"0.{digit + 5}\n" for digit in digits))
    for kind, given in files.items():
        for words in [], ["--n-best", "2"] if kind == "generator" else []:
            capsys.readouterr()
            assert main(["predict", str(STORED[kind]), *given, *words]) == 0
            expected = capsys.readouterr().out
            found = answers(python, exports[kind], *given, *words)
            for ours, theirs in zip(expected.split(), found.split(), strict=True):
                if re.fullmatch(r"-?[\d.]+(e-?\d+)?", ours):
                    assert float(theirs) == pytest.approx(float(ours), abs=1e-4)
                else:
                    assert theirs == ours
    model = seq2seq.load(STORED["generator"], kind="generator")
    inputs = [model.read(path) for path in files["generator"]]
    by_ctc = "".join(
        f"{path}\t{text}\n" for path, text in zip(files["generator"], model.generate_by_ctc(inputs), strict=True)
    )
    assert answers(python, exports["generator"], "--ctc", *files["generator"]) == by_ctc
    sampled = [
        answers(python, exports["language_model"], "abc", "--length", 5, "--temperature", 0.01) for _ in range(2)
    ]
    assert sampled == ["abcdefgh\n"] * 2  # the rhyme that it learned


@pytest.mark.parametrize(
    ("words", "given", "told"),
    [
        (["--beam-size", "0"], "", "--beam-size: must be a whole number from 1 to 1000"),
        (["--length-penalty", "nan"], "", "--length-penalty: must be a number from 0 to 100"),
        (["nowhere.txt"], "", "nowhere.txt: No such file or directory"),
        (["--n-best", "3", "--beam-size", "2"], "ba\n", "n_best 3 is more than beam_size 2"),
    ],
)
def test_bad_input_is_one_line(words: list[str], given: str, told: str, exports: dict[str, Path]) -> None:
    error = answers(sys.executable, exports["translator"], *words, given=given, status=2)
    assert told in error
    assert "Traceback" not in error


def test_a_damaged_export_is_one_line(exports: dict[str, Path], tmp_path: Path) -> None:
    for name in ("config.json", "step.onnx", "joint.spm.model", "generation_config.json"):
        shutil.copytree(exports["translator"], tmp_path / name)
        (tmp_path / name / name).write_bytes(b"{")
        assert "Traceback" not in answers(sys.executable, tmp_path / name, given="ba\n", status=2)
        (tmp_path / name / name).unlink()
        assert name in answers(sys.executable, tmp_path / name, given="ba\n", status=2)
    settings = json.loads((exports["predictor"] / "config.json").read_text())
    shutil.copytree(exports["predictor"], tmp_path / "predictor")
    for damaged in (
        [],
        {},
        {**settings, "kind": "other"},
        {**settings, "kind": "translator"},
        {**settings, "graphs": 1},
    ):
        (tmp_path / "predictor" / "config.json").write_text(json.dumps(damaged))
        error = answers(sys.executable, tmp_path / "predictor", given="", status=2)
        assert "Traceback" not in error
        assert "export the run again" in error


def test_what_is_not_as_it_was_exported_is_one_line(exports: dict[str, Path], tmp_path: Path) -> None:
    """A bit flipped in the middle, files of another export, the program without what it goes by."""
    for name in ("step.onnx", "encoder.onnx", "joint.spm.model"):
        shutil.copytree(exports["translator"], tmp_path / name)
        content = bytearray((tmp_path / name / name).read_bytes())
        content[len(content) // 2] ^= 0x40
        (tmp_path / name / name).write_bytes(content)
        error = answers(sys.executable, tmp_path / name, given="ba\n", status=2)
        assert f"{name}: damaged, or changed since the export" in error
    for part in ("encoder", "step"):
        mixed = tmp_path / part
        shutil.copytree(exports["translator"], mixed)
        shutil.copy(exports["generator"] / f"{part}.onnx", mixed)
        assert "damaged, or changed" in answers(sys.executable, mixed, given="ba\n", status=2)
        settings = json.loads((mixed / "config.json").read_text())
        (mixed / "config.json").write_text(json.dumps({**settings, "files_sha256": {}}))  # as if it were meant
        error = answers(sys.executable, mixed, given="ba\n", status=2)
        assert f"{part}.onnx: cannot answer" in error
        assert "Traceback" not in error
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in ("translate.py", "inputs.py"):
        shutil.copy(exports["translator"] / name, alone)
    assert "copy the export's whole folder" in answers(sys.executable, alone, given="ba\n", status=2)
    (alone / "beam.py").write_text("def (")
    assert "copy the export's whole folder" in answers(sys.executable, alone, given="ba\n", status=2)


def test_closed_output_is_one_line(exports: dict[str, Path]) -> None:
    command = f'"{sys.executable}" "{exports["translator"]}/translate.py" >&-'
    ended = subprocess.run(["sh", "-c", command], input="ba\n", capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (
        2,
        "translate.py: error: standard output is closed: nothing can be written\n",
    )


def test_the_benchmark_refuses_what_is_no_export_of_a_translator(
    exports: dict[str, Path], toy_run: Path, toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for given, told in ((tmp_path / "nowhere", "no such file"), (exports["generator"], "not a translator")):
        assert benchmark_export.main([str(toy_run), str(given), "--data", str(toy_data)]) == 2
        assert told in capsys.readouterr().err


def test_the_directory_tells_what_it_is(exports: dict[str, Path], toy_run: Path) -> None:
    for kind, folder in exports.items():
        config = json.loads((folder / "config.json").read_text())
        assert config["kind"] == kind
        present = {path.name: path for path in folder.iterdir() if path.name not in ("config.json", "__pycache__")}
        assert config["files_sha256"] == {
            name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in present.items()
        }
        assert "python translate.py" in (folder / "README.md").read_text()
    assert json.loads((exports["translator"] / "config.json").read_text())["languages"] == {
        "source": "en",
        "target": "de",
    }


def test_int8_is_small_and_safe_without_vnni(exports: dict[str, Path], tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    """Two products of an unsigned and a signed byte are added in 16 bits there: 2 x 255 x 64 still fits."""
    assert main(["export", str(STORED["translator"]), str(tmp_path / "int8"), "--precision", "int8"]) == 0
    assert "are answered otherwise" in capsys.readouterr().err
    stored = [
        each
        for name in ("encoder", "step")
        for each in onnx.load(tmp_path / "int8" / f"{name}.onnx").graph.initializer
        if len(each.dims) > 1
    ]
    signed = [each for each in stored if each.data_type == onnx.TensorProto.INT8]
    weights = [onnx.numpy_helper.to_array(each) for each in signed]
    assert len(weights) >= 6
    vocabulary = json.loads((tmp_path / "int8" / "config.json").read_text())["vocabulary_size"]
    assert any(vocabulary in each.dims for each in stored if each.data_type == onnx.TensorProto.UINT8)
    assert all(int(each.min()) >= -64 and int(each.max()) <= 64 for each in weights)
    alike = [
        one == other
        for one, other in zip(
            *(Exported(path).translate(TEXTS) for path in (tmp_path / "int8", exports["translator"])), strict=True
        )
    ]
    assert sum(alike) >= len(TEXTS) - 2


@pytest.mark.slow  # the graphs of an ensemble are compared in unit/deploy
def test_an_ensemble_is_exported_as_one(toy_run: Path, tmp_path: Path) -> None:
    other = seq2seq.load(toy_run)
    for weight in other.model.parameters():
        weight.data *= 1.1
    other.save_pretrained(tmp_path / "other")
    words = [str(toy_run), str(tmp_path / "both"), "--ensemble", str(tmp_path / "other"), "--check", "20"]
    assert main(["export", *words]) == 0
    whole = seq2seq.load(toy_run)
    whole.join(seq2seq.load(tmp_path / "other"))
    for ours, theirs in zip(whole.search(TEXTS, 2), Exported(tmp_path / "both").search(TEXTS, 2), strict=True):
        assert [each.text for each in theirs] == [each.text for each in ours]
        assert [each.score for each in theirs] == pytest.approx([each.score for each in ours], abs=1e-4)


@pytest.mark.slow  # the same graphs by another exporter
def test_programs_of_torch_answer_alike(toy_run: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    assert main(["export", str(toy_run), str(tmp_path / "programs"), "--format", "torch"]) == 0
    assert " 0 are answered otherwise" in capsys.readouterr().err
    assert {path.suffix for path in (tmp_path / "programs").iterdir()} >= {".pt2"}
    assert main(["export", str(toy_run), str(tmp_path / "x"), "--format", "torch", "--precision", "int8"]) == 2


def test_an_answer_that_rounding_chose_in_a_beam_is_no_difference_but_a_wrong_score_is(toy_run: Path) -> None:
    """Second best answers stand for those of a beam that kept another hypothesis."""
    translator, texts = (
        seq2seq.load(toy_run),
        [f"{one} {other}" for one in ("ba", "ko", "mi", "lu") for other in ("te", "so")],
    )
    assert isinstance(translator, seq2seq.Translator)
    best, second = zip(*translator.search(texts, n_best=2), strict=True)

    def compared(changed: int, wrong: float) -> check.Report:
        theirs = [
            Output(*each)._replace(log_probability=each.log_probability + wrong)
            for each in (*second[:changed], *best[changed:])
        ]
        pairs = [(a.text, a.score, b.text, b.score) for a, b in zip(best, theirs, strict=True)]
        return check._compare(check._without_near_ties(translator, texts, theirs, pairs), False)

    assert compared(1, 0.0).largest < check.TOLERANCE
    assert compared(1, 0.01).largest > check.TOLERANCE
    assert compared(2, 0.0).largest > check.TOLERANCE, "too many for rounding"


def test_nothing_of_the_users_is_replaced_and_nothing_is_left_half_written(
    toy_run: Path, exports: dict[str, Path], tmp_path: Path, monkeypatch, capsys
) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.txt").write_text("mine")
    shutil.copytree(exports["translator"], tmp_path / "edited")
    (tmp_path / "edited" / "mine.txt").write_text("mine")
    shutil.copytree(exports["translator"], tmp_path / "changed")
    (tmp_path / "changed" / "translate.py").write_text("mine")
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    for name, told in {
        "file": "is a file; name a folder",
        "folder": "holds files that are no export",
        "edited": "mine.txt: not part of the export there",
        "changed": "translate.py: was changed since",
        "file/below": "cannot be written",
    }.items():
        assert main(["export", str(toy_run), str(tmp_path / name)]) == 2
        assert told in capsys.readouterr().err
    for place, error in ((check, "differ"), (onnx_file, "too large")):
        with monkeypatch.context() as patched:
            if place is check:
                patched.setattr(check, "TOLERANCE", -1.0)
            else:
                patched.setattr(onnx_file, "LARGEST_FILE", 1)
            assert main(["export", str(toy_run), str(tmp_path / "new")]) == 2, error
        assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setattr(export, "write_graph", lambda *_: os.close(-1))
    with pytest.raises(UserError, match="new: cannot be written"):
        export.export(seq2seq.load(toy_run), "run", tmp_path / "new")
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_an_earlier_export_is_replaced_or_kept_whole(
    exports: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, place = str(STORED["predictor"]), tmp_path / "place"
    shutil.copytree(exports["predictor"], place, ignore=shutil.ignore_patterns("__pycache__"))
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    rename = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if path.suffix == ".tmp":
            os.close(-1)
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", failing)
        assert main(["export", run, str(place), "--check", "2"]) == 2
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before
    assert main(["export", run, str(place), "--check", "2"]) == 0
    assert sorted(path.name for path in place.iterdir()) == sorted(before)
    monkeypatch.chdir(place)
    assert main(["export", run, "."]) == 2
    assert "is the current folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_options_that_a_model_has_no_use_for_are_refused(exports: dict[str, Path]) -> None:
    for kind, words, told in (
        ("translator", ["--ctc"], "this model has no CTC head"),
        ("predictor", ["--n-best", "2", "a.csv"], "for models that write text"),
        ("generator", ["--split-sentences", "a.npy"], "for models that translate"),
        ("translator", ["--split-sentences", "--scores"], "goes with neither"),
        ("language_model", [], "give the text to go on from"),
        ("generator", ["--temperature", "0"], "--temperature: must be a number from"),
        ("generator", ["--temperature", "1", "a.npy"], "--seed: for language models"),
        ("generator", ["--ctc", "--n-best", "2", "a.npy"], "--ctc searches nothing"),
        ("generator", ["--ctc", "--scores", "a.npy"], "--ctc searches nothing"),
        ("generator", ["--ctc", "--beam-size", "2", "a.npy"], "--ctc searches nothing"),
        ("generator", ["--max-input-length", "2", "a.npy"], "for models that translate"),
        ("predictor", ["--beam-size", "2", "a.csv"], "for models that write text"),
        ("language_model", ["--n-best", "2", "a"], "for models that write text"),
    ):
        assert told in answers(sys.executable, exports[kind], *words, status=2)


def test_an_ensemble_of_generators_is_planned_as_one() -> None:
    model, other = (seq2seq.load(STORED["generator"], kind="generator") for _ in range(2))
    model.join(other)
    state = plan_of(model).settings["state"]
    assert {name.split(".")[0] for name in state} == {"0", "1"}


def test_nan_is_no_agreement() -> None:
    report = check._compare([("a", 1.0, "a", float("nan")), ("b", 1.0, "b", 1.0)], made_up=True)
    assert not report.largest <= check.TOLERANCE


def test_what_cannot_be_exported_is_said_first(toy_run: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    shutil.copytree(STORED["generator"], tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["reader"] = {**config.get("reader", {}), "kind": "image", "backbone": "some/network"}
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "out")]) == 2
    assert "some/network" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "none"), str(tmp_path / "out")]) == 2
    (tmp_path / "run" / MODEL_FILE).unlink()
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()
