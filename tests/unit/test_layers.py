"""The rooms of the package: imports point one way only, and no module can be reached from itself."""

import ast
import graphlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import seq2seq

ROOT = Path(seq2seq.__file__).parent
BASE = {"errors", "runtime", "config"}
ALLOWED = {
    "errors": set(),
    "runtime": {"errors"},
    "config": {"errors", "runtime"},
    "data": BASE,
    "model": BASE | {"data.symbols"},
    "search": BASE | {"data.symbols"},
    "runs": BASE | {"data"},
    "inference": BASE | {"data", "model", "search", "runs"},
    "training": BASE | {"data.symbols", "data.batch", "data.resumable", "model", "search", "runs"},
    "evaluation": BASE | {"data", "model", "search", "runs"},
    "tasks": BASE | {"data", "model", "search", "runs", "inference", "training", "evaluation"},
    "exported": set(),
    "deploy": BASE | {"exported"} | {"data", "model", "search", "runs", "inference"},
    "serving": BASE | {"data", "model", "search", "runs", "inference", "exported"},
    "cli": BASE
    | {"data", "model", "search", "runs", "inference", "training", "evaluation", "tasks", "deploy", "serving"},
    "__main__": {"cli"},
}
"""What each room (or single module) may import: rooms, or modules of a room."""


def modules() -> dict[str, Path]:
    """Path of every module by its dotted name below the package."""
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in ROOT.rglob("*.py")}


def imports_of(path: Path, known: set[str]) -> set[str]:
    """The package's own modules that a file imports anywhere: at its top, in functions, for type checking."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "seq2seq":
            inside = str(node.module).partition(".")[2]
            for name in node.names:
                module = f"{inside}.{name.name}" if inside else name.name
                found.add(module if module in known else inside)
        elif isinstance(node, ast.Import):
            found |= {name.name.partition(".")[2] for name in node.names if name.name.startswith("seq2seq.")}
    return found - {""}


def graph() -> dict[str, set[str]]:
    """The imports of every module but the package's own `__init__`, which gives all public names lazily."""
    paths = modules()
    known = set(paths)
    return {name: imports_of(path, known) for name, path in paths.items() if name != "__init__"}


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_point_down(room: str) -> None:
    allowed = ALLOWED[room]
    for module, imported in graph().items():
        if module.split(".")[0] != room:
            continue
        for target in imported:
            fits = target.split(".")[0] in {room, *allowed} or target in allowed
            assert fits, f"seq2seq.{module} imports seq2seq.{target}"


def test_every_module_has_its_place_in_the_table() -> None:
    assert {name.split(".")[0] for name in graph()} == set(ALLOWED)


def test_the_rooms_are_on_nine_floors_at_most() -> None:
    floors_of = {room: {name.split(".")[0] for name in below} for room, below in ALLOWED.items()}
    order = graphlib.TopologicalSorter(floors_of)
    order.prepare()
    floors = 0
    while order.is_active():
        ready = order.get_ready()
        order.done(*ready)
        floors += 1
    assert floors <= 9


def test_no_module_is_reached_from_itself() -> None:
    tuple(graphlib.TopologicalSorter(graph()).static_order())  # raises CycleError, which names the circle


def test_rooms_are_empty_packages() -> None:
    """A name exported again by a room would load all of the room for the sake of one module."""
    for folder in ROOT.iterdir():
        if folder.is_dir() and any(folder.glob("*.py")):
            assert (folder / "__init__.py").read_text() == "", folder


LIGHT = {
    "a model needs no sentencepiece": ("seq2seq.model.seq2seq", "sentencepiece"),
    "training needs no sentencepiece and no datasets": ("seq2seq.training.trainer", "sentencepiece"),
    "the trainer needs no corpus": ("seq2seq.training.trainer", "seq2seq.data.corpus"),
    "the package needs no torch": ("seq2seq", "torch"),
}


@pytest.mark.parametrize("case", LIGHT)
def test_what_a_module_does_without(case: str) -> None:
    module, absent = LIGHT[case]
    code = f"import sys, {module}; sys.exit({absent!r} in sys.modules)"
    paths = os.pathsep.join([str(ROOT.parent), os.environ.get("PYTHONPATH", "")])
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths}).returncode == 0
