"""`export`: a trained run as a directory that explains and runs itself, without torch and without this package."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from seq2seq.deploy.check import Report, check_export
from seq2seq.deploy.graphs import SequenceNode, SequenceScan
from seq2seq.deploy.onnx_file import check_installed, quantise, write_graph
from seq2seq.deploy.plans import Plan, plan_of
from seq2seq.deploy.readme import readme, requirements
from seq2seq.deploy.replacing import put_in_place, replacing
from seq2seq.deploy.traced import write_program
from seq2seq.deploy.web_folder import check_kind, write_web
from seq2seq.errors import UserError, check
from seq2seq.inference.load import Loaded
from seq2seq.inference.translator import Translator
from seq2seq.runs.layout import CONFIG_FILE
from seq2seq.runs.provenance import git_revision
from seq2seq.runs.weights import sha256_of
from seq2seq.runtime.version import version

Precision = Literal["fp32", "int8"]
Format = Literal["onnx", "torch"]
EXPORT_FORMAT = 1
PROGRAM = Path(__file__).parents[1] / "exported"
"""What runs the exported model, copied beside it."""
FILES = ("translate.py", "beam.py", "parts.py", "inputs.py")


def export(
    model: Loaded,
    run: str,
    directory: Path,
    precision: Precision = "fp32",
    sentences: int = 64,
    stored_config: Any = None,
    file_format: Format = "onnx",
    web: dict[str, bytes] | None = None,
) -> Report:
    """Writes a trained model of any kind into a directory, which holds nothing or an earlier export, and compares its
    answers with the model's own.

    run: the run's name, for provenance. sentences: how many inputs are compared. stored_config: the run's, which names
    its data. web: what `load_runtime` gives; with it, a page that runs the model is written too. Raises
    UserError, with nothing written, where a part of the model cannot be exported, the directory holds anything else or
    cannot be written, or the answers differ.
    """
    directory = directory.resolve()
    check_request(directory, precision, file_format, web is not None)
    if web is not None:
        check_kind(model)
    plan = plan_of(model, SequenceNode if file_format == "onnx" else SequenceScan)
    with _beside(directory) as place:
        _write_graphs(plan, place, precision, file_format)
        _write_belongings(model, place)
        languages = {
            name: stored_config[name] for name in ("source", "target") if stored_config and name in stored_config
        }
        facts = {"run": run, "precision": precision, "format": file_format, "languages": languages}
        config = _config(plan, model, place, facts)
        _write_config(config, place)
        for name in FILES if file_format == "onnx" else ():
            shutil.copyfile(PROGRAM / name, place / name)
        (place / "requirements.txt").write_text(requirements(plan, file_format), encoding="utf-8")
        about = readme(plan, model.kind, run, precision, file_format, web is not None)
        (place / "README.md").write_text(about, encoding="utf-8")
        report = check_export(model, place, sentences, stored_config, exact=precision == "fp32")
        if web is not None:
            write_web(place, config, web)
        _seal(config, place)
    return report


def _write_graphs(plan: Plan, place: Path, precision: Precision, file_format: Format) -> None:
    for name, graph in plan.graphs.items():
        if file_format == "torch":
            write_program(graph, place / f"{name}.pt2")
            continue
        write_graph(graph, place / f"{name}.onnx")
        if precision == "int8":
            quantise(place / f"{name}.onnx", plan.settings["vocabulary_size"])


def check_request(directory: Path, precision: Precision, file_format: Format, web: bool) -> None:
    """Raises UserError, before a model is loaded, where these do not go together, a package is missing, or the
    directory cannot take an export."""
    check(precision == "fp32" or file_format == "onnx", "int8 is for the format onnx; leave the precision out")
    check(not web or file_format == "onnx", "the page is for the format onnx; leave --web out")
    if file_format == "onnx":
        check_installed()
    check_target(directory)


def check_target(directory: Path) -> None:
    """Raises UserError where a directory holds anything but an earlier export as it was written, or is one that nothing
    can take the place of."""
    fixed = directory.is_mount() or directory.resolve() == Path.cwd()
    check(not fixed, f"{directory}: is the current folder, or a disk's; name a folder in it")
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return
    check(directory.is_dir(), f"{directory}: is a file; name a folder for the export")
    sums: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        stored = json.loads((directory / CONFIG_FILE).read_text(encoding="utf-8"))
        sums = dict(stored["files_sha256"]) if "export_format" in stored else {}
    check(bool(sums), f"{directory}: holds files that are no export; choose a new or an empty folder")
    present = {str(path.relative_to(directory)): path for path in directory.rglob("*") if path.is_file()}
    for name, path in sorted(present.items()):
        if name != CONFIG_FILE and "__pycache__" not in name:
            check(name in sums, f"{path}: not part of the export there; move it, or choose another folder")
            check(sha256_of(path) == sums[name], f"{path}: was changed since; move it, or choose another folder")


@contextlib.contextmanager
def _beside(directory: Path) -> Iterator[Path]:
    """A folder that takes the place of `directory` once all is well; without a trace where anything goes wrong."""
    try:
        with replacing(directory) as place:
            yield place
            check_target(directory)  # it took minutes: a file may have come meanwhile
            put_in_place(place, directory)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{directory}: cannot be written ({reason}); name another folder") from None


def _write_belongings(model: Loaded, place: Path) -> None:
    """Vocabularies and the settings of the search, as a run directory has them."""
    model.save_belongings(place)
    for name in ("characters.json", "labels.json"):  # they stand in config.json
        (place / name).unlink(missing_ok=True)


def _config(plan: Plan, model: Loaded, place: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """What translate.py goes by, and where the model comes from."""
    vocabularies = plan.settings["vocabularies"]
    if "source" in vocabularies and not (place / vocabularies["source"]).exists():  # one for both sides
        joint = next(path.name for path in place.glob("*.spm.model"))
        vocabularies = dict.fromkeys(vocabularies, joint)
    packages = ("torch", "onnx", "onnxscript", "onnxruntime") if facts["format"] == "onnx" else ("torch",)
    provenance = {
        "run": facts["run"],
        "version": version(),
        "git_revision": git_revision(),
        **{name: metadata.version(name) for name in packages},
    }
    return {
        "export_format": EXPORT_FORMAT,
        "kind": model.kind,
        "precision": facts["precision"],
        "format": facts["format"],
        "graphs": {
            name: {"inputs": list(graph.inputs), "outputs": list(graph.outputs)} for name, graph in plan.graphs.items()
        },
        **plan.settings,
        "vocabularies": vocabularies,
        "languages": facts["languages"],
        **({"needed_tags": model.tags} if isinstance(model, Translator) and model.needs_tag else {}),
        "provenance": provenance,
    }


def _write_config(config: dict[str, Any], place: Path) -> None:
    (place / CONFIG_FILE).write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _seal(config: dict[str, Any], place: Path) -> None:
    """Adds every file's checksum to config.json."""
    shutil.rmtree(place / "__pycache__", ignore_errors=True)
    others = sorted(each for each in place.rglob("*") if each.is_file() and each != place / CONFIG_FILE)
    sums = {str(each.relative_to(place)): sha256_of(each) for each in others}
    _write_config({**config, "files_sha256": sums}, place)
