"""The package as a user's program, type checker and help see it."""

import ast
import inspect
import os
import pydoc
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seq2seq
from seq2seq.errors import UserError

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures"


def test_type_checkers_and_python_see_the_same_names() -> None:
    tree = ast.parse((ROOT / "seq2seq" / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {
        alias.asname: f"{line.module}.{alias.name}"
        for line in block.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
    }
    assert imported == {name: f"seq2seq.{home}.{name}" for name, home in seq2seq._HOMES.items()}
    assert sorted(imported) == seq2seq.__all__


def test_every_name_is_there_and_is_shown() -> None:
    for name in seq2seq.__all__:
        found = getattr(seq2seq, name)
        if inspect.isclass(found) or inspect.isfunction(found):  # others, such as COUNTS, do not know their name
            assert found.__name__ == name
    assert set(seq2seq.__all__) <= set(dir(seq2seq))
    shown = pydoc.plaintext.document(seq2seq)
    for line in ("class Translator(", "class ExperimentConfig(", "    load(run:", "    train_generator(config:"):
        assert line in shown
    with pytest.raises(AttributeError, match="has no attribute 'laod'"):
        seq2seq.laod  # noqa: B018


def test_importing_the_package_and_asking_for_its_names_imports_no_torch() -> None:
    code = "import sys, seq2seq; dir(seq2seq); seq2seq.UserError; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


USER = """import seq2seq

translator = seq2seq.load("run")
texts: list[str] = translator.translate(["a"])
captions: list[str] = seq2seq.load("run", kind="generator").generate([])
more: str = seq2seq.load("run", kind="language_model").sample("a", 3)
config = seq2seq.ExperimentConfig(data="data", source="en", target="de", trainer=seq2seq.TrainerConfig(epochs=3))
"""
MYPY = """[mypy-*]
follow_imports = skip
[mypy-seq2seq.*,huggingface_hub.*]
follow_imports = silent
"""
"""The package and its one base class from elsewhere; all of torch would take a minute."""
MISTAKES = {
    'translator.tranlsate(["a"])': '"Translator" has no attribute "tranlsate"',
    'seq2seq.laod("run")': 'Module has no attribute "laod"',
    'seq2seq.load("run", kind="predictor").sample("a", 3)': '"Predictor" has no attribute "sample"',
    'seq2seq.load("run", kind="translater")': 'No overload variant of "load"',
    "seq2seq.TrainerConfig(epoch=3)": 'Unexpected keyword argument "epoch"',
}


def test_a_users_type_checker_finds_their_mistakes_and_no_others(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    program = tmp_path / "program.py"
    (tmp_path / "mypy.ini").write_text(MYPY)
    program.write_text(USER + "".join(f"{line}\n" for line in MISTAKES))
    cache = str(ROOT / ".mypy_cache" / "program")  # kept: 2 seconds instead of 20
    ended = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", cache, "program.py"],
        cwd=tmp_path, env={**os.environ, "MYPYPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    errors = [line for line in ended.stdout.splitlines() if ": error: " in line]
    first = USER.count("\n") + 1
    for number, (error, told) in enumerate(zip(errors, MISTAKES.values(), strict=True), first):
        assert error.startswith(f"program.py:{number}: error: ")
        assert told in error


@pytest.mark.parametrize("kind", ["translator", "generator", "predictor", "language_model"])
def test_a_kind_asked_for_is_given_or_refused(kind: str) -> None:
    folders = {"language_model": "characters-0.1.0"}
    folder = FIXTURES / folders.get(kind, f"{kind}-0.1.0")
    assert type(seq2seq.load(folder, kind=kind)) is type(seq2seq.load(str(folder)))
    other = "generator" if kind == "translator" else "translator"
    with pytest.raises(UserError, match=f"holds a {kind}, not a {other}; in Python"):
        seq2seq.load(folder, kind=other)


def test_what_cannot_be_loaded_is_refused() -> None:
    for run in (None, 5):
        with pytest.raises(UserError, match=f"run is of type {type(run).__name__}; give a run directory or a Hub id"):
            seq2seq.load(run)
    with pytest.raises(UserError, match="kind must be translator or generator or predictor or language_model"):
        seq2seq.load(FIXTURES / "translator-0.1.0", kind="banana")
    for wrong in (np.array([]), ["translator"]):
        with pytest.raises(UserError, match="kind must be translator or"):
            seq2seq.load(FIXTURES / "translator-0.1.0", kind=wrong)
        with pytest.raises(UserError, match="is not known; choose cpu or cuda"):
            seq2seq.load(FIXTURES / "translator-0.1.0", wrong)
    with pytest.raises(UserError, match="holds a generator, not a translator"):
        seq2seq.Translator.from_pretrained(FIXTURES / "generator-0.1.0")
    for run in ("runs/a0" * 1_000, "a" * 5_000):
        with pytest.raises(UserError, match=r"File name too long.*; give a run directory or a Hub id"):
            seq2seq.load(run)


@pytest.mark.parametrize("config", [None, {}, "m", seq2seq.TrainerConfig()])
def test_training_asks_for_the_configuration_of_its_task(config: Any) -> None:
    kind = type(config).__name__
    with pytest.raises(UserError, match=f"^run: config must be of type ExperimentConfig, not {kind}$"):
        seq2seq.run(config)
    with pytest.raises(UserError, match=f"^train_generator: config must be of type GeneratorTask, not {kind}$"):
        seq2seq.train_generator(config, None, None)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=f"^train_predictor: config must be of type PredictorTask, not {kind}$"):
        seq2seq.train_predictor(config, [], [], None)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=f"^train_language_model: config must be of type LanguageModelTask, not {kind}"):
        seq2seq.train_language_model(config, "", "", None)  # type: ignore[arg-type]


def test_training_asks_for_data_of_its_task() -> None:
    trainer = seq2seq.TrainerConfig(best_metric="loss")
    captioned = seq2seq.Captioned([], [])
    for training, named in [
        (None, "training must be of type Captioned or Sequence, not NoneType"),
        ([captioned, None], "each stage of training must be of type Captioned, not NoneType"),
        (captioned, "validation must be of type Captioned, not list"),
    ]:
        with pytest.raises(UserError, match=named):
            seq2seq.train_generator(seq2seq.GeneratorTask(trainer=trainer), training, [])  # type: ignore[arg-type]
    with pytest.raises(UserError, match="training must be of type Sequence, not NoneType"):
        seq2seq.train_predictor(seq2seq.PredictorTask(trainer=trainer), None, [], None)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="held_out must be of type str, not NoneType"):
        seq2seq.train_language_model(seq2seq.LanguageModelTask(trainer=trainer), "", None, None)  # type: ignore[arg-type]


def test_names_that_no_file_can_have_are_refused(tmp_path: Path) -> None:
    config = seq2seq.ExperimentConfig(data=str(tmp_path), source="en", target="de", output=str(tmp_path / "run"))
    for name, advice in [("output", "another --output"), ("data", "a folder, a file or a Hub id")]:
        with pytest.raises(UserError, match=f"cannot be opened .File name too long.; give {advice}"):
            seq2seq.run(replace(config, **{name: "a" * 5_000}))


def test_a_vocabulary_is_made_of_bytes_or_loaded() -> None:
    for given in ("nope", None):
        with pytest.raises(UserError, match=f"must be bytes, not of type {type(given).__name__}; Vocabulary.load"):
            seq2seq.Vocabulary(given)
    with pytest.raises(UserError, match="path is of type NoneType; give a SentencePiece model file"):
        seq2seq.Vocabulary.load(None)
