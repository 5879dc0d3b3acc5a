"""seq2seq: BiLSTM encoder, attention, LSTM decoder; trained on Hugging Face datasets, decoded by beam search, scored.

The names below are imported when they are first used, so that a command starts without what it does not need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what type checkers and editors see; `_NAMES` below says the same to Python
    from seq2seq.data.bucketing import BatchingConfig as BatchingConfig
    from seq2seq.data.corpus import DataConfig as DataConfig
    from seq2seq.data.vocabulary import Vocabulary as Vocabulary
    from seq2seq.data.vocabulary import VocabularyConfig as VocabularyConfig
    from seq2seq.errors import Interrupted as Interrupted
    from seq2seq.errors import UserError as UserError
    from seq2seq.inference.character_model import CharacterModel as CharacterModel
    from seq2seq.inference.load import load as load
    from seq2seq.inference.outputs import Alignment as Alignment
    from seq2seq.inference.outputs import Translation as Translation
    from seq2seq.inference.predictor import Predictor as Predictor
    from seq2seq.inference.transcriber import Generator as Generator
    from seq2seq.inference.translator import Translator as Translator
    from seq2seq.model.decoder import DecoderConfig as DecoderConfig
    from seq2seq.model.encoder import EncoderConfig as EncoderConfig
    from seq2seq.model.frontends import FrontEndConfig as FrontEndConfig
    from seq2seq.model.language_model import LanguageModelConfig as LanguageModelConfig
    from seq2seq.model.seq2seq import GeneratorConfig as GeneratorConfig
    from seq2seq.model.seq2seq import ModelConfig as ModelConfig
    from seq2seq.model.sequence_model import PredictorConfig as PredictorConfig
    from seq2seq.search.beam import SearchConfig as SearchConfig
    from seq2seq.tasks.configs import ExperimentConfig as ExperimentConfig
    from seq2seq.tasks.configs import GeneratorTask as GeneratorTask
    from seq2seq.tasks.configs import LanguageModelTask as LanguageModelTask
    from seq2seq.tasks.configs import PredictorTask as PredictorTask
    from seq2seq.tasks.language_modelling import train_language_model as train_language_model
    from seq2seq.tasks.prediction import train_predictor as train_predictor
    from seq2seq.tasks.transcription import Captioned as Captioned
    from seq2seq.tasks.transcription import train_generator as train_generator
    from seq2seq.tasks.translation import run as run
    from seq2seq.training.config import TrainerConfig as TrainerConfig
    from seq2seq.training.optimizer import OptimizerConfig as OptimizerConfig

_NAMES = {
    "data.bucketing": ("BatchingConfig",),
    "data.corpus": ("DataConfig",),
    "data.vocabulary": (
        "Vocabulary",
        "VocabularyConfig",
    ),
    "errors": (
        "Interrupted",
        "UserError",
    ),
    "inference.character_model": ("CharacterModel",),
    "inference.load": ("load",),
    "inference.outputs": (
        "Alignment",
        "Translation",
    ),
    "inference.predictor": ("Predictor",),
    "inference.transcriber": ("Generator",),
    "inference.translator": ("Translator",),
    "model.decoder": ("DecoderConfig",),
    "model.encoder": ("EncoderConfig",),
    "model.frontends": ("FrontEndConfig",),
    "model.language_model": ("LanguageModelConfig",),
    "model.seq2seq": (
        "GeneratorConfig",
        "ModelConfig",
    ),
    "model.sequence_model": ("PredictorConfig",),
    "search.beam": ("SearchConfig",),
    "tasks.configs": (
        "ExperimentConfig",
        "GeneratorTask",
        "LanguageModelTask",
        "PredictorTask",
    ),
    "tasks.language_modelling": ("train_language_model",),
    "tasks.prediction": ("train_predictor",),
    "tasks.transcription": (
        "Captioned",
        "train_generator",
    ),
    "tasks.translation": ("run",),
    "training.config": ("TrainerConfig",),
    "training.optimizer": ("OptimizerConfig",),
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
