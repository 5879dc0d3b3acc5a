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
from tests.forking import run_script

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
MULTI30K = SHARED / "multi30k"
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


QUICK = {
    "captions_images": (),
    "captions_shapes": (),
    "captions_video": (),
    "character_lm": (),
    "cumulative_sum_labels": (),
    "g2p": ("cmudict",),
    "handwriting_digits": (),
    "learn_to_execute": (),
    "multi30k_en_de": ("multi30k",),
    "sequence_autoencoder": (),
    "speech_digits": ("fsdd",),
    "talking_head": (),
    "text_classification": (),
    "traffic_forecast": (),
}
"""Recipes beyond the phrasebook, and their folder of shared data where they need one."""


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
        seq2seq.load(model)
    assert list((tmp_path / "run").rglob("curves.png"))


def test_maps_are_drawn_of_an_image_that_its_blocks_do_not_divide(tmp_path: Path) -> None:
    script, run = ROOT / "recipes" / "captions_shapes.py", tmp_path / "run"
    ended = run_script(script, ["--output", run, "--quick", "--model.front_end.blocks", "5"], tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert (run / "attention" / "1.png").exists()


def test_speech_is_read_from_what_datasets_loads(tmp_path: Path) -> None:
    """As the Hub stores it: an Audio column of parquet files, with the recordings' names."""
    folder = tmp_path / "sounds"

    def store(most: int) -> None:
        sounds = []
        for digit, number in itertools.islice(itertools.product(range(10), (5, 10)), most):
            file = io.BytesIO()
            noise = np.random.default_rng(digit).normal(0, 0.1, 2_000)
            soundfile.write(file, noise, 8_000, format="WAV")
            sounds.append({"bytes": file.getvalue(), "path": f"{digit}_ann_{number}.wav"})
        audio = datasets.Features({"audio": datasets.Audio(decode=False)})
        datasets.Dataset.from_dict({"audio": sounds}).cast(audio).to_parquet(folder / "train.parquet")

    folder.mkdir()
    store(20)
    script = ROOT / "recipes" / "speech_digits.py"
    given = ["--data", folder, "--output", tmp_path / "run", "--quick"]
    ended = run_script(script, given, tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "digit error rate" in ended.stdout
    store(19)
    ended = run_script(script, given, tmp_path)
    assert ended.returncode == 2
    assert "ann's 9 needs recordings numbered below 10 and" in ended.stderr


def test_every_recipe_is_smoke_tested() -> None:
    variants = {"multi30k_de_en", "multi30k_en_fr", "phrasebook_en_de"}  # scripts of the same choices
    scripts = {path.stem for path in (ROOT / "recipes").glob("*.py") if "__main__" in path.read_text()}
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
