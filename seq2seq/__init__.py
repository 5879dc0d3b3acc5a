"""seq2seq: BiLSTM encoder, attention, LSTM decoder; trained on Hugging Face datasets, decoded by beam search, scored.

The names below are imported when they are first used, so that a command starts without what it does not need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what type checkers and editors see; `_NAMES` below says the same to Python
    from seq2seq.batching import BatchingConfig as BatchingConfig
    from seq2seq.config import Interrupted as Interrupted
    from seq2seq.config import UserError as UserError
    from seq2seq.corpus import DataConfig as DataConfig
    from seq2seq.decoder import DecoderConfig as DecoderConfig
    from seq2seq.encoder import EncoderConfig as EncoderConfig
    from seq2seq.experiment import ExperimentConfig as ExperimentConfig
    from seq2seq.experiment import run as run
    from seq2seq.frontends import FrontEndConfig as FrontEndConfig
    from seq2seq.generator import Generator as Generator
    from seq2seq.generator import GeneratorConfig as GeneratorConfig
    from seq2seq.language_model import CharacterModel as CharacterModel
    from seq2seq.language_model import LanguageModelConfig as LanguageModelConfig
    from seq2seq.model import ModelConfig as ModelConfig
    from seq2seq.predictor import Predictor as Predictor
    from seq2seq.predictor import PredictorConfig as PredictorConfig
    from seq2seq.schedule import OptimizerConfig as OptimizerConfig
    from seq2seq.search import SearchConfig as SearchConfig
    from seq2seq.trainer import TrainerConfig as TrainerConfig
    from seq2seq.training import Captioned as Captioned
    from seq2seq.training import GeneratorTask as GeneratorTask
    from seq2seq.training import LanguageModelTask as LanguageModelTask
    from seq2seq.training import PredictorTask as PredictorTask
    from seq2seq.training import train_generator as train_generator
    from seq2seq.training import train_language_model as train_language_model
    from seq2seq.training import train_predictor as train_predictor
    from seq2seq.translation import Alignment as Alignment
    from seq2seq.translation import Translation as Translation
    from seq2seq.translator import Translator as Translator
    from seq2seq.translator import load as load
    from seq2seq.vocabulary import Vocabulary as Vocabulary
    from seq2seq.vocabulary import VocabularyConfig as VocabularyConfig

_NAMES = {
    "batching": ("BatchingConfig",),
    "config": ("Interrupted", "UserError"),
    "corpus": ("DataConfig",),
    "decoder": ("DecoderConfig",),
    "encoder": ("EncoderConfig",),
    "experiment": ("ExperimentConfig", "run"),
    "frontends": ("FrontEndConfig",),
    "generator": ("Generator", "GeneratorConfig"),
    "language_model": ("CharacterModel", "LanguageModelConfig"),
    "model": ("ModelConfig",),
    "predictor": ("Predictor", "PredictorConfig"),
    "schedule": ("OptimizerConfig",),
    "search": ("SearchConfig",),
    "trainer": ("TrainerConfig",),
    "training": (
        "Captioned",
        "GeneratorTask",
        "LanguageModelTask",
        "PredictorTask",
        "train_generator",
        "train_language_model",
        "train_predictor",
    ),
    "translation": ("Alignment", "Translation"),
    "translator": ("Translator", "load"),
    "vocabulary": ("Vocabulary", "VocabularyConfig"),
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names}
__all__ = sorted(_HOMES)


if not TYPE_CHECKING:  # seeing it, type checkers would take any name for one of this package's

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'seq2seq' has no attribute {name!r}")
        return getattr(import_module(f"seq2seq.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
