"""A toy task and a tiny run trained on it once per session."""

import json
import os
import random
from pathlib import Path

# Tiny models gain nothing from threads, and tests start processes beside each other. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

from seq2seq.data.bucketing import BatchingConfig
from seq2seq.data.vocabulary import VocabularyConfig
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.seq2seq import ModelConfig
from seq2seq.runtime.device import compute_type, cpu_has_bf16_layers
from seq2seq.runtime.kernels import cpu_multiplies_int8
from seq2seq.tasks.configs import ExperimentConfig
from seq2seq.tasks.translation import run
from seq2seq.training.config import TrainerConfig
from seq2seq.training.optimizer import OptimizerConfig


def pytest_addoption(parser: pytest.Parser) -> None:
    """Here, as options can only be added by the tests' outermost conftest."""
    parser.addoption("--full", action="store_true", help="tests/reliability: the full number of faults")


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Random weights and data of a test are the same in every run, whatever ran before it."""
    random.seed(1)
    torch.manual_seed(1)


needs_bf16 = pytest.mark.skipif(
    compute_type("auto", torch.device("cpu")) != torch.bfloat16, reason="this CPU only emulates bf16"
)
needs_bf16_layers = pytest.mark.skipif(not cpu_has_bf16_layers(), reason="torch has no LSTM in bf16 on this CPU")
needs_int8 = pytest.mark.skipif(not cpu_multiplies_int8(), reason="this CPU has no VNNI instructions")

WORDS = ["ba", "ko", "mi", "lu", "te", "so", "ra", "ne"]


def write_toy_data(folder: Path, seed: int = 0) -> Path:
    """Three splits of a task that a tiny model learns: each word is written in capitals."""
    generator = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in (("train", 400), ("validation", 24), ("test", 24)):
        lines = [" ".join(generator.choices(WORDS, k=generator.randint(1, 6))) for _ in range(rows)]
        pairs = [json.dumps({"en": line, "de": line.upper()}) + "\n" for line in lines]
        (folder / f"{split}.jsonl").write_text("".join(pairs), encoding="utf-8")
    return folder


def toy_config(data: Path, output: Path, **trainer: object) -> ExperimentConfig:
    """Settings of a tiny model that trains in seconds."""
    return ExperimentConfig(
        data=str(data),
        source="en",
        target="de",
        output=str(output),
        vocabulary=VocabularyConfig(size=40, byte_fallback=False),
        model=ModelConfig(16, 0.1, "three_way", EncoderConfig(16), DecoderConfig(24, 2)),
        batching=BatchingConfig(max_tokens_per_batch=300),
        optimizer=OptimizerConfig(learning_rate=0.015, warmup_steps=10),
        # so that tests may ask for equal numbers on a machine with a GPU too
        trainer=TrainerConfig(
            **{"epochs": 5, "average_decay": 0.9, "deterministic": torch.cuda.is_available(), **trainer}
        ),  # type: ignore[arg-type]
    )


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the toy task."""
    return write_toy_data(tmp_path_factory.mktemp("toy") / "data")


@pytest.fixture(scope="session")
def toy_run(toy_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run directory of a tiny trained model."""
    output = tmp_path_factory.mktemp("toy") / "run"
    run(toy_config(toy_data, output, epochs=15))
    return output
