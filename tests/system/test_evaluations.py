"""Where evaluations go, what the model card says of them, and when they are not made again."""

import json
import logging
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from seq2seq.cli.main import main
from seq2seq.config import read_config
from seq2seq.inference.translator import Translator
from seq2seq.runs.weights import load_tensors, save_tensors, stored_shapes
from seq2seq.tasks import evaluation_files
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.translation import run
from tests.conftest import write_toy_data

OWN = {"test.hypotheses.txt", "test.references.txt", "test.metrics.json", "test.settings.json"}


@pytest.fixture
def copy(toy_run: Path, tmp_path: Path) -> Path:
    """The toy run, to be evaluated again."""
    shutil.copytree(toy_run, tmp_path / "run")
    return tmp_path / "run"


def names(run: Path) -> set[str]:
    return {path.name for path in (run / "evaluation").iterdir()}


def bleu_of_files(run: Path) -> str:
    return f"{json.loads((run / 'evaluation' / 'test.metrics.json').read_text())['BLEU']['score']:.2f}"


def bleu_of_card(run: Path) -> str:
    found = re.search(r"\| BLEU \| ([0-9.]+) ", (run / "README.md").read_text())
    assert found is not None
    return found[1]


def test_other_settings_go_beside_the_runs_own_results(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {name: (copy / "evaluation" / name).read_bytes() for name in OWN}
    card = (copy / "README.md").read_bytes()
    other = write_toy_data(copy.parent / "more data", seed=2)
    for options, name in (
        (["--beam-size", "1", "--max-length", "3"], "test-beam_size=1-max_length=3"),
        (["--data", str(other)], "test-data=more_data"),
        (["--source", "de", "--target", "en"], "test-source=de-target=en"),
        (["--max-input-length", "2", "--length-penalty", "0.5"], "test-length_penalty=0.5-max_input_length=2"),
        (["--split", "validation"], "validation"),
    ):
        capsys.readouterr()
        assert main(["evaluate", str(copy), *options]) == 0
        assert f"{copy / 'evaluation' / name}.*" in capsys.readouterr().err
        assert (copy / "evaluation" / f"{name}.hypotheses.txt").exists()
    assert {name: (copy / "evaluation" / name).read_bytes() for name in OWN} == before
    assert (copy / "README.md").read_bytes() == card


def test_data_of_one_name_in_two_places_are_two_evaluations(copy: Path, tmp_path: Path) -> None:
    found: list[dict[str, bytes]] = []
    for place in ("a", "b", "a", "b"):
        data = write_toy_data(tmp_path / place / "news", seed=ord(place))
        assert main(["evaluate", str(copy), "--data", str(data)]) == 0
        found.append({path.name: path.read_bytes() for path in copy.glob("evaluation/test-data=news*.references.txt")})
    assert list(map(len, found)) == [1, 2, 2, 2]
    assert found[1] == found[2] == found[3] and found[0].items() <= found[1].items()
    expected = [(tmp_path / place / "news" / "test.jsonl").read_text().splitlines() for place in "ab"]
    assert sorted("".join(f"{json.loads(row)['de']}\n" for row in rows).encode() for rows in expected) == sorted(
        found[3].values()
    )


def test_evaluations_in_a_folder_of_the_users_do_not_replace_each_other(toy_run: Path, tmp_path: Path) -> None:
    words = ["evaluate", str(toy_run), "--output", str(tmp_path / "out")]
    mine = tmp_path / "out" / "test.references_old.txt"
    mine.parent.mkdir()
    mine.write_text("mine\n")
    assert main(words) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert {path.name for path in before} == {*OWN, mine.name}
    assert main([*words, "--beam-size", "1", "--max-length", "3"]) == 0
    assert main([*words, "--ensemble", str(toy_run), str(toy_run)]) == 0
    assert {path: path.read_bytes() for path in before} == before
    for name in ("test-beam_size=1-max_length=3", "test-ensemble=run+run"):
        assert (tmp_path / "out" / f"{name}.settings.json").exists()
    assert main(words) == 0  # its own files may be replaced


@pytest.mark.parametrize("name", sorted(OWN))
def test_files_of_the_users_are_not_overwritten(
    name: str, toy_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("mine\n")
    assert main(["evaluate", str(toy_run), "--output", str(tmp_path)]) == 2
    assert f"{tmp_path / name}: evaluate has not written that file as it is; move it" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine\n"


def test_evaluations_of_two_models_do_not_replace_each_other(
    copy: Path, tmp_path: Path, toy_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--output", str(tmp_path / "out")]
    tensors = load_tensors(copy / "model.safetensors")
    _, metadata = stored_shapes(copy / "model.safetensors")
    metadata.pop("sha256")
    save_tensors({name: 1.01 * each for name, each in tensors.items()}, copy / "model.safetensors", metadata)
    assert main(["evaluate", str(toy_run), *words]) == 0
    before = (tmp_path / "out" / "test.metrics.json").read_bytes()
    capsys.readouterr()
    assert main(["evaluate", str(copy), *words]) == 2
    assert "test.settings.json: belongs to the evaluation of another model" in capsys.readouterr().err
    assert (tmp_path / "out" / "test.metrics.json").read_bytes() == before
    assert toy_run.name == copy.name  # so that the files' names do not tell the ensembles apart
    for ensemble, status in ((toy_run, 0), (toy_run, 0), (copy, 2)):
        assert main(["evaluate", str(toy_run), *words, "--ensemble", str(ensemble)]) == status


def test_what_a_killed_evaluation_left_is_its_own(toy_run: Path, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    words = ["evaluate", str(toy_run), "--output", str(tmp_path)]
    with monkeypatch.context() as patched:
        patched.setattr(evaluation_files, "_sums", lambda *_: 1 / 0)  # as late as can be
        with pytest.raises(ZeroDivisionError):
            main(words)
    assert (tmp_path / "test.metrics.json").exists()
    assert main(words) == 0
    assert json.loads((tmp_path / "test.settings.json").read_text())["files_sha256"]


def test_an_edited_result_is_not_overwritten(toy_run: Path, tmp_path: Path) -> None:
    words = ["evaluate", str(toy_run), "--output", str(tmp_path)]
    assert main(words) == 0
    with (tmp_path / "test.hypotheses.txt").open("a") as file:
        file.write("edited\n")
    assert main(words) == 2
    assert (tmp_path / "test.hypotheses.txt").read_text().endswith("edited\n")


def test_a_file_in_place_of_the_folder_is_said_before_the_work(
    toy_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "afile").write_text("mine\n")
    for output in ("afile", "afile/below"):
        assert main(["evaluate", str(toy_run), "--output", str(tmp_path / output)]) == 2
        assert f"{tmp_path / output}: cannot write the results there (" in capsys.readouterr().err
    assert (tmp_path / "afile").read_text() == "mine\n"


def test_settings_that_are_the_runs_own_make_no_name(copy: Path, toy_data: Path) -> None:
    assert main(["evaluate", str(copy), "--beam-size", "5", "--data", f"{toy_data}/../data", "--source", "en"]) == 0
    assert names(copy) == OWN


def test_the_card_agrees_with_the_files(copy: Path) -> None:
    """generation_config.json holds the run's own settings, and is meant to be edited."""
    before = bleu_of_card(copy)
    (copy / "generation_config.json").write_text(json.dumps({"beam_size": 1, "max_length": 3}))
    assert main(["evaluate", str(copy)]) == 0
    assert names(copy) == OWN
    assert bleu_of_card(copy) == bleu_of_files(copy) != before
    assert "beam 1" in (copy / "README.md").read_text()


def test_a_damaged_provenance_is_named_before_the_work(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "provenance.json").write_text("[")
    before = (copy / "evaluation" / "test.metrics.json").stat().st_mtime_ns
    assert main(["evaluate", str(copy)]) == 2
    assert f"{copy / 'provenance.json'}: missing or damaged" in capsys.readouterr().err
    assert (copy / "evaluation" / "test.metrics.json").stat().st_mtime_ns == before


def of_run(directory: Path) -> ExperimentConfig:
    return replace(read_config(directory / "config.json", ExperimentConfig), output=str(directory))


def test_an_edited_card_is_kept(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = copy / "README.md"
    written = path.read_text()
    for card, kept in (
        (written + "\nMine.\n", True),
        (written.replace("## Use", "## My use"), True),
        (written.replace(written.splitlines()[-1], ""), True),  # edited, the sum taken out
        ("# Mine\n", True),
        (written, False),
        ("---\nlibrary_name: seq2seq\npipeline_tag: translation\n---\n", False),  # as 0.1.0 wrote it
    ):
        path.write_text(card)
        caplog.clear()
        with caplog.at_level(logging.INFO, "seq2seq"):
            run(replace(of_run(copy), license="MIT"))
        assert (path.read_text() == card) is kept
        assert ("was edited and is kept" in caplog.text) is kept
        if not kept:
            assert yaml.safe_load(path.read_text().split("---\n")[1])["license"] == "mit"


def test_the_licence_is_unknown_until_it_is_said(toy_run: Path) -> None:
    assert (toy_run / "README.md").read_text().startswith("---\nlicense: unknown\n")


def test_a_finished_run_is_not_evaluated_again(
    copy: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = []
    search = Translator.search

    def counted(translator: Translator, texts: list[str], **options: object) -> object:
        searched.append(len(texts))
        return search(translator, texts, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Translator, "search", counted)
    before = {path: path.stat().st_mtime_ns for path in [*copy.rglob("*.png"), *(copy / "evaluation").iterdir()]}
    with caplog.at_level(logging.INFO, "seq2seq"):
        _, evaluation = run(of_run(copy))
    assert not searched
    assert f"taken from {copy / 'evaluation' / 'test'}.*" in caplog.text
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert evaluation is not None
    metrics = json.loads((copy / "evaluation" / "test.metrics.json").read_text())
    assert evaluation.figures() == metrics
    assert evaluation.hypotheses == (copy / "evaluation" / "test.hypotheses.txt").read_text().splitlines()

    def evaluated_anew(config: ExperimentConfig) -> bool:
        searched.clear()
        run(config)
        return bool(searched)

    config = of_run(copy)
    narrow = replace(config, search=replace(config.search, beam_size=1))
    assert evaluated_anew(narrow)
    assert not evaluated_anew(narrow)
    assert evaluated_anew(replace(narrow, test_split="validation"))
    lines = (copy / "evaluation" / "test.hypotheses.txt").read_text().splitlines()
    (copy / "evaluation" / "test.hypotheses.txt").write_text("".join(f"{line}\n" for line in reversed(lines)))
    assert evaluated_anew(narrow)


def test_a_model_trained_further_is_evaluated_anew(toy_data: Path, copy: Path, tmp_path: Path) -> None:
    config = of_run(copy)
    config = replace(
        config,
        output=str(tmp_path / "new"),
        optimizer=replace(config.optimizer, schedule="constant"),
        trainer=replace(config.trainer, epochs=1, best_metric="loss"),
    )
    figures = []
    for epochs in (1, 4):
        run(replace(config, trainer=replace(config.trainer, epochs=epochs)))
        figures.append(json.loads((tmp_path / "new" / "evaluation" / "test.settings.json").read_text()))
    assert figures[0]["model_sha256"] != figures[1]["model_sha256"]
    assert bleu_of_card(tmp_path / "new") == bleu_of_files(tmp_path / "new")


def test_a_recipes_run_has_options_of_its_own(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copy / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "languages": "deu,tur"}))
    bleu = bleu_of_files(copy)
    assert main(["evaluate", str(copy)]) == 0
    assert (bleu_of_files(copy), bleu_of_card(copy)) == (bleu, bleu)
    assert main(["verify", str(copy)]) == 0, capsys.readouterr()
