"""The package as a user's program, type checker and help see it."""

import ast
import inspect
import os
import pydoc
import subprocess
import sys
from pathlib import Path

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
    with pytest.raises(UserError, match="holds a generator, not a translator"):
        seq2seq.Translator.from_pretrained(FIXTURES / "generator-0.1.0")
