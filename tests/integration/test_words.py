"""Words in tables without a header, by the command line alone: training, translation, evaluation."""

import io
import random
import sys
from pathlib import Path

import pytest

import seq2seq
from seq2seq.cli.main import main
from seq2seq.data.units import SourceVocabulary
from seq2seq.deploy.plans import plan_of
from seq2seq.errors import UserError
from tests.inflections import write_inflections

TINY = [
    "--model.embedding-size=24",
    "--model.dropout=0",
    "--model.encoder.hidden-size=16",
    "--model.decoder.hidden-size=24",
    "--batching.max-tokens-per-batch=200",
    "--optimizer.learning-rate=0.02",
    "--optimizer.warmup-steps=10",
    "--trainer.average-decay=0.9",
    "--trainer.device=cpu",
    "--trainer.validate-every-steps=1000",
]


def translated(run: Path, lines: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    capsys.readouterr()
    status = main(["translate", str(run)])
    output = capsys.readouterr()
    return output.out.splitlines() if status == 0 else [output.err]


@pytest.fixture(scope="module")
def inflected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inflections(tmp_path_factory.mktemp("inflection"), 500, 20, longest=3)


COLUMNS = ["--columns", "lemma,form,features", "--source", "lemma", "--features", "features", "--target", "form"]


def test_inflection_from_files_of_a_shared_task(
    inflected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["train", "--data", str(inflected), *COLUMNS, "--output", str(run), "--trainer.epochs=20", *TINY]) == 0
    assert translated(run, "abc\tN;UP\n\nabc\tLOW;N\n", monkeypatch, capsys) == ["ABC", "", "abc"]
    assert len(translated(run, "aé\tN;UP;PST\n", monkeypatch, capsys)) == 1, "a letter and a feature never seen"
    assert translated(run, "ab\tN;UP\nabc\n", monkeypatch, capsys)[0].count("line 2: this model reads lines of") == 1
    (tmp_path / "in.txt").write_text("ab\tN;UP\nabc\n")
    assert main(["translate", str(run), str(tmp_path / "in.txt")]) == 2
    assert f"{tmp_path / 'in.txt'}, line 2: this model reads lines of" in capsys.readouterr().err
    assert main(["evaluate", str(run), "--split", "validation"]) == 0
    assert "exact match" in capsys.readouterr().out
    (tmp_path / "test.tsv").write_text("N;UP\tABC\tabc\nN;UP\tCC\tcc\n")
    assert main(["evaluate", str(run), "--data", str(tmp_path), *COLUMNS[2:], "--columns", "lemma,form,features"]) == 2
    assert "no feature of 'abc' occurs in training; are the columns in another order" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["sum", "concatenate"])
def test_factors_from_training_to_a_saved_model(
    inflected: Path, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, lines = tmp_path / "run", "abc\tN;UP\nabc\tN;LOW\n"
    options = [f"--model.features={form}", "--model.feature-size=4", "--trainer.max-steps=30"]
    assert main(["train", "--data", str(inflected), *COLUMNS, "--output", str(run), *TINY, *options]) == 0
    answers = translated(run, lines, monkeypatch, capsys)
    translator = seq2seq.load(run)
    assert isinstance(translator, seq2seq.Translator) and isinstance(translator.source_vocabulary, SourceVocabulary)
    assert translator.source_vocabulary.factors == 2
    one, other = (translator.search([line], beam_size=2)[0][0] for line in lines.splitlines())
    assert one.score != other.score, "the features are read"
    assert len(translator.align(["abc\tN;UP"], ["ABC"])[0].source) == 4, "a step for each letter, and the end"
    assert translator.score([""], ["ABC"])[0].tokens == 4, "nothing to read has no factors"
    with pytest.raises(UserError, match=r"a run with features.* has no form outside torch"):
        plan_of(translator)
    translator.save_pretrained(tmp_path / "saved")
    assert translated(tmp_path / "saved", lines, monkeypatch, capsys) == answers


def test_pronunciations_are_written_with_spaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    generator, sounds = random.Random(1), {"a": "ɑ̃", "b": "b", "c": "t͡ʃ"}
    words = ["".join(generator.choices("abc", k=generator.randint(1, 4))) for _ in range(400)]
    rows = [f"{word}\t{' '.join(sounds[letter] for letter in word)}\n" for word in words]
    (tmp_path / "train.tsv").write_text("".join(rows[:380]))
    (tmp_path / "validation.tsv").write_text("".join(rows[380:]))
    columns = ["--columns", "word,pron", "--source", "word", "--target", "pron"]
    units = ["--source-units", "characters", "--target-units", "symbols"]
    run = tmp_path / "run"
    given = ["--data", str(tmp_path), *columns, *units, "--output", str(run), "--trainer.epochs", "20", *TINY]
    assert main(["train", *given]) == 0
    assert translated(run, "cab\nb\n", monkeypatch, capsys) == ["t͡ʃ ɑ̃ b", "b"]
