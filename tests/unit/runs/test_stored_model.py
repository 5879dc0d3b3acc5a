"""Sizes are compared before a model is built."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from seq2seq.config import read_config, write_run_config
from seq2seq.errors import UserError
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.frontends import FrontEndConfig
from seq2seq.model.language_model import LanguageModel, LanguageModelConfig
from seq2seq.model.seq2seq import GeneratorConfig, assemble_generator_model
from seq2seq.model.sequence_model import PredictorConfig, assemble_predictor_model
from seq2seq.runs.layout import MODEL_FILE
from seq2seq.runs.stored_model import check_fits, read_stored
from seq2seq.runs.weights import load_tensors, model_tensors, save_tensors
from seq2seq.tasks.base import build, check_start
from seq2seq.tasks.configs import ExperimentConfig
from tests.hostile import make_hostile

IMAGE = FrontEndConfig("image", 3, height=20, width=12, blocks=2)
ENCODER = EncoderConfig(8, 2, cell="peephole", subsampling=2, forward_layers=1)


@pytest.mark.parametrize(
    "assemble",
    [
        lambda size: assemble_generator_model(GeneratorConfig(IMAGE, 4 * size, encoder=ENCODER, ctc=True), 9),
        lambda size: assemble_predictor_model(PredictorConfig(size=size, answer="rollout", rollouts=2)),
        lambda size: LanguageModel(9, LanguageModelConfig("gru", size, 2)),
    ],
)
def test_shapes_are_those_of_the_real_model(assemble: Callable[[int], nn.Module], tmp_path: Path) -> None:
    save_tensors(model_tensors(assemble(8)), tmp_path / MODEL_FILE)
    check_fits(tmp_path / MODEL_FILE, lambda: assemble(8))
    for size in (16, 10**5):
        with pytest.raises(UserError, match=MODEL_FILE):
            check_fits(tmp_path / MODEL_FILE, lambda: assemble(size))  # noqa: B023


def test_dimensions_that_take_no_bytes_allow_nothing(toy_run: Path, tmp_path: Path) -> None:
    """A tensor without elements may have a dimension of any size."""
    tensors = {**load_tensors(toy_run / MODEL_FILE), "more": torch.empty(0, 10**12)}
    save_file(tensors, tmp_path / MODEL_FILE)
    with pytest.raises(UserError, match="does not belong to this model"):
        check_fits(tmp_path / MODEL_FILE, lambda: nn.Linear(10**9, 10**9))


@pytest.mark.parametrize(("option", "size"), [("hidden_size", 10**6), ("layers", 100), ("forward_layers", 100)])
def test_training_does_not_start_from_hostile_sizes(toy_run: Path, tmp_path: Path, option: str, size: int) -> None:
    """Neither from another run's, nor when a run is taken up whose configuration was changed and is given again."""
    run = tmp_path / "run"
    shutil.copytree(toy_run, run)
    make_hostile(run, ("encoder", option), size, "forged")
    content: dict[str, Any] = json.loads((run / "config.json").read_text())
    config = replace(read_config(toy_run / "config.json", ExperimentConfig), start_from=str(run))
    with pytest.raises(UserError, match=rf"model\.encoder\.{option} is {size}"):
        check_start(config)
    (run / "whole.json").write_text(json.dumps(content))
    taken_up = replace(read_config(run / "whole.json", ExperimentConfig), output=str(run))
    with pytest.raises(UserError, match=rf"model\.encoder\.{option} is {size}"):
        build(taken_up, run, lambda: pytest.fail("built"), torch.device("cpu"))


@pytest.mark.parametrize("model", [{"outputs": 2}, {"hidden_size": 2}, {"front_end": {}}, {"tie": "none"}])
def test_a_run_is_of_the_kind_that_it_says(model: dict[str, Any], tmp_path: Path) -> None:
    """Whatever its model's fields are called; of runs of format 1, which do not say it, these decide."""
    write_run_config(tmp_path / "config.json", {"model": model}, "generator", "my:model")
    assert read_stored(tmp_path) == (model, "generator", "my:model")
    (tmp_path / "config.json").write_text(json.dumps({"format": 1, "model": model}))
    guessed = {"outputs": "predictor", "hidden_size": "language_model", "front_end": "generator", "tie": "translator"}
    assert read_stored(tmp_path) == (model, guessed[next(iter(model))], "")


def test_a_kind_that_the_model_is_not_of_is_damage(tmp_path: Path) -> None:
    write_run_config(tmp_path / "config.json", {"model": {"outputs": 2}}, "generator", "")
    with pytest.raises(UserError, match="option 'kind' is generator, but the model's options are a predictor's"):
        read_stored(tmp_path)


def test_a_folder_in_place_of_the_weights_is_named(tmp_path: Path) -> None:
    (tmp_path / MODEL_FILE).mkdir()
    with pytest.raises(UserError, match=f"{MODEL_FILE}: a folder stands where the file should"):
        load_tensors(tmp_path / MODEL_FILE)


@pytest.mark.parametrize("kind", [None, "banana", 5, ["translator"]])
def test_a_kind_that_is_none_is_damage(kind: object, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"format": 2, "kind": kind, "model": {}}))
    with pytest.raises(UserError, match=r"config\.json: option 'kind' must be translator or .*; restore the run's own"):
        read_stored(tmp_path)
