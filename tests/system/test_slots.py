"""A class beside labels: a run that reads words is trained, resumed, loaded, asked and evaluated like any other."""

import json
from pathlib import Path

import numpy as np
import pytest

import seq2seq
from seq2seq.cli.main import main
from seq2seq.errors import UserError
from seq2seq.inference.outputs import Labelled
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.frontends import FrontEndConfig
from seq2seq.model.sequence_model import PredictorConfig
from seq2seq.serving.backend import LoadOptions, Source
from seq2seq.serving.opening import open_backend
from seq2seq.tasks.configs import PredictorTask
from seq2seq.tasks.prediction import learn_words, train_predictor
from seq2seq.training.config import TrainerConfig
from seq2seq.training.objectives import labelling_and_classification
from tests.tiny_runs import BATCHING, OPTIMIZER

CITIES, SONGS = ["boston", "denver", "dallas"], ["aria", "polka", "tango"]
REQUESTS = [(f"fly to {city}", "O O B-city", "fly") for city in CITIES]
REQUESTS += [(f"play {song} now", "O B-song O", "play") for song in SONGS]
LABELS, CLASSES = ["B-city", "B-song", "O"], ["fly", "play"]


def train(output: Path, **trainer: int) -> seq2seq.Predictor:
    model = PredictorConfig(
        FrontEndConfig("words", characters=1, word_dropout=0.1), 48, 0.0, EncoderConfig(16), outputs=5, classes=2
    )
    limits = TrainerConfig(epochs=20, best_metric="loss", average_decay=0.9, precision="fp32", **trainer)
    task = PredictorTask(output=str(output), model=model, batching=BATCHING, optimizer=OPTIMIZER, trainer=limits)
    task, vocabulary = learn_words(task, (text for text, *_ in REQUESTS), 100)
    examples = [
        (
            seq2seq.read_source(task.reader, task.model.front_end, text, vocabulary),
            np.array([(LABELS.index(label), CLASSES.index(name)) for label in labels.split()]),
        )
        for text, labels, name in REQUESTS
    ]
    objective = labelling_and_classification(2)
    return train_predictor(task, examples * 4, examples, objective, {}, vocabulary, LABELS + CLASSES)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slots") / "run"
    train(folder)
    return folder


def write_split(folder: Path, requests: list[tuple[str, str, str]]) -> None:
    for place, part in enumerate(("seq.in", "seq.out", "label")):
        (folder / f"test.{part}").write_text("".join(f"{request[place]}\n" for request in requests))


def test_a_loaded_run_names_class_and_labels(run: Path) -> None:
    found = seq2seq.load(run, kind="predictor").classify([text for text, *_ in REQUESTS])
    assert [(each.name, " ".join(each.labels)) for each in found] == [(name, labels) for _, labels, name in REQUESTS]
    outputs = seq2seq.load(run, kind="predictor").predict([REQUESTS[0][0]])[0]
    assert outputs.shape == (3, 5)
    likely = np.exp(outputs[0, 3:]) / np.exp(outputs[0, 3:]).sum()
    assert found[0].score == pytest.approx(likely.max(), rel=1e-5)
    assert len(found[0].scores) == 3


def test_a_saved_model_answers_alike(run: Path, tmp_path: Path) -> None:
    model = seq2seq.load(run, kind="predictor")
    model.save_pretrained(tmp_path / "saved")
    texts = ["fly to oslo", "play", ""]
    assert seq2seq.load(tmp_path / "saved", kind="predictor").answer(texts) == model.answer(texts)


def test_a_broken_training_ends_with_the_same_weights(run: Path, tmp_path: Path) -> None:
    """Words are read as unknown at random in training: these draws go on where they were."""
    train(tmp_path / "run", max_steps=7)
    train(tmp_path / "run")
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()


def test_predict_prints_class_and_labels(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lines").write_text("fly to boston\nplay aria now\n")
    assert main(["predict", str(run), str(tmp_path / "lines")]) == 0
    assert capsys.readouterr().out == "1\tfly\tO O B-city\n2\tplay\tO B-song O\n"
    assert main(["predict", str(run), str(tmp_path / "lines"), "--json"]) == 0
    first = json.loads(capsys.readouterr().out.split("\n")[0])
    assert first["answer"] == {"class": "fly", "labels": ["O", "O", "B-city"]}
    assert 0.5 < first["score"] <= 1
    assert len(first["scores"]) == 3


def test_evaluate_counts_spans_classes_and_whole_requests(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 4 requests: one has a slot and a class that training never had, and one a slot that is not answered."""
    asked = [*REQUESTS[:2], ("play polka now", "O B-tune O", "sing"), ("fly to boston", "B-city O B-city", "fly")]
    write_split(tmp_path, asked)
    assert main(["evaluate", str(run), "--data", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["sequences"], found["steps"]) == (4, 12)
    assert found["f1_of_spans"] == pytest.approx(100 * 2 * 3 / (4 + 5))
    assert found["accuracy_per_step"] == pytest.approx(100 * 10 / 12)
    assert found["accuracy_of_classes"] == 75
    assert found["accuracy_per_sequence"] == 50
    rows = "".join(json.dumps({"source": text, "target": f"{name} {labels}"}) + "\n" for text, labels, name in asked)
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "test.jsonl").write_text(rows)
    assert main(["evaluate", str(run), "--data", str(tmp_path / "rows"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found


def test_evaluate_names_file_and_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_split(tmp_path, [REQUESTS[0], ("play aria", "O", "play")])
    assert main(["evaluate", str(run), "--data", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "test.seq.out, line 2: has 1 labels, but the line has 2 words" in told


def test_an_export_says_first_that_it_cannot_be(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run), str(tmp_path / "exported")]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "an export cannot read words with their characters" in told
    assert list(tmp_path.iterdir()) == []


def test_a_server_answers_with_class_and_labels(run: Path) -> None:
    backend = open_backend(Source(str(run)), LoadOptions())
    ((best,),) = backend.search([backend.read("fly to boston", 100)], 1)
    assert best.text == "fly O O B-city"
    assert best.answer == {"class": "fly", "labels": ["O", "O", "B-city"]}


def test_labels_need_their_words(tmp_path: Path) -> None:
    assert Labelled("fly", ["O"]).line == ["fly", "O"]
    model = PredictorConfig(FrontEndConfig("words", 10, characters=5), 48, outputs=5, classes=2)
    with pytest.raises(UserError, match="labels must be 5 names"):
        train_predictor(
            PredictorTask(output=str(tmp_path), model=model),
            [],
            [],
            labelling_and_classification(2),
            labels=["O"],
        )
