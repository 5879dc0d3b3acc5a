"""Generators, predictors and language models trained in a directory: they learn, resume exactly, and are loaded."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import seq2seq
from seq2seq.data.bucketing import BatchingConfig
from seq2seq.data.vocabulary import Vocabulary, VocabularyConfig
from seq2seq.errors import UserError
from seq2seq.inference.character_model import CharacterModel
from seq2seq.model.frontends import FrontEndConfig
from seq2seq.tasks.dry_run import description_of
from seq2seq.tasks.language_modelling import train_language_model
from seq2seq.tasks.prediction import train_predictor
from seq2seq.tasks.transcription import Captioned, train_generator
from seq2seq.training.config import TrainerConfig
from seq2seq.training.objectives import labelling, regression
from tests.tiny_runs import (
    NAMES,
    OPTIMIZER,
    RHYME,
    frames_of,
    generator_task,
    language_model_task,
    predictor_task,
    spelled,
    sums,
)


def figures(run: Path) -> list[dict[str, float]]:
    """The journal without what depends on the clock."""
    entries = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in entry.items() if name in ("step", "validation_loss")} for entry in entries]


def test_a_generator_learns_and_is_loaded(tmp_path: Path) -> None:
    config = generator_task(tmp_path / "run", epochs=10)
    trained = train_generator(config, spelled(300, 1), spelled(40, 2))
    test = spelled(40, 3)
    wanted = [lines[0] for lines in test.references]
    assert trained.generate(test.inputs) == wanted
    assert trained.generate_by_ctc(test.inputs) == wanted
    loaded = seq2seq.load(tmp_path / "run")
    assert loaded.generate(test.inputs, ctc_weight=0.3) == wanted


def test_a_curriculum_resumes_exactly(tmp_path: Path) -> None:
    """Stopped in the second of three stages; the uninterrupted run ends with the same weights."""
    stages = [spelled(60, seed) for seed in (1, 2, 3)]
    validation = spelled(20, 4)
    for name, limits in (("whole", [0]), ("broken", [6, 0])):
        for limit in limits:
            train_generator(generator_task(tmp_path / name, epochs=4, max_steps=limit), stages, validation)
    whole, broken = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "broken"))
    assert whole == broken
    assert figures(tmp_path / "whole")[-1] == figures(tmp_path / "broken")[-1]


def test_a_predictor_learns_and_refuses_other_settings(tmp_path: Path) -> None:
    examples, config = sums(300), predictor_task(tmp_path / "run")
    predictor = train_predictor(config, examples[:250], examples[250:], labelling())
    found = predictor.classify([inputs for inputs, _ in examples[250:]])
    right = np.mean([(one == labels).mean() for one, (_, labels) in zip(found, examples[250:], strict=True)])
    always_one = np.mean([labels.mean() for _, labels in examples[250:]])
    assert right > 0.95 > always_one
    with pytest.raises(UserError, match="a run on other data"):
        train_predictor(config, examples[:200], examples[250:], labelling())
    with pytest.raises(UserError, match=r"trainer\.seed was 1, is 2"):
        train_predictor(
            replace(config, trainer=replace(config.trainer, seed=2)), examples[:250], examples[250:], labelling()
        )


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
def test_a_language_model_learns_a_rhyme(optimizer: str, tmp_path: Path) -> None:
    rate = {"adam": 0.02, "rmsprop": 0.01, "sgd": 1.0}[optimizer]
    chosen = replace(OPTIMIZER, name=optimizer, learning_rate=rate)  # type: ignore[arg-type]
    config = language_model_task(tmp_path / "run", chosen)
    seen: list[str] = []

    def sample(model: CharacterModel) -> None:
        seen.append(model.sample("a", 8, temperature=0.1))

    model = train_language_model(config, RHYME, RHYME[:90], sample)
    assert len(seen) == 20
    assert model.sample("ab", 16, temperature=0.1) == "cdefgh\nabcdefgh\na"[:16]
    assert model.bits_per_character(RHYME[:90]) < 0.3
    with pytest.raises(UserError, match="a run on other data"):
        train_language_model(config, RHYME.upper(), RHYME[:90], sample)
    assert seq2seq.load(tmp_path / "run").sample("ab", 7, temperature=0.1) == "cdefgh\n"


def test_tasks_start_from_another_runs_model(tmp_path: Path) -> None:
    """One step at a rate of nearly nothing leaves what the first run had learned, on data with other words."""
    nearly_nothing = replace(OPTIMIZER, learning_rate=1e-9)
    first = train_generator(generator_task(tmp_path / "first", epochs=10), spelled(300, 1), spelled(40, 2))
    few = Captioned(*zip(*((frames_of([digit]), [NAMES[digit]]) for digit in (0, 1)), strict=True))
    config = replace(
        generator_task(tmp_path / "second", max_steps=1), start_from=str(tmp_path / "first"), optimizer=nearly_nothing
    )
    test = spelled(40, 3).inputs
    assert train_generator(config, few, few).generate(test) == first.generate(test)

    rhyming = replace(language_model_task(tmp_path / "rhyme"), trainer=TrainerConfig(epochs=10, best_metric="loss"))
    train_language_model(rhyming, RHYME, RHYME[:90], lambda _: None)
    config_ = replace(
        rhyming,
        output=str(tmp_path / "other"),
        start_from=str(tmp_path / "rhyme"),
        optimizer=nearly_nothing,
        trainer=TrainerConfig(max_steps=1, best_metric="loss"),
    )
    model = train_language_model(config_, "hgfe" * 40, "abcd", lambda _: None)
    assert model.sample("ab", 7, temperature=0.1) == seq2seq.load(tmp_path / "rhyme").sample("ab", 7, temperature=0.1)


def test_a_predictor_starts_only_where_ids_mean_the_same(tmp_path: Path) -> None:
    def words(*texts: str) -> Vocabulary:
        return Vocabulary.train(texts, VocabularyConfig(size=40, model_type="word", byte_fallback=False))

    examples = [(np.array([4, 5, 4]), np.array([0, 1, 0]))] * 20
    task = predictor_task(tmp_path / "first")
    model = replace(task.model, front_end=FrontEndConfig("tokens", 6))
    task = replace(task, model=model, trainer=TrainerConfig(max_steps=1, best_metric="loss"))
    train_predictor(task, examples, examples, labelling(), vocabulary=words("ba ko"))
    second = replace(task, output=str(tmp_path / "second"), start_from=str(tmp_path / "first"))
    with pytest.raises(UserError, match="another vocabulary than that of this data"):
        train_predictor(second, examples, examples, labelling(), vocabulary=words("mi lu"))
    train_predictor(second, examples, examples, labelling(), vocabulary=words("ba ko"))


def train_quickly(kind: str, folder: Path, **changes: Any) -> str:
    """A smoke run in folder/KIND; what it describes, if it is a dry run."""
    match kind:
        case "generator":
            task: Any = replace(generator_task(folder / kind), quick=True, **changes)
            return description_of(lambda: train_generator(task, spelled(60, 1), spelled(8, 2)))
        case "predictor":
            task = replace(predictor_task(folder / kind), quick=True, **changes)
            return description_of(lambda: train_predictor(task, sums(60), sums(8), labelling()))
    task = replace(language_model_task(folder / kind), quick=True, **changes)
    return description_of(lambda: train_language_model(task, RHYME, RHYME[:90], lambda _: None))


KINDS = ["generator", "predictor", "language_model"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_dry_run_of_any_task_describes_and_writes_nothing(kind: str, tmp_path: Path) -> None:
    """Neither where no run has begun, nor in one that has: there it goes by what lies in it."""
    described = train_quickly(kind, tmp_path, dry_run=True)
    assert "parameters: " in described
    assert "memory estimate" in described
    assert "first batch: " in described
    assert not (tmp_path / kind).exists()
    assert train_quickly(kind, tmp_path) == ""
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert train_quickly(kind, tmp_path, dry_run=True) == described
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    with pytest.raises(UserError, match=r"batching\.max_tokens_per_batch was"):
        train_quickly(kind, tmp_path, dry_run=True, batching=BatchingConfig(max_tokens_per_batch=333))


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_any_task_has_a_model_card(kind: str, tmp_path: Path) -> None:
    """With the figures of the best validation and a call that loads it; one that was edited is kept."""
    train_quickly(kind, tmp_path)
    card = (tmp_path / kind / "README.md").read_text()
    _, front, text = card.split("---\n", 2)
    assert yaml.safe_load(front) == {"library_name": "seq2seq"}
    lines = (tmp_path / kind / "metrics.jsonl").read_text().splitlines()
    losses = [entry["validation_loss"] for entry in map(json.loads, lines) if "validation_loss" in entry]
    assert [line for line in text.split("\n") if line.startswith("| ")][1] == f"| loss | {min(losses):.4g} |"
    assert "The best model was chosen by loss." in text
    call = re.search(r"model = seq2seq\.load.*", text)
    assert call is not None
    scope: dict[str, Any] = {"seq2seq": seq2seq}
    exec(call[0].replace("path/to/this/directory", str(tmp_path / kind)), scope)
    assert scope["model"].kind == kind
    (tmp_path / kind / "README.md").write_text(card.replace("settings", "choices"))
    train_quickly(kind, tmp_path)
    assert "Its choices: " in (tmp_path / kind / "README.md").read_text()


def test_a_training_whose_loss_is_never_a_number_says_so(tmp_path: Path) -> None:
    """Squares of these targets are beyond fp32: no validation chooses a model."""
    far = [(inputs, 1e30 * labels[:, None].astype(np.float32)) for inputs, labels in sums(60)]
    task = replace(predictor_task(tmp_path / "run"), trainer=TrainerConfig(epochs=1, best_metric="loss"))
    task = replace(task, model=replace(task.model, outputs=1))
    with pytest.raises(
        UserError, match=r"run: no validation had a number as its loss, so that no model was kept; lower optimizer"
    ):
        train_predictor(task, far, far, regression())


def test_a_figure_that_a_task_lacks_is_refused_at_the_start(tmp_path: Path) -> None:
    config = language_model_task(tmp_path / "run")
    config = replace(config, trainer=replace(config.trainer, best_metric="bleu"))
    with pytest.raises(UserError, match=r"best_metric must be loss in this task, not bleu"):
        train_language_model(config, RHYME, RHYME[:90], lambda _: None)
    assert not (tmp_path / "run").exists()
