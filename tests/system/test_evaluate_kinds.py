"""`seq2seq evaluate` of runs that are no translators: figures beside those worked out by hand from what `predict`
answers, files, and faults of the data, each one line that names file and row."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

import seq2seq
from seq2seq.cli.main import main
from seq2seq.data.readers import ReaderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.frontends import FrontEndConfig
from seq2seq.model.sequence_model import PredictorConfig
from seq2seq.runs.layout import LABELS_FILE, SOURCE_FILE
from seq2seq.runs.weights import load_tensors, save_tensors, stored_shapes
from tests.conftest import needs_int8
from tests.system.test_predict import (
    BANDS,
    FIXTURES,
    RATE,
    VOCABULARY,
    store_generator,
    store_predictor,
)
from tests.tiny_runs import NAMES, RHYME, frames_of

DIGITS = [[0], [1, 2], [3, 3, 0], [2, 0, 1]]
SPOKEN = [" ".join(NAMES[digit] for digit in digits) for digits in DIGITS]


def evaluate(capsys: pytest.CaptureFixture[str], *words: object, status: int = 0) -> str:
    """What is printed: the figures, or with another status the complaint."""
    capsys.readouterr()
    assert main(["evaluate", *map(str, words)]) == status
    printed = capsys.readouterr()
    return printed.out if status == 0 else printed.err


def figures(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    return json.loads(evaluate(capsys, *words, "--json"))  # type: ignore[no-any-return]


def predict(capsys: pytest.CaptureFixture[str], *words: object) -> list[str]:
    """The answers of `predict`."""
    capsys.readouterr()
    assert main(["predict", *map(str, words)]) == 0
    return [line.split("\t", 1)[1] for line in capsys.readouterr().out.split("\n")[:-1]]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Path]:
    """Copies of the stored runs, by kind."""
    for kind in ("generator", "predictor", "characters"):
        shutil.copytree(FIXTURES / f"{kind}-0.1.0-format2", tmp_path / kind)
    return {kind: tmp_path / kind for kind in ("generator", "predictor", "characters")}


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """A folder of arrays for the generator, with two texts expected of one of them; one expected word of 9 is wrong."""
    folder = tmp_path / "digits"
    folder.mkdir()
    for number, each in enumerate(DIGITS):
        np.save(folder / f"{number}.npy", frames_of(each))
    wanted = [[SPOKEN[0]], ["two four"], ["one", SPOKEN[2]], [SPOKEN[3]]]
    write_rows(
        folder / "test.jsonl",
        [{"source": f"{number}.npy", "target": texts, "alone": texts[-1]} for number, texts in enumerate(wanted)],
    )
    return folder


def test_texts_are_scored_as_translations_are(
    runs: dict[str, Path], digits: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    answers = predict(capsys, runs["generator"], *(digits / f"{number}.npy" for number in range(4)))
    assert answers == SPOKEN
    found = figures(capsys, runs["generator"], "--data", digits)
    assert found["sentences"] == 4
    assert found["exact_match"] == 75
    assert found["word_error_rate"] == pytest.approx(100 / 9)
    # "two three" for "two four": three -> four has 5 edits (four letters differ, one is left out), of 3 + 8 + 13 + 13
    assert found["character_error_rate"] == pytest.approx(100 * 5 / 37)
    folder = runs["generator"] / "evaluation"
    assert (folder / "test-data=digits.hypotheses.txt").read_text().splitlines() == answers
    assert json.loads((folder / "test-data=digits.metrics.json").read_text()) == found
    names = {path.name for path in folder.iterdir()}
    kinds = ("hypotheses.txt", "references.1.txt", "references.2.txt", "metrics.json", "settings.json")
    assert names == {f"test-data=digits.{kind}" for kind in kinds}
    bleu, chrf, *_ = evaluate(capsys, runs["generator"], "--data", digits, "--target", "alone").splitlines()
    assert bleu.startswith("BLEU ")
    assert chrf.startswith("chrF2 ")
    assert (folder / "test-data=digits-target=alone.references.txt").read_text().splitlines()[1] == "two four"


@needs_int8
def test_precision_is_part_of_the_names(
    runs: dict[str, Path], digits: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = [runs["generator"], "--data", digits, "--output", tmp_path]
    plain = figures(capsys, *words)
    assert figures(capsys, *words, "--precision", "int8", "--beam-size", 1)["exact_match"] == plain["exact_match"]
    names = {path.name.removesuffix(".metrics.json") for path in tmp_path.glob("*.metrics.json")}
    assert names == {"test-data=digits", "test-data=digits-beam_size=1-precision=int8"}


def test_settings_and_partners_are_part_of_the_names(
    runs: dict[str, Path], digits: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run, out = runs["generator"], tmp_path / "out"
    words = [run, "--data", digits, "--output", out]
    plain = figures(capsys, *words)
    assert figures(capsys, *words, "--beam-size", 1)["exact_match"] == plain["exact_match"]
    assert figures(capsys, *words, "--ensemble", run) == plain  # the mean of two equal models
    assert {path.name.removesuffix(".metrics.json") for path in out.glob("*.metrics.json")} == {
        "test-data=digits",
        "test-data=digits-beam_size=1",
        "test-data=digits-ensemble=generator",
    }
    told = evaluate(capsys, run, "--data", digits, "--ensemble", run, status=2)
    assert "name a folder for them with --output" in told
    told = evaluate(capsys, *words, "--ensemble", runs["predictor"], status=2)
    assert "holds a predictor, not a generator" in told


def test_results_of_others_are_not_replaced(
    runs: dict[str, Path], digits: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "test-data=digits.references.txt").write_text("mine\n")
    words = [runs["generator"], "--data", digits, "--output", out]
    assert "evaluate has not written that file as it is" in evaluate(capsys, *words, status=2)
    assert [path.read_text() for path in out.iterdir()] == ["mine\n"]
    (out / "test-data=digits.references.txt").unlink()
    evaluate(capsys, *words)
    evaluate(capsys, *words)
    weights = runs["generator"] / "model.safetensors"
    _, metadata = stored_shapes(weights)
    metadata.pop("sha256")
    save_tensors({name: 1.01 * each for name, each in load_tensors(weights).items()}, weights, metadata)
    assert "belongs to the evaluation of another model" in evaluate(capsys, *words, status=2)


def store_classifier(run: Path) -> Path:
    config = PredictorConfig(
        FrontEndConfig("tokens", len(VOCABULARY)), 8, 0.0, EncoderConfig(6), answer="mean", outputs=3
    )
    store_predictor(run, config, ReaderConfig("subwords"))
    VOCABULARY.save(run / SOURCE_FILE)
    (run / LABELS_FILE).write_text(json.dumps(["pleased", "displeased", "not sure"]))
    return run


def test_classes_are_counted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Expected of 6 texts: what is answered, but for the last one; F1 of its two classes from the definition."""
    run = store_classifier(tmp_path / "run")
    texts = ["good indeed", "bad bad", "one two", "three", "four good", "bad one two three"]
    (tmp_path / "lines").write_text("\n".join(texts))
    answers = predict(capsys, run, tmp_path / "lines")
    other = next(name for name in ("pleased", "displeased", "not sure") if name != answers[-1])
    expected = [*answers[:-1], other]
    rows = "".join(f"{text}\t{name}\n" for text, name in zip(texts, expected, strict=True))
    (tmp_path / "test.tsv").write_text(f"text\tlabel\n{rows}")
    words = [run, "--data", tmp_path / "test.tsv", "--source", "text", "--target", "label"]
    found = figures(capsys, *words)
    assert found["sequences"] == 6
    assert found["accuracy"] == pytest.approx(100 * 5 / 6)
    scores = []
    for name in {*answers, *expected}:
        right = sum(one == two == name for one, two in zip(answers, expected, strict=True))
        precision, recall = (right / each.count(name) if name in each else 0.0 for each in (answers, expected))
        scores.append(2 * precision * recall / (precision + recall) if right else 0.0)
    assert found["macro_f1"] == pytest.approx(100 * sum(scores) / len(scores))
    assert evaluate(capsys, *words).splitlines()[0] == "accuracy 83.33 %"
    name = "test-data=test.tsv-source=text-target=label"
    assert (run / "evaluation" / f"{name}.hypotheses.txt").read_text().splitlines() == answers
    assert (run / "evaluation" / f"{name}.references.txt").read_text().splitlines() == expected


def test_classes_of_a_saved_data_set_go_by_their_names(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

    run = store_classifier(tmp_path / "run")
    texts = ["good indeed", "bad bad", "one two"]
    (tmp_path / "lines").write_text("\n".join(texts))
    names = ["not sure", "displeased", "pleased"]  # in another order than the run's
    ids = [names.index(answer) for answer in predict(capsys, run, tmp_path / "lines")]
    features = Features({"source": Value("string"), "target": ClassLabel(names=names)})
    data = Dataset.from_dict({"source": texts, "target": ids}, features)
    DatasetDict({"test": data}).save_to_disk(tmp_path / "saved")
    data.to_parquet(tmp_path / "test.parquet")
    for place in ("saved", "test.parquet"):
        assert figures(capsys, run, "--data", tmp_path / place)["accuracy"] == 100
    assert figures(capsys, run, "--data", tmp_path / "saved", "--split", "test[:2]")["sequences"] == 2


def test_labels_are_counted_per_step_and_per_sequence(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (runs["predictor"] / LABELS_FILE).write_text('["below", "above"]')
    numbers = [[0.9, 0.8, 0.7, 0.1], [0.2, 0.1]]
    for place, each in enumerate(numbers):
        (tmp_path / f"{place}.csv").write_text("".join(f"{number}\n" for number in each))
    answers = predict(capsys, runs["predictor"], tmp_path / "0.csv", tmp_path / "1.csv")
    first = answers[0].split()
    wrong = ["above" if first[0] == "below" else "below", *first[1:]]
    rows = [{"source": "0.csv", "target": " ".join(wrong)}, {"source": "1.csv", "target": answers[1].split()}]
    write_rows(tmp_path / "validation.jsonl", rows)
    found = figures(capsys, runs["predictor"], "--data", tmp_path, "--split", "validation")
    assert found == {
        "sequences": 2,
        "steps": 6,
        "accuracy_per_step": pytest.approx(100 * 5 / 6),
        "accuracy_per_sequence": 50,
    }


@pytest.mark.parametrize("answer", ["steps", "last", "rollout"])
def test_values_are_compared_in_the_units_of_the_data(
    answer: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = PredictorConfig(
        FrontEndConfig("features", 2),
        8,
        0.0,
        EncoderConfig(6),
        answer=answer,  # type: ignore[arg-type]
        outputs=3,
        rollout_steps=4,
    )
    predictor = store_predictor(tmp_path / "run", config, ReaderConfig(scale=100.0, offset=50.0))
    arrays = [np.random.default_rng(seed).random((5, 2)).astype(np.float32) for seed in range(3)]
    for number, array in enumerate(arrays):
        np.save(tmp_path / f"{number}.npy", array)
    answers = [values * 100 + 50 for values in predictor.predict(arrays)]
    errors = [3.0, -4.0, 5.0]  # of all values of an answer
    expected = [values + error for values, error in zip(answers, errors, strict=True)]
    np.save(tmp_path / "a.npy", expected[0])
    np.savetxt(tmp_path / "b.csv", np.atleast_2d(expected[1]), delimiter=",")
    targets = ["a.npy", "b.csv", expected[2].tolist()]
    write_rows(tmp_path / "test.jsonl", [{"source": f"{n}.npy", "target": each} for n, each in enumerate(targets)])
    found = figures(capsys, tmp_path / "run", "--data", tmp_path)
    assert found["values"] == 3 * answers[0].size
    assert found["mean_absolute_error"] == pytest.approx(4, abs=1e-4)
    assert found["root_mean_squared_error"] == pytest.approx(math.sqrt(50 / 3), abs=1e-4)
    lines = (tmp_path / "run" / "evaluation" / f"test-data={tmp_path.name}.hypotheses.txt").read_text().splitlines()
    assert lines == predict(capsys, tmp_path / "run", *(tmp_path / f"{number}.npy" for number in range(3)))


def test_a_single_value_stands_in_a_cell_of_a_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = PredictorConfig(FrontEndConfig("features", 1), 8, 0.0, EncoderConfig(6), answer="last", outputs=1)
    predictor = store_predictor(tmp_path / "run", config, ReaderConfig())
    (tmp_path / "a.csv").write_text("0.5\n0.25\n")
    value = float(predictor.predict([np.array([[0.5], [0.25]], np.float32)])[0][0])
    (tmp_path / "test.csv").write_text(f"source,target\na.csv,{value + 2}\n")
    found = figures(capsys, tmp_path / "run", "--data", tmp_path / "test.csv")
    assert found["mean_absolute_error"] == pytest.approx(2, abs=1e-5)


def test_a_language_model_is_measured_in_bits_and_perplexity(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = runs["characters"]
    model = seq2seq.load(run, kind="language_model")
    text = RHYME[:50]
    (tmp_path / "held.txt").write_text(text)
    found = figures(capsys, run, "--data", tmp_path / "held.txt")
    bits = model.bits_per_character(text)
    assert found == {
        "texts": 1,
        "characters": 50,
        "bits_per_character": pytest.approx(bits, rel=1e-5),
        "perplexity_per_character": pytest.approx(2**bits, rel=1e-5),
    }
    (tmp_path / "test.txt").write_text(text)  # no line feed is added to it
    assert figures(capsys, run, "--data", tmp_path) == found
    lines = ["abc", "hgfedcba"]
    write_rows(tmp_path / "validation.jsonl", [{"target": line} for line in lines])
    found = figures(capsys, run, "--data", tmp_path, "--split", "validation", "--source", "target")
    total = sum(model.bits_per_character(line) * len(line) for line in lines)
    assert found["bits_per_character"] == pytest.approx(total / 11, rel=1e-5)
    assert evaluate(capsys, run, "--data", tmp_path).startswith("bits per character 0.00")
    told = evaluate(capsys, run, "--data", tmp_path / "held.txt", "--split", "test[:9]", status=2)
    assert "a text file is taken whole" in told
    (tmp_path / "held.txt").write_text("abΩc")
    evaluate(capsys, run, "--data", tmp_path / "held.txt")
    assert "not among the characters that the model knows: 'Ω'" in caplog.text


def test_sounds_and_pictures_are_read_beside_the_data(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    reader = ReaderConfig("sound", RATE, BANDS, 0.04, 0.02)
    store_generator(tmp_path / "speech", FrontEndConfig("features", BANDS, normalise=True), reader)
    store_generator(tmp_path / "captions", FrontEndConfig("image", 3, 16, 12, blocks=2), ReaderConfig("image"))
    random = np.random.default_rng(2)
    folder = tmp_path / "data"
    (folder / "files").mkdir(parents=True)
    for number in range(2):
        soundfile.write(folder / "files" / f"{number}.wav", random.uniform(-0.5, 0.5, 900), RATE, subtype="PCM_16")
        Image.fromarray(random.integers(0, 256, (16, 12, 3), np.uint8)).save(folder / "files" / f"{number}.png")
    for run, kind in (("speech", "wav"), ("captions", "png")):
        files = [folder / "files" / f"{number}.{kind}" for number in range(2)]
        answers = predict(capsys, tmp_path / run, *files)
        (folder / "test.source").write_text("".join(f"files/{number}.{kind}\n" for number in range(2)))
        (folder / "test.target").write_text("".join(f"{answer}\n" for answer in answers))
        assert figures(capsys, tmp_path / run, "--data", folder)["exact_match"] == 100


@pytest.mark.parametrize(("column", "options"), [("text", []), ("transcription", []), ("said", ["--target", "said"])])
def test_recordings_with_a_list_of_transcripts(
    column: str, options: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """As folders of sounds are for `datasets`: what `predict` answers is what the list says."""
    run, folder = tmp_path / "speech", tmp_path / "data"
    reader = ReaderConfig("sound", RATE, BANDS, 0.04, 0.02)
    store_generator(run, FrontEndConfig("features", BANDS, normalise=True), reader)
    (folder / "test").mkdir(parents=True)
    random, names = np.random.default_rng(2), ["0.wav", "1.wav"]
    for name in names:
        soundfile.write(folder / "test" / name, random.uniform(-0.5, 0.5, 900), RATE, subtype="PCM_16")
    answers = predict(capsys, run, *(folder / "test" / name for name in names))
    rows = [{"file_name": name, column: answer} for name, answer in zip(names, answers, strict=True)]
    write_rows(folder / "test" / "metadata.jsonl", rows)
    assert figures(capsys, run, "--data", folder, *options)["exact_match"] == 100
    assert figures(capsys, run, "--data", folder, *options, "--split", "test[:1]")["exact_match"] == 100
    told = evaluate(capsys, run, "--data", folder, *options, "--split", "validation", status=2)
    assert "no split 'validation'; by the folders of the files, the splits are test" in told
    shutil.move(folder / "test" / "metadata.jsonl", folder)
    rows = [{**row, "file_name": f"test/{row['file_name']}"} for row in rows]
    gone = {"file_name": "train/gone.wav", column: "one"}  # recordings of other splits need not be there
    write_rows(folder / "metadata.jsonl", [gone, *rows])
    assert figures(capsys, run, "--data", folder, *options)["exact_match"] == 100
    (folder / "metadata.csv").write_text(
        "".join([f"file_name,{column}\n", *(f"{each['file_name']},a\n" for each in rows)])
    )
    found = figures(capsys, run, "--data", folder, *options)  # one list of a folder counts
    assert found["sentences"] == 2
    target = options[1] if options else "target"
    write_rows(folder / "test.jsonl", [{"source": each["file_name"], target: each[column]} for each in rows])
    assert figures(capsys, run, "--data", folder, *options)["exact_match"] == 100


FAULTS = {
    "no data": ("generator", None, [], "generator: say with --data what to evaluate on"),
    "no split": ("generator", "", ["--split", "dev"], "no split 'dev'"),
    "no column": ("generator", '{"source": "0.npy", "text": "one"}\n', [], "line 1: column 'target' is missing"),
    "null": ("generator", '{"source": "0.npy", "target": null}\n', [], "line 1: column 'target' is null"),
    "no text": ("generator", '{"source": "0.npy", "target": 7}\n', [], "line 1: column 'target' must hold a text or a"),
    "no texts": ("generator", '{"source": "0.npy", "target": []}\n', [], "line 1: column 'target' is an empty list"),
    "no name": ("generator", '{"source": 7, "target": "one"}\n', [], "line 1: column 'source' must hold a text or the"),
    "no file": (
        "generator",
        '{"source": "0.npy", "target": "one"}\n{"source": "9.npy", "target": "one"}\n',
        [],
        "test.jsonl, line 2: {data}/9.npy: no such file",
    ),
    "bad file": ("generator", '{"source": "bad.npy", "target": "one"}\n', [], "line 1: {data}/bad.npy: cannot be read"),
    "no rows": ("generator", "\n", [], "the corpus is empty"),
    "no json": ("generator", "{\n", [], "test.jsonl, line 1: malformed JSON"),
    "surrogate": ("generator", '{"source": "\\ud800", "target": "one"}\n', [], "line 1: malformed Unicode"),
    "same column": ("generator", "", ["--target", "source"], "source and target are the same column"),
    "length": ("generator", "", ["--max-input-length", "5"], "--max-input-length is for runs that translate"),
    "class": ("labeller", '{"source": "a.csv", "target": "below abov"}\n', [], "line 1: 'abov' is no class of this"),
    "classes": ("labeller", '{"source": "a.csv", "target": {}}\n', [], "line 1: the target must be names of classes"),
    "steps": (
        "labeller",
        '{"source": "a.csv", "target": "below"}\n',
        [],
        "test.jsonl, line 1: has 1 labels, but the model answers 2 steps",
    ),
    "values": ("predictor", '{"source": "a.csv", "target": "much"}\n', [], "line 1: the target must be a number, a"),
    "uneven": (
        "predictor",
        '{"source": "a.csv", "target": [[1], [1, 2]]}\n',
        [],
        "line 1: the target must be a number",
    ),
    "undefined": ("predictor", '{"source": "a.csv", "target": [1, NaN]}\n', [], "line 1: the target holds infinite"),
    "no values": ("predictor", '{"source": "a.csv", "target": "b.npy"}\n', [], "line 1: {data}/b.npy: no such file"),
    "shape": (
        "predictor",
        '{"source": "a.csv", "target": [1, 2, 3]}\n',
        [],
        "line 1: expects values of shape [3], but the model answers [2, 2]",
    ),
    "beam": ("predictor", "", ["--beam-size", "2"], "--beam-size: for runs that write text"),
    "precision": ("predictor", "", ["--precision", "int8"], "--precision: for runs that write text"),
    "tokenizer": ("characters", "", ["--bleu-tokenizer", "char"], "--bleu-tokenizer: for runs that write text"),
    "target": (
        "characters",
        "",
        ["--target", "x"],
        "--target: {run} holds a language model, which predicts the text itself",
    ),
    "empty text": ("characters", '{"text": "ab"}\n{"text": ""}\n', [], "test.jsonl, line 2: the text is empty"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_that_names_it(
    fault: str, runs: dict[str, Path], digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind, content, further, told = FAULTS[fault]
    if kind == "labeller":
        (runs["predictor"] / LABELS_FILE).write_text('["below", "above"]')
    (digits / "a.csv").write_text("0.5\n0.25\n")
    (digits / "bad.npy").write_text("no array")
    if content:
        (digits / "test.jsonl").write_text(content)
    data = [] if content is None else ["--data", digits]
    run = runs["predictor" if kind == "labeller" else kind]
    errors = evaluate(capsys, run, *data, *further, status=2)
    assert len(errors.splitlines()) == 1
    assert told.format(data=digits, run=run) in errors
