"""A user's own model or objective trains, resumes, loads and translates by the same commands."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import seq2seq
from seq2seq.cli.main import main
from seq2seq.data.batch import Batch
from seq2seq.errors import UserError
from seq2seq.model.decoder import RecurrentDecoder
from seq2seq.model.frontends import TokenEmbedding
from seq2seq.model.language_model import LanguageModel, LanguageModelConfig
from seq2seq.model.losses import LossSum
from seq2seq.model.memory import Memory, mean_memory
from seq2seq.model.seq2seq import (
    GeneratorConfig,
    ModelConfig,
    Seq2Seq,
    assemble_generator_model,
    build_model,
)
from seq2seq.model.sequence_model import PredictorConfig, SequenceModel, assemble_predictor_model
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.dry_run import dry_run
from seq2seq.tasks.language_modelling import train_language_model
from seq2seq.tasks.prediction import train_predictor
from seq2seq.tasks.transcription import train_generator
from seq2seq.tasks.translation import run
from seq2seq.training.objectives import labelling, teacher_forcing
from tests.comparison import assert_same, final_state
from tests.conftest import toy_config
from tests.tiny_runs import RHYME, generator_task, language_model_task, predictor_task, spelled, sums


class BagEncoder(nn.Module):
    """Reads each token by itself."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.layer = nn.Linear(size, size)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        return mean_memory(torch.tanh(self.layer(inputs)), lengths)


def build(config: ModelConfig, source_size: int, target_size: int) -> Seq2Seq:
    source, target = (nn.Embedding(size, config.embedding_size, padding_idx=0) for size in (source_size, target_size))
    decoder = RecurrentDecoder(target, config.embedding_size, config.decoder, config.dropout, tied=True)
    return Seq2Seq(TokenEmbedding(source, config.dropout), BagEncoder(config.embedding_size), decoder)


FILE = """
from tests.integration import test_own_model

def make(config, source_size, target_size):
    return test_own_model.build(config, source_size, target_size)
"""


def steps_of(data: Path, output: Path, steps: int) -> ExperimentConfig:
    """A run of this many steps; a standard model of these sizes would be larger than the tensors of its own."""
    config = toy_config(data, output, max_steps=steps, epochs=9)
    large = replace(config.model, encoder=replace(config.model.encoder, hidden_size=5_000, layers=9))
    return replace(config, model=large, optimizer=replace(config.optimizer, schedule="constant"))


@pytest.fixture(scope="module")
def own_run(toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("own") / "run"
    run(steps_of(toy_data, output, 12), build=build)
    return output


def test_it_resumes_exactly_and_is_loaded(toy_data: Path, own_run: Path, tmp_path: Path) -> None:
    for steps in (5, 12):
        translator, _ = run(steps_of(toy_data, tmp_path / "run", steps), build=build)
    whole, resumed = final_state(own_run), final_state(tmp_path / "run")
    for state in (whole, resumed):
        del state["validations"]  # a stop at max_steps validates
    assert_same(whole, resumed)
    loaded = seq2seq.load(own_run, build=build)
    assert type(loaded.model.encoder) is BagEncoder
    texts = ["ba ko", "so"]
    assert loaded.translate(texts) == translator.translate(texts)
    loaded.save_pretrained(tmp_path / "saved")
    assert seq2seq.Translator.from_pretrained(tmp_path / "saved", build=build).translate(texts) == loaded.translate(
        texts
    )
    for directory in (own_run, tmp_path / "saved"):
        assert json.loads((directory / "config.json").read_text())["build"] == f"{__name__}:build"
    assert main(["verify", str(own_run)]) == 0


def test_it_is_never_taken_for_a_standard_model(toy_data: Path, own_run: Path, toy_run: Path, tmp_path: Path) -> None:
    """Nor is the name in config.json imported."""
    message = rf"was built by {__name__}:build, .*build=build, on the command line --build FILE\.py:build"
    with pytest.raises(UserError, match=message):
        seq2seq.load(own_run)
    with pytest.raises(UserError, match="holds a standard model"):
        seq2seq.load(toy_run, build=build)
    shutil.copytree(own_run, tmp_path / "run")
    config = steps_of(toy_data, tmp_path / "run", 14)
    for way in (run, dry_run):
        with pytest.raises(UserError, match=message):
            way(config)
        with pytest.raises(UserError, match="holds a standard model"):
            way(toy_config(toy_data, toy_run, epochs=15), build=build)
    with pytest.raises(UserError, match=r"config\.json: tensor|does not belong to this model"):
        seq2seq.load(own_run, build=build_model_of_small_size)
    for error in (KeyError("size"), SystemExit(3)):
        with pytest.raises(UserError, match=f"failing failed: {type(error).__name__}: ") as failed:
            seq2seq.load(own_run, build=failing_with(error))
        assert failed.value.__cause__ is error
    with pytest.raises(UserError, match="gave int; it must return a model"):
        seq2seq.load(own_run, build=lambda *_: 5)


def failing_with(error: BaseException) -> Callable[..., Seq2Seq]:
    def failing(*_: object) -> Seq2Seq:
        raise error

    return failing


def build_model_of_small_size(_config: ModelConfig, source_size: int, target_size: int) -> Seq2Seq:
    return build_model(ModelConfig(16), source_size, target_size)


def test_the_command_line_takes_the_function_from_a_file(
    toy_data: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    (tmp_path / "own_file.py").write_text(FILE)
    place, output = f"{tmp_path / 'own_file.py'}:make", tmp_path / "run"
    given = ["--data", str(toy_data), "--source", "en", "--target", "de", "--vocabulary.size", "40", "--quick"]
    given += ["--vocabulary.byte-fallback", "false", "--model.embedding-size", "16", "--output", str(output)]
    assert main(["train", *given, "--build", place, "--dry-run"]) == 0
    assert b"encoder.layer" in capsysbinary.readouterr().out
    assert not output.exists()
    assert main(["train", *given, "--build", place]) == 0
    assert json.loads((output / "config.json").read_text())["build"] == "own_file:make"
    again = ["train", "--config", str(output / "config.json"), "--output", str(tmp_path / "again")]
    assert main(again) == 2
    assert b"its model was built by own_file:make; give --build FILE.py:make" in capsysbinary.readouterr().err
    assert main([*again, "--build", place, "--dry-run"]) == 0
    capsysbinary.readouterr()
    (tmp_path / "in.txt").write_text("ba ko\nso\n")
    for words in (
        ["translate", str(output), str(tmp_path / "in.txt")],
        ["evaluate", str(output), "--split", "validation"],
    ):
        assert main([*words, "--build", place]) == 0
        assert capsysbinary.readouterr().out.count(b"\n") >= 2
        assert main(words) == 2
        assert b"--build FILE.py:make" in capsysbinary.readouterr().err


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        ("", "own_a.py", r"--build must be FILE\.py:FUNCTION, not"),
        (None, "own_b.py:make", "there is no file"),
        ("x = 1\n", "own_c.py:make", "defines no function make"),
        ("x = 1\ny = z\n", "own_d.py:make", r"own_d\.py, line 2: NameError: name 'z' is not defined"),
        ("x = (\n", "own_e.py:make", r"own_e\.py, line 1: SyntaxError"),
        ("x = '\0'\n", "own_f.py:make", r"own_f\.py: (SyntaxError|ValueError): source code .*null bytes"),
        ("import sys\nsys.exit(3)\n", "own_g.py:make", r"own_g\.py, line 2: SystemExit: 3"),
        ("", "json.py:make", "a module json is imported already; rename the file"),
    ],
)
def test_what_names_no_function_is_refused_in_one_line(
    content: str | None, place: str, message: str, toy_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / place.partition(":")[0]).write_text(content)
    assert main(["translate", str(toy_run), "--build", str(tmp_path / place)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error)


def test_no_file_names_the_function(own_run: Path, tmp_path: Path) -> None:
    (tmp_path / "own_file.py").write_text("import sys\nsys.exit(7)\n")
    for name, content in (
        ("c.yaml", f"build: {tmp_path / 'own_file.py'}:make\n"),
        ("c.json", '{"build": "os:system"}'),
    ):
        (tmp_path / name).write_text(content)
        ended = subprocess.run(
            [sys.executable, "-m", "seq2seq", "train", "--config", str(tmp_path / name)], capture_output=True, text=True
        )
        assert ended.returncode == 2
        assert "unknown option 'build'" in ended.stderr


def test_an_objective_of_ones_own_is_trained_and_validated(toy_data: Path, tmp_path: Path) -> None:
    """Nine times the usual loss: nine times the figure of validation."""

    def ninefold(model: Seq2Seq, batch: Batch) -> LossSum:
        loss = teacher_forcing()(model, batch)
        return LossSum(9 * loss.total, loss.tokens)

    losses = []
    for name, objective in (("usual", None), ("ninefold", ninefold)):
        config = replace(toy_config(toy_data, tmp_path / name, max_steps=3, clip_norm=1e-6), label_smoothing=0.0)
        run(config, objective=objective)
        entries = [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        losses.append([entry[key] for entry in entries for key in ("train_loss", "loss") if key in entry])
    assert losses[1] == pytest.approx([9 * loss for loss in losses[0]], rel=1e-3)
    for name, objective, said in (
        ("ninefold", None, "learned by the objective .*ninefold"),
        ("usual", ninefold, "of the library"),
    ):
        config = toy_config(toy_data, tmp_path / name, max_steps=4, clip_norm=1e-6)
        with pytest.raises(UserError, match=said):
            run(replace(config, label_smoothing=0.0), objective=objective)
    with pytest.raises(UserError, match="r_drop chooses the objective"):
        run(replace(toy_config(toy_data, tmp_path / "both"), r_drop=1.0), objective=ninefold)


def shifted(module: Any) -> Any:
    """The module, marked."""
    module.marked = nn.Parameter(torch.zeros(3))
    return module


def own_generator(config: GeneratorConfig, size: int) -> Seq2Seq:
    return shifted(assemble_generator_model(config, size))


def own_predictor(config: PredictorConfig) -> SequenceModel:
    return shifted(assemble_predictor_model(config))


def own_language_model(config: LanguageModelConfig, size: int) -> LanguageModel:
    return shifted(LanguageModel(size, config))


def test_models_of_every_kind_can_be_ones_own(tmp_path: Path) -> None:
    def short(config: Any) -> Any:
        return replace(config, quick=True, trainer=replace(config.trainer, average_decay=0.0))

    train_generator(short(generator_task(tmp_path / "g")), spelled(60, 1), spelled(8, 2), build=own_generator)
    train_predictor(short(predictor_task(tmp_path / "p")), sums(60), sums(8), labelling(), build=own_predictor)
    task = short(language_model_task(tmp_path / "l"))
    train_language_model(task, RHYME, RHYME[:90], lambda _: None, build=own_language_model)
    for name, own in (("g", own_generator), ("p", own_predictor), ("l", own_language_model)):
        model: Any = seq2seq.load(tmp_path / name, build=own)
        assert model.model.marked.shape == (3,)
        with pytest.raises(UserError, match=f"--build FILE.py:{own.__name__}"):
            seq2seq.load(tmp_path / name)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda *_: nn.Linear(2, 2), r"gave cannot be trained: TypeError: .*forward"),
        (lambda *_: nn.Module(), "gave a model without weights to train"),
        (lambda config, source, target: build_model(config, source - 5, target - 5), "cannot be trained: IndexError"),
    ],
)
@pytest.mark.parametrize("dry", [False, True])
def test_a_model_that_cannot_be_trained_is_one_line(
    made: Callable[..., nn.Module], told: str, dry: bool, toy_data: Path, tmp_path: Path
) -> None:
    config = toy_config(toy_data, tmp_path / "run", epochs=1)
    with pytest.raises(UserError, match=told):
        run(replace(config, dry_run=dry), build=made)


def test_what_is_no_function_is_refused(toy_data: Path, tmp_path: Path) -> None:
    config: Any = toy_config(toy_data, tmp_path / "run")
    for name in ("build", "objective"):
        with pytest.raises(UserError, match=f"run: {name} must be a function, not int"):
            run(config, **{name: 5})


def test_a_full_disk_is_not_the_models_fault(toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("seq2seq.training.trainer.TrainingLoop.run", full)
    with pytest.raises(OSError, match="No space left"):
        run(toy_config(toy_data, tmp_path / "run", epochs=1), build=build_model)
