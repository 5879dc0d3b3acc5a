"""Whose the files of a run directory are, and whether they belong together."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import average_checkpoints
import pytest

import seq2seq
from seq2seq.cli.main import main
from seq2seq.cli.script import refuse_foreign_pictures
from seq2seq.errors import UserError
from seq2seq.runs.layout import WRITTEN, refuse_foreign_files
from seq2seq.runtime.atomic_files import sweep
from seq2seq.tasks.prediction import train_predictor
from seq2seq.tasks.verify import report
from seq2seq.training.objectives import labelling
from tests.conftest import toy_config
from tests.tiny_runs import predictor_task, sums

FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture
def copy(toy_run: Path, tmp_path: Path) -> Path:
    """The toy run, to be spoilt."""
    shutil.copytree(toy_run, tmp_path / "run")
    return tmp_path / "run"


def contents(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("missing", [(), ("provenance.json", "checkpoints"), ("config.json", "checkpoints")])
def test_a_model_is_not_saved_onto_a_training_run(copy: Path, toy_run: Path, missing: tuple[str, ...]) -> None:
    for name in missing:
        shutil.rmtree(copy / name) if (copy / name).is_dir() else (copy / name).unlink()
    before = contents(copy)
    with pytest.raises(UserError, match=f"{copy}: holds a training run.*choose another folder"):
        seq2seq.load(toy_run).save_pretrained(copy)
    assert contents(copy) == before


def test_a_model_may_be_saved_onto_a_saved_model(toy_run: Path, tmp_path: Path) -> None:
    for _ in range(2):
        seq2seq.load(toy_run).save_pretrained(tmp_path / "saved")
    assert main(["verify", str(tmp_path / "saved")]) == 0
    with pytest.raises(UserError, match="save_directory must not be empty"):
        seq2seq.load(toy_run).save_pretrained("")


@pytest.mark.parametrize("content", ['{"model": "gpt"}', '{"architectures": []}', "[]", "not JSON"])
def test_a_model_is_not_saved_onto_a_configuration_of_others(toy_run: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config\.json: a saved model would overwrite it, and none was saved there"):
        seq2seq.load(toy_run).save_pretrained(tmp_path)
    assert contents(tmp_path) == {tmp_path / "config.json": content.encode()}


@pytest.mark.parametrize(
    "name", ["model.safetensors", "generation_config.json", "joint.spm.model", "source.spm.model", "labels.json"]
)
def test_a_model_is_not_saved_onto_files_of_others(
    toy_run: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=f"{tmp_path / name}: a saved model would overwrite it.*; move it, or choose"):
        seq2seq.load(toy_run).save_pretrained(tmp_path)
    assert average_checkpoints.main([str(toy_run), "--output", str(tmp_path)]) == 2
    assert f"{tmp_path / name}: a saved model would overwrite it" in capsys.readouterr().err
    assert contents(tmp_path) == {tmp_path / name: b"mine"}


def test_what_a_saved_model_does_not_touch_is_in_nobodys_way(toy_run: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "README.md").write_text("mine")
    seq2seq.load(toy_run).save_pretrained(tmp_path)
    assert seq2seq.load(tmp_path).translate(["ba"]) == ["BA"]
    assert (tmp_path / "README.md").read_text() == "mine"
    assert average_checkpoints.main([str(toy_run), "--output", str(tmp_path)]) == 0  # a saved model may be replaced


def bare(run: Path) -> None:
    content = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({"model": content["model"]}))


def bare_beside_provenance(run: Path) -> None:
    bare(run)
    shutil.rmtree(run / "checkpoints")


def of_no_configuration(run: Path) -> None:
    content = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**content, "label_smoothing": "much"}))


def without_its_vocabulary(run: Path) -> None:
    (run / "joint.spm.model").unlink()


def with_an_empty_vocabulary(run: Path) -> None:
    (run / "joint.spm.model").write_text("")


def with_search_settings_that_are_none(run: Path) -> None:
    (run / "generation_config.json").write_text("[]")


def with_a_beam_that_is_no_number(run: Path) -> None:
    (run / "generation_config.json").write_text('{"beam_size": "x"}')


def with_another_runs_checkpoints(run: Path) -> None:
    train_predictor(predictor_task(run.parent / "other"), sums(20), sums(20), labelling())
    shutil.rmtree(run / "checkpoints")
    shutil.copytree(run.parent / "other" / "checkpoints", run / "checkpoints")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (bare, "config.json: holds the model alone"),
        (bare_beside_provenance, "config.json: holds the model alone"),
        (of_no_configuration, "label_smoothing"),
        (without_its_vocabulary, "the vocabulary is missing"),
        (with_an_empty_vocabulary, "joint.spm.model: not a SentencePiece model, or a damaged one; restore the file"),
        (with_search_settings_that_are_none, "generation_config.json: the configuration must be a mapping"),
        (with_a_beam_that_is_no_number, "generation_config.json: option 'beam_size' must be an integer, got"),
        (with_another_runs_checkpoints, "its tensors are not those of model.safetensors"),
    ],
)
def test_verify_reports_parts_that_do_not_fit_together(
    copy: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None], named: str
) -> None:
    assert main(["verify", str(copy)]) == 0
    spoil(copy)
    capsys.readouterr()
    assert main(["verify", str(copy)]) == 2
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("all together\t")
    assert named in last


@pytest.mark.parametrize("stored", sorted(FIXTURES.glob("*-0.1.0")), ids=lambda path: path.name)
def test_verify_reads_what_each_kind_of_run_is_loaded_with(stored: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(stored, run)
    assert report(run)[-1].fault is None
    for path in [*run.glob("*.spm.model"), *run.glob("characters.json"), *run.glob("generation_config.json")]:
        content = path.read_bytes()
        path.write_text("")
        assert str(path) in str(report(run)[-1].fault)
        path.write_bytes(content)


def test_a_model_that_was_removed_is_reported_and_comes_back(
    toy_data: Path, toy_run: Path, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / "model.safetensors").unlink()
    assert main(["verify", str(copy)]) == 2
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(
        "model.safetensors\t0.0 MiB\tmissing, though the best model was stored; restore it, or repeat"
    )
    with pytest.raises(
        UserError, match=r"model\.safetensors: missing, though .* repeat the command that trained the run"
    ):
        seq2seq.load(copy)
    seq2seq.run(toy_config(toy_data, copy, epochs=15))
    assert main(["verify", str(copy)]) == 0
    assert seq2seq.load(copy).translate(["ba ko"]) == seq2seq.load(toy_run).translate(["ba ko"])


FOLDERS = {"attention", "checkpoints", "tensorboard"}


@pytest.mark.parametrize("name", WRITTEN)
def test_training_leaves_files_of_others_alone(toy_data: Path, tmp_path: Path, name: str) -> None:
    """Nothing at all is written."""
    run = tmp_path / "run"
    run.mkdir()
    (run / name).mkdir() if name in FOLDERS else (run / name).write_text("mine\n")
    before = contents(tmp_path)
    with pytest.raises(UserError, match=name):
        seq2seq.run(toy_config(toy_data, run, max_steps=1))
    with pytest.raises(UserError, match=name):
        train_predictor(predictor_task(run), sums(20), sums(20), labelling())
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["evaluation"])
def test_text_runs_write_more_than_others(
    toy_data: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("mine\n")
    options = ["--data", str(toy_data), "--source", "en", "--target", "de", "--output", str(tmp_path)]
    for further in (["--dry-run"], []):
        assert main(["train", *options, *further]) == 2
        told = f"{tmp_path / name}: training would overwrite it, and no run was begun there; move it, or choose another"
        assert told in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name]
    refuse_foreign_files(tmp_path)  # runs of other kinds write no such file


def test_what_a_failed_attempt_left_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "train.log").touch()  # it died before it had the lock
    refuse_foreign_files(tmp_path)
    (tmp_path / "lock").write_text("4711\n")
    for name in ("train.log", "joint.spm.model", "characters.json", "generation_config.json"):
        (tmp_path / name).write_text("ours")
    (tmp_path / "data").mkdir()
    refuse_foreign_files(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("mine")
    with pytest.raises(UserError, match="metrics"):
        refuse_foreign_files(tmp_path)


def test_a_recipe_of_several_runs_does_not_draw_over_pictures_of_others(tmp_path: Path) -> None:
    (tmp_path / "curves.png").write_text("mine")
    with pytest.raises(UserError, match=r"curves\.png"):
        refuse_foreign_pictures(tmp_path)
    (tmp_path / "lstm").mkdir()
    (tmp_path / "lstm" / "config.json").write_text("{}")
    refuse_foreign_pictures(tmp_path)


def test_only_what_writers_left_is_swept(tmp_path: Path) -> None:
    for name in (".config.json.12.tmp", ".mine.tmp", ".notes.1.txt.tmp"):
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".mine.tmp", ".notes.1.txt.tmp"}
