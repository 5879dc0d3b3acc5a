"""Tiny trained runs of every kind, and what any run answers to given inputs."""

from pathlib import Path
from typing import Any

import numpy as np

import seq2seq
from seq2seq.data.bucketing import BatchingConfig
from seq2seq.inference.character_model import CharacterModel
from seq2seq.inference.predictor import Predictor
from seq2seq.inference.transcriber import Generator
from seq2seq.model.decoder import DecoderConfig
from seq2seq.model.encoder import EncoderConfig
from seq2seq.model.frontends import FrontEndConfig
from seq2seq.model.language_model import LanguageModelConfig
from seq2seq.model.seq2seq import GeneratorConfig
from seq2seq.model.sequence_model import PredictorConfig
from seq2seq.tasks.configs import GeneratorTask, LanguageModelTask, PredictorTask
from seq2seq.tasks.language_modelling import train_language_model
from seq2seq.tasks.prediction import train_predictor
from seq2seq.tasks.transcription import Captioned, train_generator
from seq2seq.tasks.translation import run
from seq2seq.training.config import TrainerConfig
from seq2seq.training.objectives import labelling
from seq2seq.training.optimizer import OptimizerConfig
from tests.conftest import toy_config, write_toy_data

NAMES = ["one", "two", "three", "four"]
OPTIMIZER = OptimizerConfig(learning_rate=0.02, warmup_steps=5, schedule="constant")
BATCHING = BatchingConfig(max_tokens_per_batch=200)
RHYME = "abcdefgh\n" * 120


def frames_of(digits: Any) -> np.ndarray:
    """One-hot for each digit, then nothing (where CTC has room for a blank)."""
    return np.stack((np.eye(4)[digits], np.zeros((len(digits), 4))), 1).reshape(-1, 4).astype(np.float32)


def spelled(count: int, seed: int) -> Captioned:
    """Rows of noisy vectors to be named."""
    random = np.random.default_rng(seed)
    inputs, references = [], []
    for _ in range(count):
        digits = random.integers(4, size=random.integers(1, 4))
        frames = frames_of(digits)
        inputs.append((frames + random.normal(0, 0.1, frames.shape)).astype(np.float32))
        references.append([" ".join(NAMES[digit] for digit in digits)])
    return Captioned(inputs, references)


def generator_task(output: Path, epochs: int = 6, **trainer: int) -> GeneratorTask:
    """Learns `spelled`."""
    encoder, decoder = EncoderConfig(16), DecoderConfig(16, 1, coupling="none")
    return GeneratorTask(
        output=str(output),
        model=GeneratorConfig(FrontEndConfig("features", 4), 16, 0.0, encoder, decoder, ctc=True),
        batching=BATCHING,
        optimizer=OPTIMIZER,
        trainer=TrainerConfig(epochs=epochs, precision="fp32", best_metric="loss", average_decay=0.9, **trainer),
    )


def sums(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Numbers in [0, 1], each labelled with whether the sum so far exceeds 2."""
    numbers = np.random.default_rng(1).random((count, 8, 1), np.float32)
    return list(zip(numbers, (numbers[..., 0].cumsum(1) > 2).astype(np.int64), strict=True))


def predictor_task(output: Path) -> PredictorTask:
    """Learns `sums`."""
    return PredictorTask(
        output=str(output),
        model=PredictorConfig(FrontEndConfig("features", 1), 8, 0.0, EncoderConfig(16)),
        batching=BATCHING,
        optimizer=OPTIMIZER,
        trainer=TrainerConfig(epochs=10, best_metric="loss", average_decay=0.9),
    )


def language_model_task(output: Path, optimizer: OptimizerConfig = OPTIMIZER) -> LanguageModelTask:
    """Learns RHYME."""
    return LanguageModelTask(
        output=str(output),
        model=LanguageModelConfig("gru", hidden_size=24, embedding_size=8, dropout=0.0),
        window=27,
        batching=BatchingConfig(max_tokens_per_batch=270, length_step=1),
        optimizer=optimizer,
        trainer=TrainerConfig(epochs=20, best_metric="loss", average_decay=0.9),
    )


def train_all(folder: Path) -> dict[str, list[Any]]:
    """Trains a run of each kind in folder/KIND; gives inputs (JSON) for each."""
    run(toy_config(write_toy_data(folder / "data"), folder / "translator", epochs=15))
    train_generator(generator_task(folder / "generator"), spelled(300, 1), spelled(40, 2))
    train_predictor(predictor_task(folder / "predictor"), sums(250), sums(300)[250:], labelling())
    train_language_model(language_model_task(folder / "characters"), RHYME, RHYME[:90], lambda _: None)
    return {
        "translator": ["ba ko mi", "lu te so ra ne", "ne ne", "so", ""],
        "generator": [frames_of(digits).tolist() for digits in ([0], [1, 2], [3, 3, 0], [2, 0, 1])],
        "predictor": [[[0.9], [0.8], [0.7]], [[0.25]], [[0.5]] * 7],
        "characters": ["abc", "fgh\nab", "hhh"],
    }


def answers(directory: Path, inputs: list[Any]) -> list[Any]:
    """What a run of any kind gives for these inputs, as JSON: texts and numbers."""
    model = seq2seq.load(directory)
    match model:
        case Generator():
            found = model.search([np.array(each, np.float32) for each in inputs])
            texts = model.vocabulary.decode_batch([best[0].tokens for best in found])
            return [[text, best[0].score] for text, best in zip(texts, found, strict=True)]
        case Predictor():
            return [each.tolist() for each in model.predict([np.array(each, np.float32) for each in inputs])]
        case CharacterModel():
            return [[model.sample(each, 5, temperature=0.01), model.bits_per_character(each)] for each in inputs]
    return [[best[0].text, best[0].score] for best in model.search(inputs)]
