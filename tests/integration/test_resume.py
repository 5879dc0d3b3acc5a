"""A run that is interrupted and resumed follows the uninterrupted one bit for bit (fp32, CPU)."""

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import seq2seq
from seq2seq.cli.main import main
from seq2seq.config import write_config
from seq2seq.data.bucketing import BatchingConfig
from seq2seq.data.corpus import load_split
from seq2seq.data.vocabulary import train_vocabularies
from seq2seq.errors import Interrupted, UserError
from seq2seq.model.seq2seq import Seq2Seq
from seq2seq.runs.checkpoints import CheckpointStore
from seq2seq.runs.vocabularies import save_vocabularies
from seq2seq.tasks import batches
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.evaluate import Validator
from seq2seq.tasks.translation import run
from seq2seq.training.loop import TrainingLoop
from seq2seq.training.optimizer import OptimizerConfig
from seq2seq.training.step import TrainingStep
from seq2seq.training.stopping import STOP_SIGNALS, StopRequest
from tests.comparison import assert_same, final_state
from tests.conftest import toy_config, write_toy_data


@pytest.fixture(scope="module")
def uninterrupted(toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("resume") / "whole"
    run(toy_config(toy_data, output, epochs=3))
    return output


@pytest.mark.parametrize("steps", [[1], [5, 7], [30]])
def test_resumed_equals_uninterrupted(
    toy_data: Path, uninterrupted: Path, tmp_path: Path, steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = toy_config(toy_data, tmp_path / "run", epochs=3)
    for step in steps:
        interrupt_after(step, config, monkeypatch)
    run(config)
    assert_same(final_state(uninterrupted), final_state(tmp_path / "run"))


@pytest.mark.gpu
@pytest.mark.parametrize("cuda_graphs", [False, True])
def test_resumed_equals_uninterrupted_on_a_gpu(
    cuda_graphs: bool, toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps recorded in one of the two runs may run plainly in the other."""

    def config(name: str) -> ExperimentConfig:
        settings = {"device": "cuda", "deterministic": True, "cuda_graphs": cuda_graphs}
        return toy_config(toy_data, tmp_path / name, epochs=3, **settings)

    run(config("whole"))
    for step in (5, 17):
        interrupt_after(step, config("run"), monkeypatch)
    run(config("run"))
    assert_same(final_state(tmp_path / "whole"), final_state(tmp_path / "run"))


def test_a_resumed_stream_equals_an_uninterrupted_one(
    toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def streamed(name: str) -> ExperimentConfig:
        config = toy_config(toy_data, tmp_path / name, epochs=3, max_steps=25, validate_every_steps=10)
        return replace(config, streaming=True, shuffle_buffer_size=150)

    run(streamed("whole"))
    for step in (4, 13):
        interrupt_after(step, streamed("run"), monkeypatch)
    run(streamed("run"))
    assert_same(final_state(tmp_path / "whole"), final_state(tmp_path / "run"))
    other = write_toy_data(tmp_path / "other")
    lines = (other / "train.jsonl").read_text().splitlines(keepends=True)
    (other / "train.jsonl").write_text("".join(lines[::-1]))
    with pytest.raises(UserError, match="other data"):
        run(replace(streamed("run"), data=str(other)))


@pytest.mark.parametrize(
    "objective", [{"r_drop": 1.0}, {"scheduled_sampling": 0.3}, {"guided_alignment": 0.5}, {"focal_gamma": 1.0}]
)
def test_a_resume_with_every_lever_equals_an_uninterrupted_run(
    objective: dict[str, Any], toy_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What docs/quality.md lists, all at once but for the objectives: all that is drawn at random is a function of
    seed, epoch, step and row."""

    def config(name: str) -> ExperimentConfig:
        usual = toy_config(toy_data, tmp_path / name, epochs=2)
        model = replace(
            usual.model,
            **{"state_dropout": 0.2, "embedding_dropout": 0.0, "output_dropout": 0.3, "recurrent_dropout": 0.2},
            **{"zoneout": 0.1},
            **{"source_token_dropout": 0.1, "target_token_dropout": 0.1, "dropped_tokens": "unk", "lexical": True},
            encoder=replace(usual.model.encoder, layers=2, residual=True),
            decoder=replace(usual.model.decoder, layers=3, residual=True, deep_output=True, heads=2),
        )
        vocabulary = replace(usual.vocabulary, model_type="bpe")
        usual = replace(usual, test_split="", batching=BatchingConfig(max_tokens_per_batch=1_500))
        return replace(usual, model=model, vocabulary=vocabulary, bpe_dropout=0.2, **objective)

    run(config("whole"))
    for step in (1, 4):
        interrupt_after(step, config("run"), monkeypatch)
    run(config("run"))
    assert_same(final_state(tmp_path / "whole"), final_state(tmp_path / "run"))


def test_a_stop_during_the_last_validation_is_heard(
    toy_data: Path, uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = toy_config(toy_data, tmp_path / "run", epochs=3)
    validate = Validator.__call__

    def stopped(validator: Validator, model: Seq2Seq) -> dict[str, float]:
        if len(list((tmp_path / "run" / "checkpoints").glob("step-*"))) == 2:  # the last of three
            signal.raise_signal(signal.SIGTERM)
        return validate(validator, model)

    with monkeypatch.context() as patch:
        patch.setattr(Validator, "__call__", stopped)
        with pytest.raises(Interrupted):
            run(config)
    assert not (tmp_path / "run" / "evaluation").exists()
    run(config)
    assert_same(final_state(uninterrupted), final_state(tmp_path / "run"))


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_stop_during_the_resume_is_heard(
    number: int, toy_data: Path, uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = toy_config(toy_data, tmp_path / "run", epochs=3)
    interrupt_after(5, config, monkeypatch)
    load = TrainingStep.load

    def stopped(*arguments: Any) -> None:
        signal.raise_signal(number)
        load(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "load", stopped)
        with pytest.raises(Interrupted, match=signal.Signals(number).name):
            run(config)
    run(config)
    assert_same(final_state(uninterrupted), final_state(tmp_path / "run"))


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_stop_while_data_is_prepared_ends_at_once(
    name: str,
    toy_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_config(tmp_path / "config.yaml", toy_config(toy_data, tmp_path / "run", epochs=3))
    words = ["train", "--config", str(tmp_path / "config.yaml")]
    with monkeypatch.context() as patch:
        patch.setattr(batches, "tokenise", lambda *_: signal.raise_signal(signal.Signals[name]))
        assert main(words) == 128 + signal.Signals[name]
    told = f"seq2seq: stopped by {name}; the state is saved, the same command continues from there\n"
    assert capsys.readouterr().err.endswith(told)
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert main([*words, "--trainer.max-steps", "1"]) == 0


def test_training_under_nohup_goes_on_when_the_terminal_closes() -> None:
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop = StopRequest()
        with stop.listening():
            signal.raise_signal(signal.SIGHUP)
        assert stop.number == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, former)


def test_another_number_of_processes_goes_on_and_says_so(
    toy_data: Path,
    uninterrupted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As if two had trained so far: twice as many batches are done, so that fewer steps are left."""
    config = toy_config(toy_data, tmp_path / "run", epochs=3)
    interrupt_after(3, config, monkeypatch)
    store, whole = (CheckpointStore(folder / "checkpoints") for folder in (tmp_path / "run", uninterrupted))
    loaded, ended = store.load_latest(), whole.load_latest()
    assert loaded is not None and ended is not None
    store.save(3, loaded[0], {**loaded[1], "world_size": 2})
    run(config)
    assert "trained by 2 processes, goes on with 1" in caplog.text
    loaded = store.load_latest()
    assert loaded is not None
    assert loaded[1]["step"] == ended[1]["step"] - 3
    assert loaded[1]["progress"]["epoch"] == 3


def interrupt_after(step: int, config: ExperimentConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trains until a step, then behaves as SIGTERM does."""
    after_step = TrainingLoop._after_step

    def stop(loop: TrainingLoop) -> None:
        if loop.progress.step == step:
            signal.raise_signal(signal.SIGTERM)
        after_step(loop)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingLoop, "_after_step", stop)
        with pytest.raises(Interrupted):
            run(config)


def test_sigterm_saves_and_the_same_command_goes_on(toy_data: Path, uninterrupted: Path, tmp_path: Path) -> None:
    config = toy_config(toy_data, tmp_path / "run", epochs=3)
    write_config(tmp_path / "config.yaml", config)
    command = [sys.executable, "-m", "seq2seq", "train", "--config", str(tmp_path / "config.yaml")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch 1.00"):  # the first validation: training is under way
            process.terminate()
            break
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM, errors
    assert "seq2seq: stopped by SIGTERM; the state is saved, the same command continues from there\n" in errors
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stderr
    assert_same(final_state(uninterrupted), final_state(tmp_path / "run"))


def test_other_settings_are_refused_with_the_difference(toy_data: Path, uninterrupted: Path) -> None:
    config = toy_config(toy_data, uninterrupted, epochs=3)
    with pytest.raises(UserError, match=r"label_smoothing was 0\.1, is 0\.2"):
        run(replace(config, label_smoothing=0.2))
    longer = replace(config, trainer=replace(config.trainer, epochs=4))
    with pytest.raises(
        UserError, match=rf"epochs was 3, is 4.*further, add --start-from {uninterrupted} to another --output"
    ):
        run(longer)


def test_a_run_may_be_prolonged_where_its_learning_rate_does_not_know_the_end(toy_data: Path, tmp_path: Path) -> None:
    def config(output: str, epochs: int) -> ExperimentConfig:
        made = toy_config(toy_data, tmp_path / output, epochs=epochs)
        return replace(made, optimizer=replace(made.optimizer, schedule="inverse_sqrt"))

    run(config("whole", 2))
    for epochs in (1, 2):
        run(config("prolonged", epochs))
    assert_same(final_state(tmp_path / "whole"), final_state(tmp_path / "prolonged"))
    falling = toy_config(toy_data, tmp_path / "cosine", epochs=1)
    run(falling)
    with pytest.raises(UserError, match=r"trainer\.epochs was 1, is 2"):
        run(replace(falling, trainer=replace(falling.trainer, epochs=2)))


@pytest.mark.parametrize("joint", [True, False])
def test_what_a_failed_attempt_left_is_not_used(toy_data: Path, tmp_path: Path, joint: bool) -> None:
    """Vocabularies are stored before training begins; another attempt may ask for others."""
    config = toy_config(toy_data, tmp_path / "run", max_steps=1)
    left = replace(config.vocabulary, size=35, joint=not joint)
    training = load_split(config, "train")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock").write_text("4711\n")
    save_vocabularies(tmp_path / "run", *train_vocabularies(training, left))
    model = replace(config.model, tie="three_way" if joint else "two_way")
    asked = replace(config.vocabulary, joint=joint)
    translator, _ = run(replace(config, model=model, vocabulary=asked))
    for found, wanted in zip(
        (translator.source_vocabulary, translator.target_vocabulary),
        train_vocabularies(training, asked, 1),
        strict=True,
    ):
        assert found.fingerprint() == wanted.fingerprint()


def test_a_run_may_start_from_another_ones_model(toy_data: Path, toy_run: Path, tmp_path: Path) -> None:
    """It goes on from there with other data, in the other run's vocabulary, and no longer needs it once begun."""
    shutil.copytree(toy_run, tmp_path / "first")
    more = write_toy_data(tmp_path / "more", seed=2)
    config = replace(
        toy_config(more, tmp_path / "second", max_steps=1),
        start_from=str(tmp_path / "first"),
        optimizer=OptimizerConfig(learning_rate=1e-6),
    )
    translator, evaluation = run(config)
    first = seq2seq.load(toy_run)
    sources = [row["source"] for row in load_split(config, "test")]
    assert evaluation is not None
    assert evaluation.hypotheses == first.translate(sources)  # one step of 1e-6 changes no output
    assert translator.source_vocabulary.fingerprint() == first.source_vocabulary.fingerprint()
    shutil.rmtree(tmp_path / "first")
    run(replace(config, trainer=replace(config.trainer, max_steps=2)))
    third = replace(config, output=str(tmp_path / "third"), start_from=str(toy_run))
    larger = replace(config.model, decoder=replace(config.model.decoder, hidden_size=32))
    with pytest.raises(UserError, match=r"another model than asked for: model\.decoder\.hidden_size was 24, is 32"):
        run(replace(third, model=larger))
    with pytest.raises(UserError, match=r"another model than asked for: model\.zoneout was 0\.0, is 0\.1"):
        run(replace(third, model=replace(config.model, zoneout=0.1)))  # which the model in use has, too
    with pytest.raises(UserError, match=r"nowhere is not a run directory"):
        run(replace(third, start_from=str(tmp_path / "nowhere")))
    run(third)  # what was refused has left nothing in the way


def test_a_finished_run_is_only_evaluated_again(toy_data: Path, uninterrupted: Path) -> None:
    before = final_state(uninterrupted)
    run(toy_config(toy_data, uninterrupted, epochs=3))
    assert_same(before, final_state(uninterrupted))


def test_a_run_begun_by_format_1_goes_on(
    toy_data: Path, uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its config.json names no format and no kind."""
    config = toy_config(toy_data, tmp_path / "run", epochs=3)
    interrupt_after(20, config, monkeypatch)
    path = tmp_path / "run" / "config.json"
    content = json.loads(path.read_text())
    assert (content.pop("format"), content.pop("kind")) == (2, "translator")
    path.write_text(json.dumps(content))
    assert type(seq2seq.load(tmp_path / "run")) is seq2seq.Translator
    run(config)
    assert json.loads(path.read_text())["kind"] == "translator"
    assert_same(final_state(uninterrupted), final_state(tmp_path / "run"))
