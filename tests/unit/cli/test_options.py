"""Training options from words and files: spellings, precedence, messages, and what start_from brings along."""

import json
from pathlib import Path

import pytest

from seq2seq.cli.options import parse_task, parse_training, task_parser, training_parser
from seq2seq.config import to_dict, write_run_config
from seq2seq.errors import UserError
from seq2seq.model.language_model import LanguageModelConfig
from seq2seq.model.seq2seq import ModelConfig
from seq2seq.tasks.configs import ExperimentConfig, GeneratorTask, LanguageModelTask, PredictorTask, TaskConfig
from tests.conftest import toy_config
from tests.tiny_runs import generator_task, language_model_task, predictor_task

GIVEN = ["--data", "DATA", "--source", "en", "--target", "de"]


def parsed(*words: str, defaults: ExperimentConfig | None = None) -> ExperimentConfig:
    return parse_training(training_parser("train", "", defaults), [*GIVEN, *words])[0]


def test_both_spellings_mean_the_same() -> None:
    for words in (
        ["--model.encoder.hidden_size", "32", "--start_from="],
        ["--model.encoder.hidden-size=32", "--start-from", ""],
    ):
        assert parsed(*words).model.encoder.hidden_size == 32


@pytest.mark.parametrize(
    ("words", "quick"),
    [
        (["--quick"], True),
        (["--quick", "true"], True),
        (["--quick=true"], True),
        (["--quick", "false"], False),
        (["--quick=false"], False),
        (["--quick", "--seed-text"], True),
    ],
)
def test_every_boolean_is_a_switch(words: list[str], quick: bool) -> None:
    defaults = LanguageModelTask(output="x")
    words = [word for word in words if word != "--seed-text"] + ["--trainer.deterministic", "--trainer.epochs", "3"]
    config = parse_task(task_parser("p", "", defaults), words, LanguageModelTask)
    assert (config.quick, config.trainer.deterministic, config.trainer.epochs) == (quick, True, 3)
    assert parse_training(training_parser("train", ""), [*GIVEN, "--dry-run"])[0].dry_run is True
    assert parse_training(training_parser("train", ""), [*GIVEN, "--dry_run", "false"])[0].dry_run is False


def test_the_help_shows_dashes() -> None:
    text = training_parser("train", "").format_help()
    assert "--model.encoder.hidden-size HIDDEN_SIZE" in text
    assert "--start-from" in text
    assert "--print-config" in text
    assert "--dry-run [true|false]" in text
    assert not [word for word in text.split() if word.lstrip("[").startswith("--") and "_" in word.split()[0]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trainer.epochs", "many"], "option 'trainer.epochs' must be an integer, got \"many\""),
        (["--trainer.log-every-steps=2.5"], "option 'trainer.log-every-steps' must be an integer, got 2.5"),
        (["--optimizer.name", "foo"], 'option \'optimizer.name\' must be one of "adam", "adamw", "rmsprop", "sgd", '),
        (["--search.length_penalty", "inf"], "option 'search.length-penalty' must be a number, got \"inf\""),
        (["--search.length_penalty", ".inf"], "search.length_penalty must be a number from 0 to 100, not inf"),
        (["--quick", "maybe"], "option 'quick' must be true or false, got \"maybe\""),
        (["--trainer.seed", "9" * 23], "trainer.seed must be a whole number from 0 to 9,223,372,036,854,775,807, not "),
        (["--trainer.seed", "9" * 5_000], "option 'trainer.seed' must be an integer, got \"999"),
        (["--model.dropuot", "1"], "unknown option --model.dropuot; did you mean --model.dropout?"),
        (["--trainer.max_stesp", "1"], "unknown option --trainer.max-stesp; did you mean --trainer.max-steps?"),
    ],
)
def test_mistakes_are_named_in_our_own_words(words: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        parsed(*words)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_gives_way_to_the_command_line_wherever_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"format": 1, "trainer": {"epochs": 3, "seed": 5}}))
    for words in (["--config", str(file), "--trainer.epochs", "9"], ["--trainer.epochs", "9", f"--config={file}"]):
        assert (parsed(*words).trainer.epochs, parsed(*words).trainer.seed) == (9, 5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"trainer": {"epochs": "many"}}, "option 'trainer.epochs' must be an integer, got \"many\""),
        ({"trainer": {"epcohs": 3}}, "unknown option 'trainer.epcohs'; did you mean 'epochs'?"),
        (
            {"format": 3, "novelty": 1},
            "written by a newer version of seq2seq (format 3; this one reads up to 2): upgrade",
        ),
        ({"format": "x"}, "option 'format' must be a whole number from 1 on"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_the_file(content: object, message: str, tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text(json.dumps(content))
    with pytest.raises(UserError) as error:
        parsed("--config", str(file))
    assert str(error.value).startswith(f"{file}: {message}")


def write_run(directory: Path, config: TaskConfig) -> str:
    directory.mkdir()
    write_run_config(directory / "config.json", to_dict(config), config.kind)
    return str(directory)


def test_start_from_brings_the_model_and_its_vocabulary(tmp_path: Path) -> None:
    """The recipe's sizes give way to the run's, those given on the command line or in a file do not."""
    run = toy_config(tmp_path / "data", tmp_path / "run")
    start = write_run(tmp_path / "run", run)
    recipe = ExperimentConfig("d", "a", "b", model=toy_config(tmp_path, tmp_path).model)
    for defaults in (None, recipe):
        config = parsed("--start-from", start, defaults=defaults)
        assert (config.model, config.vocabulary) == (run.model, run.vocabulary)
    file = tmp_path / "c.yaml"
    file.write_text(f"start_from: {start}\nmodel:\n  encoder:\n    hidden_size: 7\n")
    config = parsed("--config", str(file), "--model.dropout", "0.5")
    assert (config.model.encoder.hidden_size, config.model.dropout) == (7, 0.5)
    assert config.model.decoder == run.model.decoder


@pytest.mark.parametrize("task", [generator_task, predictor_task, language_model_task])
def test_start_from_brings_the_model_in_every_task(
    task: type[GeneratorTask] | type[PredictorTask] | type[LanguageModelTask], tmp_path: Path
) -> None:
    run = task(tmp_path / "run")  # type: ignore[arg-type]
    start = write_run(tmp_path / "run", run)
    parser = task_parser("p", "", type(run)(output="new"))
    assert parse_task(parser, ["--start_from", start], type(run)).model == run.model


def test_another_vocabulary_beside_start_from_is_refused(tmp_path: Path) -> None:
    start = write_run(tmp_path / "run", toy_config(tmp_path / "data", tmp_path / "run"))
    file = tmp_path / "c.yaml"
    file.write_text("vocabulary:\n  size: 99\n")
    for words in (["--vocabulary.size", "40"], ["--config", str(file)]):
        with pytest.raises(
            UserError, match=r"--vocabulary\.size has no effect beside --start-from, which takes .*/run"
        ):
            parsed("--start-from", start, *words)
    parsed("--start-from", start, "--config", f"{start}/config.json")  # the same vocabulary


@pytest.mark.parametrize(
    ("run", "other"),
    [
        (
            ExperimentConfig("d", "a", "b", source_units="characters", model=ModelConfig(tie="two_way")),
            "--source-units",
        ),
        (LanguageModelTask(units="subwords"), "--units"),
    ],
)
def test_units_are_those_of_the_start(run: TaskConfig, other: str, tmp_path: Path) -> None:
    start, kind = write_run(tmp_path / "run", run), type(run)
    words = ["--data", "d", "--source", "a", "--target", "b"] if kind is ExperimentConfig else []
    defaults = kind("d", "a", "b") if kind is ExperimentConfig else kind()
    name, parser = other[2:].replace("-", "_"), task_parser("p", "", defaults)
    taken = parse_task(parser, ["--start-from", start, *words], kind)
    assert getattr(taken, name) == getattr(run, name)
    with pytest.raises(UserError, match=f"{other} has no effect beside --start-from, which takes the vocabulary of"):
        parse_task(parser, ["--start-from", start, *words, other, "graphemes" if words else "words"], kind)
    parse_task(parser, ["--start-from", start, *words, other, getattr(run, name)], kind)


def test_a_run_of_another_kind_is_no_start(tmp_path: Path) -> None:
    start = write_run(tmp_path / "run", LanguageModelTask(model=LanguageModelConfig()))
    with pytest.raises(UserError, match=r"run: holds a language_model, not a translator; training can only start from"):
        parsed("--start-from", start)


def test_the_configuration_of_another_kind_of_run_is_no_list_of_options(tmp_path: Path) -> None:
    start = write_run(tmp_path / "run", LanguageModelTask(model=LanguageModelConfig()))
    with pytest.raises(UserError, match=r"run/config\.json: configures a language_model, not a translator; give"):
        parsed("--config", f"{start}/config.json")
    words = ["--config", f"{start}/config.json"]
    with pytest.raises(UserError, match=r"run/config\.json: configures a language_model, not a predictor; give"):
        parse_task(task_parser("p", "", PredictorTask()), words, PredictorTask)


def test_a_run_that_has_begun_needs_its_start_no_more(tmp_path: Path) -> None:
    config = toy_config(tmp_path / "data", tmp_path / "run")
    output = write_run(tmp_path / "run", config)
    resumed = parsed("--start-from", str(tmp_path / "gone"), "--output", output)
    assert resumed.model == config.model
    with pytest.raises(UserError, match="gone is not a run directory"):
        parsed("--start-from", str(tmp_path / "gone"), "--output", str(tmp_path / "new"))


def test_one_decoder_layer_alone_is_told_what_else_to_choose() -> None:
    with pytest.raises(UserError, match=r"set model\.decoder\.coupling to input_feeding or none"):
        parsed("--model.decoder.layers", "1")
