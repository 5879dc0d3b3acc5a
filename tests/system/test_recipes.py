"""Recipes run as a user runs them; the floors of their figures are checked by hand (slow)."""

import io
import itertools
import re
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
import soundfile

import seq2seq
from seq2seq.cli.main import main
from tests.forking import run_script

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
MULTI30K = SHARED / "multi30k"
RECIPES = sorted(path for path in (ROOT / "recipes").glob("*.py") if re.search(r"\brun_\w+\(", path.read_text()))
"""multi30k.py and language_table.py, modules of the others, are none."""
needs_multi30k = pytest.mark.skipif(not MULTI30K.exists(), reason="../shared/data/multi30k is absent")


def recipe(name: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "recipes" / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@needs_multi30k
@pytest.mark.parametrize("name", ["multi30k_en_de", "multi30k_de_en", "multi30k_en_fr"])
def test_multi30k_recipes_pass_a_dry_run(name: str, tmp_path: Path) -> None:
    ended = recipe(name, "--data", MULTI30K, "--output", tmp_path / "run", "--dry-run")
    assert ended.returncode == 0, ended.stderr
    assert "parameters: 6,507,144" in ended.stdout
    assert not (tmp_path / "run").exists()


def test_what_is_no_recipe_names_those_that_are() -> None:
    ended = recipe("multi30k", "--help")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    users = {path.name for path in (ROOT / "recipes").glob("*.py") if "from multi30k import" in path.read_text()}
    assert set(re.findall(r"multi30k_\w+\.py", ended.stderr)) == users


def test_help_says_all_that_the_script_says_of_itself() -> None:
    ended = recipe("slot_filling", "--help")
    shown = " ".join(ended.stdout.split())
    said = (ROOT / "recipes" / "slot_filling.py").read_text(encoding="utf-8").split('"""')[1]
    assert " ".join(said.split()) in shown
    assert "\npython recipes/slot_filling.py --data DIR" in ended.stdout, "a command begins a line"


QUICK = {
    "captions_images": (),
    "captions_shapes": (),
    "captions_video": (),
    "character_lm": (),
    "cumulative_sum_labels": (),
    "g2p": ("cmudict",),
    "g2p_languages": ("sigmorphon2020_g2p",),
    "handwriting": (),
    "inflection": ("sigmorphon2023_inflection",),
    "learn_to_execute": (),
    "multi30k_en_de": ("multi30k",),
    "rides_forecast": (),
    "sequence_autoencoder": (),
    "slot_filling": (),
    "speech_digits": ("fsdd",),
    "sutskever": ("multi30k",),
    "talking_head": (),
    "text_classification": (),
    "traffic_forecast": (),
}
"""Recipes beyond the phrasebook, and their folder of shared data where they need one."""
READERS = {
    "captions_images": "image",
    "captions_shapes": "image",
    "learn_to_execute": "characters",
    "slot_filling": "words",
    "speech_digits": "sound",
    "text_classification": "words",
}
"""What `seq2seq predict` reads with the runs of a recipe, where it is no array."""
LABELLED = {"cumulative_sum_labels", "slot_filling", "text_classification"}
"""Recipes whose runs name their classes."""


@pytest.mark.parametrize("name", QUICK)
def test_recipes_pass_a_smoke_run(name: str, tmp_path: Path) -> None:
    data = [SHARED / folder for folder in QUICK[name]]
    if not all(folder.exists() for folder in data):
        pytest.skip(f"{data[0]} is absent")
    given = [word for folder in data for word in ("--data", folder)]
    ended = run_script(ROOT / "recipes" / f"{name}.py", [*given, "--output", tmp_path / "run", "--quick"], tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"\d", ended.stdout), "no figure was printed"
    models = [path.parent for path in (tmp_path / "run").rglob("model.safetensors")]
    models = [path for path in models if path.parent.name != "checkpoints"]
    assert models
    for model in models:
        loaded = seq2seq.load(model)
        if isinstance(loaded, seq2seq.Generator | seq2seq.Predictor):
            assert loaded.reader.kind == READERS.get(name, "array")
        if isinstance(loaded, seq2seq.Predictor):
            assert (loaded.labels is not None) == (name in LABELLED)
    assert list((tmp_path / "run").rglob("curves.png"))


def test_maps_are_drawn_of_an_image_that_its_blocks_do_not_divide(tmp_path: Path) -> None:
    script, run = ROOT / "recipes" / "captions_shapes.py", tmp_path / "run"
    ended = run_script(script, ["--output", run, "--quick", "--model.front_end.blocks", "5"], tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert (run / "attention" / "1.png").exists()


def test_speech_is_read_from_what_datasets_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the Hub stores it: an Audio column of parquet files, with the recordings' names."""
    folder = tmp_path / "sounds"

    def store(most: int) -> None:
        sounds = []
        for digit, number in itertools.islice(itertools.product(range(10), (5, 7, 10)), most):
            file = io.BytesIO()
            noise = np.random.default_rng(digit).normal(0, 0.1, 2_000)
            soundfile.write(file, noise, 8_000, format="WAV")
            sounds.append({"bytes": file.getvalue(), "path": f"{digit}_ann_{number}.wav"})
        audio = datasets.Features({"audio": datasets.Audio(decode=False)})
        datasets.Dataset.from_dict({"audio": sounds}).cast(audio).to_parquet(folder / "train.parquet")

    folder.mkdir()
    store(30)
    script = ROOT / "recipes" / "speech_digits.py"
    given = ["--data", folder, "--output", tmp_path / "run", "--quick"]
    ended = run_script(script, given, tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "digit error rate" in ended.stdout
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(1).normal(0, 0.1, 5_000), 8_000)
    model = seq2seq.load(tmp_path / "run", kind="generator")
    capsys.readouterr()
    assert main(["predict", str(tmp_path / "run"), str(tmp_path / "a.wav")]) == 0
    frames = model.read(tmp_path / "a.wav")
    assert frames.shape == (1 + 5_000 // 128, 40)
    assert capsys.readouterr().out == f"{tmp_path / 'a.wav'}\t{model.generate([frames])[0]}\n"
    store(29)
    ended = run_script(script, given, tmp_path)
    assert ended.returncode == 2
    assert "ann's 9 needs a recording numbered 10 or more" in ended.stderr


@pytest.mark.parametrize(
    ("name", "files", "told"),
    [
        ("text_classification", {"train.txt": "A b\nA\n", "test.txt": "A b\n"}, "train.txt, line 2: must be a label"),
        (
            "slot_filling",
            {"train.seq.in": "to a\nb\n", "train.seq.out": "O O\nO O\n", "train.label": "x\nx\n"},
            "train.seq.out, line 2: has 2 labels, but the line has 1 words",
        ),
        ("character_lm", {"text.txt": "good\n\udcff\n"}, "text.txt, line 2: not UTF-8 text"),
    ],
)
def test_a_malformed_file_is_one_line(name: str, files: dict[str, str], told: str, tmp_path: Path) -> None:
    for file, content in files.items():
        (tmp_path / file).write_bytes(content.encode(errors="surrogateescape"))
    given = ["--data", tmp_path, "--output", tmp_path / "run"]
    ended = run_script(ROOT / "recipes" / f"{name}.py", given, tmp_path)
    assert ended.returncode == 2
    assert told in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_cells_and_optimisers_are_compared(tmp_path: Path) -> None:
    given = ["--compare", "--seconds", "1", "--model.direction", "both", "--output", tmp_path / "run", "--quick"]
    ended = run_script(ROOT / "recipes" / "character_lm.py", given, tmp_path)
    assert ended.returncode == 0, ended.stderr
    found = [line.split() for line in ended.stdout.splitlines()]
    assert {tuple(line[:2]) for line in found} >= {("peephole,", "sgd"), ("rnn,", "rmsprop"), ("lstm,", "adam")}
    bits = [float(line[2]) for line in found]
    assert len(bits) == 12
    assert bits == sorted(bits)
    assert (tmp_path / "run" / "comparison.png").exists()
    assert seq2seq.load(tmp_path / "run" / "gru-adam", kind="language_model").config.direction == "both"


def test_handwriting_reads_images_too(tmp_path: Path) -> None:
    given = ["--input", "images", "--output", tmp_path / "run", "--quick"]
    ended = run_script(ROOT / "recipes" / "handwriting.py", given, tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("character error rate") == 4
    assert seq2seq.load(tmp_path / "run" / "bilstm").config.front_end.input_size == 12


def test_every_recipe_is_smoke_tested() -> None:
    variants = {"multi30k_de_en", "multi30k_en_fr", "phrasebook_en_de"}  # scripts of the same choices
    scripts = {path.stem for path in RECIPES}
    assert scripts - variants == set(QUICK)


def test_the_phrasebook_refuses_other_data(tmp_path: Path) -> None:
    ended = recipe("phrasebook_en_de", "--data", tmp_path, "--output", tmp_path / "run")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "generates its data" in ended.stderr


@pytest.mark.slow
@needs_multi30k
@pytest.mark.parametrize(
    ("name", "floor"), [("multi30k_en_de", 36.0), ("multi30k_de_en", 36.0), ("multi30k_en_fr", 52.0)]
)
def test_multi30k_floors(name: str, floor: float, tmp_path: Path) -> None:
    ended = recipe(name, "--data", MULTI30K, "--output", tmp_path / "run")
    assert ended.returncode == 0, ended.stderr
    found = re.search(r"BLEU (\d+\.\d+)", ended.stdout)
    assert found is not None
    assert float(found[1]) >= floor


@pytest.mark.slow
def test_phrasebook_floor(tmp_path: Path) -> None:
    ended = recipe("phrasebook_en_de", "--output", tmp_path / "run")
    assert ended.returncode == 0, ended.stderr
    rows = [line for line in ended.stdout.split("\n") if line.startswith("trained, beam")]
    same, unseen = (float(re.findall(r"\d+\.\d", row)[0]) for row in rows)
    assert same >= 85
    assert unseen <= same


def interrupted(recipe: Path, seconds: float, name: str = "SIGINT") -> "subprocess.CompletedProcess[str]":
    """The recipe after Ctrl-C, or another signal, so many seconds after it has begun to import."""
    code = (
        "import os, runpy, signal, sys, threading\n"
        f"threading.Timer({seconds}, lambda: os.kill(os.getpid(), signal.{name})).start()\n"
        f"sys.argv = [{str(recipe)!r}, '--data', 'nowhere']; sys.path.insert(0, {str(recipe.parent)!r})\n"
        f"runpy.run_path({str(recipe)!r}, run_name='__main__')\n"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_interrupted_while_it_imports_says_so_in_one_line(recipe: Path) -> None:
    ended = interrupted(recipe, 0.4)
    assert (ended.returncode, ended.stderr) == (130, f"{recipe.name}: error: interrupted\n")


def test_a_recipe_terminated_while_it_imports_says_so_in_one_line() -> None:
    ended = interrupted(RECIPES[0], 0.4, "SIGTERM")
    assert (ended.returncode, ended.stderr) == (143, f"{RECIPES[0].name}: error: ended by SIGTERM\n")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_guards_its_imports_before_all_else_and_takes_one_from_the_package(recipe: Path) -> None:
    lines = [
        line for line in recipe.read_text().splitlines() if re.match(r"(import|from|    seq2seq\.|    import)\b", line)
    ]
    assert lines[:2] == ["import seq2seq", "    seq2seq.guard_imports()"]
    assert not [line for line in lines if "from seq2seq" in line]
