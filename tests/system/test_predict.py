"""`seq2seq predict` and `sample`: answers to files and lines, beside those of the Python API to the same numbers;
malformed inputs are one line that names them."""

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import seq2seq
from seq2seq.cli.main import main
from seq2seq.config import write_config
from seq2seq.data.audio import LogMel
from seq2seq.data.characters import Characters
from seq2seq.data.readers import ReaderConfig
from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig
from seq2seq.errors import UserError
from seq2seq.inference.predictor import Predictor, text_ids
from seq2seq.inference.transcriber import Generator
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.frontends import FrontEndConfig
from seq2seq.model.seq2seq import GeneratorConfig, build_generator_model
from seq2seq.model.sequence_model import PredictorConfig, build_predictor_model
from seq2seq.runs.layout import GENERATION_FILE, LABELS_FILE, SOURCE_FILE, TARGET_FILE
from seq2seq.runs.weights import model_tensors, save_tensors
from seq2seq.search.beam import SearchConfig
from seq2seq.tasks.configs import GeneratorTask, PredictorTask, TaskConfig
from seq2seq.tasks.prediction import train_predictor
from seq2seq.training.objectives import labelling
from tests.tiny_runs import NAMES, frames_of, predictor_task, sums

FIXTURES = Path(__file__).parents[1] / "fixtures"
GENERATOR, PREDICTOR = FIXTURES / "generator-0.1.0", FIXTURES / "predictor-0.1.0"
LANGUAGE_MODEL = FIXTURES / "characters-0.1.0"
RATE, BANDS = 2_000, 6
CHARACTERS = "\n()+0123456789=abinprt"
VOCABULARY = Vocabulary.train(
    ["one two three four good bad indeed"], VocabularyConfig(size=100, model_type="word", byte_fallback=False)
)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Gives standard input some bytes."""

    def give(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return give


def predict(capsys: pytest.CaptureFixture[str], *words: object, status: int = 0) -> list[str]:
    """Lines of standard output."""
    capsys.readouterr()
    assert main(["predict", *map(str, words)]) == status
    return capsys.readouterr().out.split("\n")[:-1]


def store(run: Path, task: TaskConfig, model: torch.nn.Module) -> Path:
    run.mkdir()
    write_config(run / "config.json", task)
    save_tensors(model_tensors(model), run / "model.safetensors")
    return run


def store_generator(run: Path, front_end: FrontEndConfig, reader: ReaderConfig) -> Generator:
    """An untrained model from anything to words."""
    torch.manual_seed(3)
    config = GeneratorConfig(front_end, 8, 0.0, EncoderConfig(8), DecoderConfig(8, 1, coupling="none"))
    model = build_generator_model(config, len(VOCABULARY))
    model.decoder.output.weight.data.mul_(4)
    store(run, GeneratorTask(model=config, reader=reader), model)
    VOCABULARY.save(run / TARGET_FILE)
    write_config(run / GENERATION_FILE, SearchConfig(max_length=8))
    return Generator(model, config, VOCABULARY, SearchConfig(max_length=8))


def store_predictor(run: Path, config: PredictorConfig, reader: ReaderConfig) -> Predictor:
    torch.manual_seed(3)
    model = build_predictor_model(config)
    store(run, PredictorTask(model=config, reader=reader), model)
    return Predictor(model, config)


def test_a_translator_answers_numbered_lines(given, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    run, texts = FIXTURES / "translator-0.1.0", ["ba ko mi", "", "lu te"]
    expected = seq2seq.load(run).search(texts, n_best=2, beam_size=3)
    given(("\n".join(texts) + "\n").encode())
    assert predict(capsys, run) == [f"{n}\t{text}" for n, text in enumerate(seq2seq.load(run).translate(texts), 1)]
    (tmp_path / "a.txt").write_text("\n".join(texts))
    rows = [row.split("\t") for row in predict(capsys, run, tmp_path / "a.txt", "--n_best", 2, "--beam-size", 3)]
    assert rows == [
        [str(line), str(rank), f"{each.score:.6f}", each.text]
        for line, best in enumerate(expected, 1)
        for rank, each in enumerate(best, 1)
    ]
    given(b"ba ko mi\n")
    (line,) = map(json.loads, predict(capsys, run, "-", "--json", "--n-best", 2, "--beam-size", 3))
    assert (line["line"], line["answer"]) == (1, expected[0][0].text)
    assert [each["answer"] for each in line["n_best"]] == [each.text for each in expected[0]]
    scores = [each.score for each in expected[0]]
    assert [each["score"] for each in line["n_best"]] == pytest.approx(scores, abs=1e-5)
    assert line["score"] == line["n_best"][0]["score"]


def test_arrays_come_from_csv_and_npy(given, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """A run without `reader` in its configuration reads arrays."""
    digits = [[0], [1, 2], [3, 3, 0]]
    arrays = [frames_of(each) for each in digits]
    files = [tmp_path / f"{number}.{kind}" for number, kind in enumerate(("csv", "npy", "CSV"))]
    np.save(files[1], arrays[1].astype(np.float64))
    for file, array in ((files[0], arrays[0]), (files[2], arrays[2])):
        np.savetxt(file, array, delimiter=", ", fmt="%g", newline="\r\n")
    expected = seq2seq.load(GENERATOR).generate(arrays)
    assert expected == [" ".join(NAMES[digit] for digit in each) for each in digits]  # it has learned something
    wanted = [f"{file}\t{text}" for file, text in zip(files, expected, strict=True)]
    assert predict(capsys, GENERATOR, *files) == wanted
    given("".join(f"{file}\n" for file in files[1:]).encode())
    assert predict(capsys, GENERATOR, files[0], "-") == wanted


@pytest.mark.parametrize("answer", ["steps", "last", "rollout"])
def test_values_are_printed_as_the_data_has_them(
    answer: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    front_end = FrontEndConfig("features", 2)
    config = PredictorConfig(front_end, 8, 0.0, EncoderConfig(6), answer=answer, outputs=3, rollout_steps=4)  # type: ignore[arg-type]
    predictor = store_predictor(tmp_path / "run", config, ReaderConfig(scale=100.0, offset=50.0))
    array = np.random.default_rng(1).random((5, 2)).astype(np.float32)
    np.save(tmp_path / "a.npy", array)
    values = predictor.predict([array])[0] * 100 + 50
    rows = [" ".join(f"{value:.6g}" for value in row) for row in values.reshape(-1, 3)]
    assert predict(capsys, tmp_path / "run", tmp_path / "a.npy") == [f"{tmp_path / 'a.npy'}\t{' | '.join(rows)}"]
    (line,) = map(json.loads, predict(capsys, tmp_path / "run", tmp_path / "a.npy", "--json"))
    assert line["file"] == str(tmp_path / "a.npy")
    np.testing.assert_allclose(line["answer"], values, rtol=1e-5)


def test_labels_are_kept_with_the_run_and_printed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    task = predictor_task(tmp_path / "run")
    task = replace(task, trainer=replace(task.trainer, epochs=4))
    labels = ["below", "above"]
    trained = train_predictor(task, sums(250), sums(300)[250:], labelling(), labels=labels)
    numbers = [0.9, 0.8, 0.7, 0.1]
    (tmp_path / "a.csv").write_text("".join(f"{number}\n" for number in numbers))
    array = np.array(numbers, np.float32)[:, None]
    expected = [labels[label] for label in trained.predict([array])[0].argmax(-1)]
    assert trained.classify([array]) == [expected]
    assert set(expected) == set(labels)
    assert predict(capsys, tmp_path / "run", tmp_path / "a.csv") == [f"{tmp_path / 'a.csv'}\t{' '.join(expected)}"]
    assert trained.answer([array]) == seq2seq.load(tmp_path / "run").answer([array]) == [expected]
    (line,) = map(json.loads, predict(capsys, tmp_path / "run", tmp_path / "a.csv", "--json"))
    assert line["answer"] == expected
    logits = torch.tensor(trained.predict([array])[0])
    np.testing.assert_allclose(line["scores"], logits.softmax(-1).amax(-1), atol=1e-6)
    with pytest.raises(UserError, match=r"labels\.json: the run has other classes"):
        train_predictor(task, sums(250), sums(300)[250:], labelling(), labels=labels[::-1])
    with pytest.raises(UserError, match="labels must be 2 names"):
        train_predictor(task, sums(250), sums(300)[250:], labelling(), labels=["below"])
    (tmp_path / "run" / LABELS_FILE).write_text('["above", "below"]')
    predict(capsys, tmp_path / "run", tmp_path / "a.csv", status=2)  # not what the model was trained with


def test_a_classifier_names_the_class(given, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    front_end = FrontEndConfig("tokens", len(VOCABULARY))
    config = PredictorConfig(front_end, 8, 0.0, EncoderConfig(6), answer="mean", outputs=3)
    predictor = store_predictor(tmp_path / "run", config, ReaderConfig("subwords"))
    VOCABULARY.save(tmp_path / "run" / SOURCE_FILE)
    names = ["pleased", "displeased", "not sure"]
    (tmp_path / "run" / LABELS_FILE).write_text(json.dumps(names))
    texts = ["good indeed", "", "bad bad"]
    given("\n".join(texts).encode())
    found = predictor.predict([text_ids(VOCABULARY, text) for text in texts])
    expected = [names[int(row.argmax())] for row in found]
    assert predict(capsys, tmp_path / "run") == [f"{number}\t{name}" for number, name in enumerate(expected, 1)]
    given(b"good indeed\n")
    (line,) = map(json.loads, predict(capsys, tmp_path / "run", "--json", "--n-best", 2))
    chances = torch.tensor(found[0]).softmax(-1)
    assert [each["answer"] for each in line["n_best"]] == [names[int(label)] for label in chances.argsort().flip(0)[:2]]
    assert line["score"] == line["n_best"][0]["score"] == pytest.approx(float(chances.max()), abs=1e-6)


def test_sound_is_read_as_log_mel_frames(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    reader = ReaderConfig("sound", RATE, BANDS, 0.04, 0.02)
    generator = store_generator(tmp_path / "run", FrontEndConfig("features", BANDS, normalise=True), reader)
    random, expected = np.random.default_rng(2), []
    for number, length in enumerate((700, 2_100)):
        samples = random.uniform(-0.5, 0.5, length)
        soundfile.write(tmp_path / f"{number}.wav", samples, RATE, subtype="PCM_16")
        stored = (np.round(samples * 32_768) / 32_768).astype(np.float32)
        frames = LogMel(RATE, BANDS, 0.04, 0.02)(torch.from_numpy(stored)).numpy()
        assert len(frames) == 1 + length // 40
        expected += generator.generate([frames])
    files = [tmp_path / "0.wav", tmp_path / "1.wav"]
    assert predict(capsys, tmp_path / "run", *files) == [f"{a}\t{b}" for a, b in zip(files, expected, strict=True)]


def test_pictures_are_brought_to_the_models_size(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    generator = store_generator(tmp_path / "run", FrontEndConfig("image", 3, 16, 12, blocks=2), ReaderConfig("image"))
    pixels = np.random.default_rng(0).integers(0, 256, (16, 12, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).convert("L").resize((40, 30)).save(tmp_path / "b.png")
    grey = Image.open(tmp_path / "b.png")
    expected = generator.generate([pixels.transpose(2, 0, 1), grey])
    rows = predict(capsys, tmp_path / "run", tmp_path / "a.png", tmp_path / "b.png", "--beam-size", 5)
    assert [row.split("\t")[1] for row in rows] == expected


def test_a_program_is_one_line(given, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    characters = Characters(CHARACTERS)
    front_end = FrontEndConfig("tokens", len(characters))
    generator = store_generator(tmp_path / "run", front_end, ReaderConfig("characters", symbols=CHARACTERS))
    programs = ["print(1+2)", "a=12\nprint(a+3)"]
    expected = generator.generate([np.array(characters.encode(program)) for program in programs])
    given(b"print(1+2)\na=12\\nprint(a+3)\n")
    assert predict(capsys, tmp_path / "run") == [f"{number}\t{text}" for number, text in enumerate(expected, 1)]
    given(b"print(1+2)\n\n")
    assert predict(capsys, tmp_path / "run", status=2) == [f"1\t{expected[0]}"]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs, and files that are not what they should be."""
    tmp = tmp_path_factory.mktemp("faults")
    reader = ReaderConfig("sound", RATE, BANDS)
    store_generator(tmp / "sound", FrontEndConfig("features", BANDS), reader)
    store_generator(tmp / "image", FrontEndConfig("image", 3, 16, 12, blocks=2), ReaderConfig("image"))
    store_generator(tmp / "ids", FrontEndConfig("tokens", 9), ReaderConfig())
    store_generator(tmp / "other", FrontEndConfig("features", 2), replace(reader, bands=3))
    texts = {
        "good.csv": "1,0,0,0\n0,0,0,0\n", "text.csv": "1,0,0,0\n\n1,a,0,0\n", "uneven.csv": "1,0,0,0\n1,0\n",
        "blank.csv": "\n\n", "nan.csv": "1,nan,0,0\n", "large.csv": "1,0,0,1e300\n", "narrow.csv": "1,0\n",
        "empty.csv": "", "underscore.csv": "1_0,0,0,0\n",
        "a.txt": "1,0,0,0\n", "damaged.npy": "numpy", "ids.csv": "4\n5\n", "beyond.csv": "4\n9\n", "half.csv": "4.5\n",
    }  # fmt: skip
    for name, text in texts.items():
        (tmp / name).write_text(text)
    (tmp / "latin.csv").write_bytes(b"1,0,0,\xff\n")
    np.save(tmp / "objects.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp / "flat.npy", np.zeros(4))
    np.savez(tmp / "archive", np.zeros(4))
    (tmp / "archive.npz").rename(tmp / "archive.npy")
    header = (tmp / "flat.npy").read_bytes().replace(b"(4,)", b"(%d, 1)" % 10**20)
    (tmp / "huge.npy").write_bytes(header)
    (tmp / "folder").mkdir()
    for name, samples, rate in (
        ("good", np.zeros(900), RATE), ("fast", np.zeros(900), 8_000), ("stereo", np.zeros((900, 2)), RATE),
        ("short", np.zeros(20), RATE),
    ):  # fmt: skip
        soundfile.write(tmp / f"{name}.wav", samples, rate)
    (tmp / "bad.wav").write_text("no sound")
    (tmp / "bad.png").write_text("no picture")
    return {"tmp": tmp, "generator": GENERATOR, "predictor": PREDICTOR, "characters": LANGUAGE_MODEL}


FAULTS = {
    "missing": ("{generator} {tmp}/nowhere.csv", "{tmp}/nowhere.csv: no such file"),
    "folder": ("{generator} {tmp}/folder", "{tmp}/folder: is a folder"),
    "empty": ("{generator} {tmp}/empty.csv", "{tmp}/empty.csv: is empty"),
    "blank": ("{generator} {tmp}/blank.csv", "{tmp}/blank.csv: holds no numbers"),
    "text": ("{generator} {tmp}/text.csv", "{tmp}/text.csv, line 3: must be numbers separated by commas, got"),
    "uneven": ("{generator} {tmp}/uneven.csv", "{tmp}/uneven.csv, line 2: has 2 numbers, but the lines before it 4"),
    "undefined": ("{generator} {tmp}/nan.csv", "{tmp}/nan.csv holds infinite or undefined values"),
    "large": ("{generator} {tmp}/large.csv", "{tmp}/large.csv holds infinite or undefined values"),
    "shape": ("{generator} {tmp}/narrow.csv", "{tmp}/narrow.csv: this model reads arrays [S, 4]"),
    "no steps": ("{generator} {tmp}/flat.npy", "{tmp}/flat.npy: this model reads arrays [S, 4]"),
    "another file": ("{generator} {tmp}/a.txt", "{tmp}/a.txt: this run reads arrays: give .npy files"),
    "underscore": ("{generator} {tmp}/underscore.csv", "{tmp}/underscore.csv, line 1: must be numbers separated by"),
    "huge": ("{generator} {tmp}/huge.npy", "{tmp}/huge.npy: cannot be read as a .npy file"),
    "archive": ("{generator} {tmp}/archive.npy", "{tmp}/archive.npy: an archive of arrays (.npz); give a .npy file"),
    "damaged": ("{generator} {tmp}/damaged.npy", "{tmp}/damaged.npy: cannot be read as a .npy file"),
    "objects": ("{generator} {tmp}/objects.npy", "{tmp}/objects.npy: cannot be read as a .npy file"),
    "bytes": ("{generator} {tmp}/latin.csv", "{tmp}/latin.csv: not a CSV file of numbers"),
    "rate": ("{tmp}/sound {tmp}/fast.wav", "{tmp}/fast.wav: has 8000 samples per second, but the run was trained on"),
    "channels": ("{tmp}/sound {tmp}/stereo.wav", "{tmp}/stereo.wav: has 2 channels"),
    "short": ("{tmp}/sound {tmp}/short.wav", "{tmp}/short.wav: too short"),
    "no sound": ("{tmp}/sound {tmp}/bad.wav", "{tmp}/bad.wav: cannot be read as sound"),
    "bands": ("{tmp}/other {tmp}/good.wav", "{tmp}/good.wav: this model reads arrays [S, 2]"),
    "no picture": ("{tmp}/image {tmp}/bad.png", "{tmp}/bad.png: cannot be read as a picture"),
    "unknown id": ("{tmp}/ids {tmp}/ids.csv {tmp}/beyond.csv", "{tmp}/beyond.csv: ids are whole numbers from 0 to 8"),
    "half an id": ("{tmp}/ids {tmp}/half.csv", "{tmp}/half.csv: ids are whole numbers from 0 to 8"),
    "language model": ("{characters}", "holds a language model, which goes on writing: seq2seq sample"),
    "beam": ("{predictor} {tmp}/good.csv --beam-size 2", "--beam-size: for runs that write text"),
    "n best": ("{predictor} {tmp}/good.csv --n-best 2", "--n-best: for runs that write text or name a class"),
    "input length": ("{generator} {tmp}/good.csv --max-input-length 5", "--max-input-length is for runs that"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_that_names_it(
    fault: str, places: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words, told = (text.format(**places) for text in FAULTS[fault])
    assert main(["predict", *words.split()]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1, errors
    assert told in errors[0]


def test_results_before_an_unreadable_input_are_printed(
    places: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    good, missing = places["tmp"] / "good.csv", places["tmp"] / "nowhere.csv"
    rows = predict(capsys, GENERATOR, good, good, missing, good, status=2)
    assert rows == [f"{good}\tone"] * 2


def test_samples_are_those_of_python(
    capsysbinary: pytest.CaptureFixture[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    run = LANGUAGE_MODEL
    model = seq2seq.load(run, kind="language_model")
    options = ["--length", "30", "--temperature", "50", "--seed", "7"]
    first, second = ("abc" + model.sample("abc", 30, 50, seed) for seed in (7, 8))
    assert first != second
    for words in (["abc", *options], [*options, "abc"]):
        assert main(["sample", str(run), *words]) == 0
        assert capsysbinary.readouterr().out.decode() == f"{first}\n"
    assert main(["sample", str(run), "abc", *options, "--count", "2"]) == 0
    assert capsysbinary.readouterr().out.decode() == f"{first}\n\n{second}\n"
    assert main(["sample", str(run), ""]) == 0
    assert len(capsysbinary.readouterr().out) == 201
    assert main(["sample", str(run), "Ωaæ"]) == 0
    assert "not among the characters that the model knows: 'æ' 'Ω'" in caplog.text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--length", "-1"], "--length must be a whole number"),
        (["--temperature", "0"], "--temperature must be a number"),
        (["--seed", "x"], "--seed must be a whole number"),
        (["--count", "0"], "--count must be a whole number"),
    ],
)
def test_options_of_sample_are_checked(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", str(LANGUAGE_MODEL), "abc", *words]) == 2
    assert told in capsys.readouterr().err
    assert main(["sample", str(GENERATOR), "abc"]) == 2
    assert "holds a generator, not a language_model" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["translate"], ["score", "--source-file", "-", "--target-file", "a"]])
def test_what_is_for_translators_alone_says_what_else_to_call(
    words: list[str], given, monkeypatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "a").write_text("")
    monkeypatch.chdir(tmp_path)
    commands = {GENERATOR: "predict {} INPUT", PREDICTOR: "predict {} INPUT", LANGUAGE_MODEL: "sample {} TEXT"}
    for run, command in commands.items():
        given(b"")
        assert main([words[0], str(run), *words[1:]]) == 2
        told = capsys.readouterr().err
        assert "not a translator" in told
        assert told.endswith(f"the command for it is seq2seq {command.format(run)}\n")


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = {line.split()[0] for line in capsys.readouterr().out.split("verbs:")[1].splitlines() if line[:2] == "  "}
    assert listed == {
        "train",
        "translate",
        "predict",
        "sample",
        "score",
        "evaluate",
        "export",
        "serve",
        "verify",
        "align",
        "rerank",
    }
