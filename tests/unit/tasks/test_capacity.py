"""Models are measured before memory is taken for them."""

import pytest
import torch

from seq2seq.errors import UserError
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.frontends import FrontEndConfig
from seq2seq.model.language_model import LanguageModelConfig, build_language_model
from seq2seq.model.seq2seq import GeneratorConfig, ModelConfig, build_generator_model, build_model
from seq2seq.model.sequence_model import PredictorConfig, build_predictor_model
from seq2seq.tasks import capacity
from seq2seq.tasks.capacity import device_bytes, fresh_model, training_bytes
from seq2seq.training.config import TrainerConfig
from seq2seq.training.optimizer import OptimizerConfig

CPU = torch.device("cpu")
TRAINER, OPTIMIZER = TrainerConfig(), OptimizerConfig()
BUILDS = {
    "translation": lambda size: build_model(ModelConfig(16, encoder=EncoderConfig(size)), 40, 40),
    "peephole": lambda size: build_model(ModelConfig(16, encoder=EncoderConfig(size, cell="peephole")), 40, 40),
    "generator": lambda size: build_generator_model(
        GeneratorConfig(FrontEndConfig("image", 3, 32, 32), 16, encoder=EncoderConfig(size), ctc=True), 40
    ),
    "predictor": lambda size: build_predictor_model(PredictorConfig(encoder=EncoderConfig(size), answer="rollout")),
    "language model": lambda size: build_language_model(LanguageModelConfig("gru", size), 40),
}


@pytest.mark.parametrize("kind", BUILDS)
def test_a_model_beyond_the_machine_is_refused_before_it_is_built(kind: str) -> None:
    """A million units: terabytes, which would end the test if they were asked for."""
    with pytest.raises(
        UserError, match=r"a model of [\d,]+ parameters needs [\d,]+ MiB .*machine has [\d,]+ MiB \(cpu\)"
    ):
        fresh_model(lambda: BUILDS[kind](1_000_000), TRAINER, OPTIMIZER, CPU)


@pytest.mark.parametrize("kind", BUILDS)
def test_a_model_that_fits_is_the_one_of_its_seed(kind: str) -> None:
    torch.manual_seed(TRAINER.seed)
    expected = BUILDS[kind](8).state_dict()
    found = fresh_model(lambda: BUILDS[kind](8), TRAINER, OPTIMIZER, CPU).state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_copies_are_those_that_the_optimiser_and_the_average_keep() -> None:
    assert training_bytes(10, TRAINER, OPTIMIZER) == 4 * 10 * 5  # weight, gradient, two moments, average
    assert training_bytes(10, TrainerConfig(average_decay=0), OptimizerConfig(name="sgd")) == 4 * 10 * 2


def test_the_limit_is_the_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    model = BUILDS["translation"](8)
    needed = training_bytes(sum(each.numel() for each in model.parameters()), TRAINER, OPTIMIZER)
    assert device_bytes(CPU) > needed
    monkeypatch.setattr(capacity, "device_bytes", lambda _: needed - 1)
    with pytest.raises(UserError, match="lower the sizes in model"):
        fresh_model(lambda: BUILDS["translation"](8), TRAINER, OPTIMIZER, CPU)
    monkeypatch.setattr(capacity, "device_bytes", lambda _: needed)
    fresh_model(lambda: BUILDS["translation"](8), TRAINER, OPTIMIZER, CPU)
