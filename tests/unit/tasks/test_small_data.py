"""Options that the data chooses: which, for what data, and what a user's own words do to them."""

from pathlib import Path

import pytest

import seq2seq
from seq2seq.cli.options import parse_training, training_parser
from seq2seq.config import to_dict, write_run_config
from seq2seq.tasks.configs import ExperimentConfig

WORDS = "abandon\ta b ɑ̃ d ɔ̃\nabby\ta b i\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.tsv").write_text(WORDS * 20)
    return folder


def parsed(data: Path, *words: str, columns: bool = True) -> ExperimentConfig:
    given = ["--data", str(data), "--source", "word", "--target", "pron", *words]
    given += ["--columns", "word,pron"] if columns else []
    return parse_training(training_parser("train", ""), given, by_data=True)[0]


def test_words_choose_units_sizes_and_length(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    config, usual = parsed(data), ExperimentConfig("x", "a", "b")
    assert (config.source_units, config.target_units) == ("characters", "symbols")
    assert not config.shares_vocabulary and config.model.tie == "two_way"
    assert config.trainer.best_metric == "accuracy" and config.trainer.patience > 0
    assert config.trainer.epochs > usual.trainer.epochs
    assert config.model.decoder.hidden_size < usual.model.decoder.hidden_size
    assert "chosen by the data, as not named: --source-units characters" in caplog.text


@pytest.mark.parametrize(
    ("pairs", "epochs", "every", "dropout"),
    [(100, 400, 71, 0.4), (1_000, 101, 180, 0.4), (3_600, 28, 180, 0.4), (10_000, 14, 250, 0.3)],
)
def test_the_sizes_that_the_documentation_promises(
    pairs: int, epochs: int, every: int, dropout: float, tmp_path: Path
) -> None:
    (tmp_path / "train.tsv").write_text("abby\ta b i\n" * pairs)
    config = parsed(tmp_path)
    assert (config.trainer.epochs, config.trainer.validate_every_steps) == (epochs, every)
    assert (config.model.decoder.hidden_size, config.model.dropout) == (320, dropout)
    assert config.batching.max_tokens_per_batch == 400
    (tmp_path / "train.tsv").write_text("abby\ta b i\tN;PL\n" * pairs)
    config = parsed(tmp_path, "--columns", "word,pron,tags", "--features", "tags", columns=False)
    assert (config.trainer.epochs, config.batching.max_tokens_per_batch) == (epochs, 800)


def test_hangul_that_is_only_read_has_a_vocabulary_of_its_own(tmp_path: Path) -> None:
    characters = ["--source-units", "characters", "--target-units", "characters"]
    for pair, shared in (("\ud55c\uad6d\than-gug", False), ("han-gug\t\ud55c\uad6d", True), ("\ud55c\t\uad6d", True)):
        (tmp_path / "train.tsv").write_text(f"{pair}\n" * 9)
        assert parsed(tmp_path, *characters).shares_vocabulary == shared


def test_what_is_named_stays(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "options.yaml"
    file.write_text("trainer:\n  epochs: 20\n")
    config = parsed(data, "--config", str(file), "--model.dropout", "0.2", "--target-units", "characters")
    assert (config.trainer.epochs, config.model.dropout) == (20, 0.2), "the usual defaults, but named"
    assert config.shares_vocabulary and config.model.tie == "three_way"
    assert config.trainer.patience == parsed(data).trainer.patience


def test_of_a_stream_the_first_rows_choose_the_units(data: Path, tmp_path: Path) -> None:
    config, usual = parsed(data, "--streaming", "--trainer.max-steps", "9"), ExperimentConfig("x", "a", "b")
    assert (config.source_units, config.target_units) == ("characters", "symbols")
    assert config.model == seq2seq.ModelConfig(tie="two_way"), "how many pairs there are is not known"
    assert config.trainer.best_metric == usual.trainer.best_metric
    (tmp_path / "train.tsv").write_text("Two men are playing chess.\tZwei Männer spielen Schach.\n" * 9)
    assert parsed(tmp_path, "--streaming", "--trainer.max-steps", "9").source_units == "subwords"
    unnamed = parsed(data, "--streaming", "--trainer.max-steps", "9", columns=False)
    assert unnamed.source_units == "auto"


def test_sentences_keep_the_usual_options(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text(
        "Two men are playing chess outside.\tZwei Männer spielen im Freien Schach.\n" * 9
    )
    assert parsed(tmp_path).model == seq2seq.ModelConfig()
    spelled = parsed(tmp_path, "--target-units", "symbols")
    assert spelled.model == seq2seq.ModelConfig(tie="two_way"), "two vocabularies cannot be tied"
    characters = ["--source-units", "characters", "--target-units", "characters"]
    assert parsed(tmp_path, *characters).model == seq2seq.ModelConfig(), "sentences, letter by letter"
    (tmp_path / "train.tsv").write_text("word\tpron\nabby\ta b i\n")
    assert parsed(tmp_path, columns=False).model == seq2seq.ModelConfig(), "nothing says that these are words"
    assert parsed(tmp_path, "--vocabulary.model-type", "char", columns=False).trainer.best_metric == "accuracy"


def test_a_given_vocabulary_keeps_its_units(data: Path) -> None:
    config = parsed(data, "--vocabulary.source-model", "any.spm.model")
    assert (config.source_units, config.target_units, config.model) == ("auto", "auto", seq2seq.ModelConfig())
    assert seq2seq.fit_to_data(config) == config


def test_only_what_changes_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "train.tsv").write_text(
        "word\tpron\n" + "Two men are playing chess outside.\tZwei Männer spielen Schach.\n" * 9
    )
    assert parsed(tmp_path, "--vocabulary.model-type", "char", columns=False).model == seq2seq.ModelConfig()
    assert "chosen by the data" not in caplog.text


def test_a_run_that_was_begun_keeps_its_own(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    before = parsed(data, "--output", str(run), "--model.dropout", "0.25", "--trainer.epochs", "7")
    run.mkdir()
    write_run_config(run / "config.json", to_dict(before), "translator")
    (data / "train.tsv").write_text(WORDS * 2000)
    after = parsed(data, "--output", str(run), "--model.dropout", "0.25")
    assert after == before


def test_in_python_options_of_their_usual_values_are_chosen(data: Path) -> None:
    given = seq2seq.ExperimentConfig(
        str(data), "word", "pron", columns="word,pron", trainer=seq2seq.TrainerConfig(epochs=3)
    )
    config, named = seq2seq.fit_to_data(given), parsed(data, "--trainer.epochs", "3")
    assert config == named
