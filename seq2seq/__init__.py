"""seq2seq: BiLSTM encoder, attention, LSTM decoder; trained on Hugging Face datasets, decoded by beam search, scored.

The names below are imported when they are first used, so that a command starts without what it does not need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what type checkers and editors see; `_NAMES` below says the same to Python
    from seq2seq.cli.exit_status import guard_imports as guard_imports
    from seq2seq.cli.script import run_recipe as run_recipe
    from seq2seq.cli.script import run_task as run_task
    from seq2seq.config import COUNTS as COUNTS
    from seq2seq.config import Real as Real
    from seq2seq.config import Whole as Whole
    from seq2seq.config import check_numbers as check_numbers
    from seq2seq.data.audio import LogMel as LogMel
    from seq2seq.data.bucketing import BatchingConfig as BatchingConfig
    from seq2seq.data.characters import Characters as Characters
    from seq2seq.data.corpus import DataConfig as DataConfig
    from seq2seq.data.corpus import load_split as load_split
    from seq2seq.data.corpus import references as references
    from seq2seq.data.formats import read_text as read_text
    from seq2seq.data.images import CaptionedImages as CaptionedImages
    from seq2seq.data.images import backbone as backbone
    from seq2seq.data.images import encode_images as encode_images
    from seq2seq.data.images import open_captioned as open_captioned
    from seq2seq.data.images import pixels as pixels
    from seq2seq.data.labelled_texts import find_labelled_texts as find_labelled_texts
    from seq2seq.data.labelled_texts import find_slots as find_slots
    from seq2seq.data.labelled_texts import three_parts as three_parts
    from seq2seq.data.loading import open_any as open_any
    from seq2seq.data.mixing import CorpusConfig as CorpusConfig
    from seq2seq.data.readers import ReaderConfig as ReaderConfig
    from seq2seq.data.sequences import parts_in_order as parts_in_order
    from seq2seq.data.sequences import read_answered as read_answered
    from seq2seq.data.sequences import read_sequences as read_sequences
    from seq2seq.data.series import Series as Series
    from seq2seq.data.series import mean_and_deviation as mean_and_deviation
    from seq2seq.data.series import read_series as read_series
    from seq2seq.data.series import time_step as time_step
    from seq2seq.data.sounds import Sound as Sound
    from seq2seq.data.sounds import open_sounds as open_sounds
    from seq2seq.data.sounds import read_samples as read_samples
    from seq2seq.data.vocabulary import Vocabulary as Vocabulary
    from seq2seq.data.vocabulary import VocabularyConfig as VocabularyConfig
    from seq2seq.errors import Interrupted as Interrupted
    from seq2seq.errors import UserError as UserError
    from seq2seq.errors import check as check
    from seq2seq.evaluation.captions import caption_scores as caption_scores
    from seq2seq.evaluation.error_rates import error_rates as error_rates
    from seq2seq.evaluation.metrics import Scores as Scores
    from seq2seq.evaluation.metrics import corpus_scores as corpus_scores
    from seq2seq.evaluation.metrics import exact_match as exact_match
    from seq2seq.evaluation.plotting import plot_frames as plot_frames
    from seq2seq.evaluation.plotting import plot_image_attention as plot_image_attention
    from seq2seq.evaluation.plotting import plot_lines as plot_lines
    from seq2seq.evaluation.spans import span_f1 as span_f1
    from seq2seq.inference.character_model import CharacterModel as CharacterModel
    from seq2seq.inference.columns import ColumnTranslator as ColumnTranslator
    from seq2seq.inference.decoding import attends as attends
    from seq2seq.inference.load import load as load
    from seq2seq.inference.neural_cache import NeuralCache as NeuralCache
    from seq2seq.inference.neural_cache import bits_with_cache as bits_with_cache
    from seq2seq.inference.neural_cache import tuned_cache as tuned_cache
    from seq2seq.inference.outputs import Alignment as Alignment
    from seq2seq.inference.outputs import Translation as Translation
    from seq2seq.inference.predictor import Predictor as Predictor
    from seq2seq.inference.reading import read_source as read_source
    from seq2seq.inference.reading import text_ids as text_ids
    from seq2seq.inference.transcriber import Generator as Generator
    from seq2seq.inference.translator import Translator as Translator
    from seq2seq.model.decoder import DecoderConfig as DecoderConfig
    from seq2seq.model.encoder import Direction as Direction
    from seq2seq.model.encoder import EncoderConfig as EncoderConfig
    from seq2seq.model.frontends import FrontEndConfig as FrontEndConfig
    from seq2seq.model.heads import Pooling as Pooling
    from seq2seq.model.language_model import LanguageModelConfig as LanguageModelConfig
    from seq2seq.model.seq2seq import GeneratorConfig as GeneratorConfig
    from seq2seq.model.seq2seq import ModelConfig as ModelConfig
    from seq2seq.model.seq2seq import build_model as build_model
    from seq2seq.model.sequence_model import PredictorConfig as PredictorConfig
    from seq2seq.runs.layout import begun as begun
    from seq2seq.runs.metrics_log import read_journal as read_journal
    from seq2seq.runtime.atomic_files import write_once as write_once
    from seq2seq.runtime.distributed import end_other_processes as end_other_processes
    from seq2seq.search.beam import SearchConfig as SearchConfig
    from seq2seq.tasks.base import scratch_output as scratch_output
    from seq2seq.tasks.captioning import CaptionTask as CaptionTask
    from seq2seq.tasks.captioning import draw_image_attention as draw_image_attention
    from seq2seq.tasks.captioning import read_captioned as read_captioned
    from seq2seq.tasks.configs import ExperimentConfig as ExperimentConfig
    from seq2seq.tasks.configs import GeneratorTask as GeneratorTask
    from seq2seq.tasks.configs import LanguageModelTask as LanguageModelTask
    from seq2seq.tasks.configs import PredictorTask as PredictorTask
    from seq2seq.tasks.configs import WordTask as WordTask
    from seq2seq.tasks.evaluate import Evaluation as Evaluation
    from seq2seq.tasks.language_modelling import train_language_model as train_language_model
    from seq2seq.tasks.prediction import learn_words as learn_words
    from seq2seq.tasks.prediction import train_predictor as train_predictor
    from seq2seq.tasks.small_data import fit_to_data as fit_to_data
    from seq2seq.tasks.transcription import Captioned as Captioned
    from seq2seq.tasks.transcription import decode_every_way as decode_every_way
    from seq2seq.tasks.transcription import draw_attention as draw_attention
    from seq2seq.tasks.transcription import train_generator as train_generator
    from seq2seq.tasks.translation import run as run
    from seq2seq.tasks.variants import train_variants as train_variants
    from seq2seq.tasks.variants import variant_folder as variant_folder
    from seq2seq.training.config import TrainerConfig as TrainerConfig
    from seq2seq.training.objectives import classification as classification
    from seq2seq.training.objectives import labelling as labelling
    from seq2seq.training.objectives import labelling_and_classification as labelling_and_classification
    from seq2seq.training.objectives import regression as regression
    from seq2seq.training.optimizer import OptimizerConfig as OptimizerConfig

_NAMES = {
    "cli.exit_status": ("guard_imports",),
    "cli.script": ("run_recipe", "run_task"),
    "config": ("COUNTS", "Real", "Whole", "check_numbers"),
    "data.audio": ("LogMel",),
    "data.bucketing": ("BatchingConfig",),
    "data.corpus": ("DataConfig", "load_split", "references"),
    "data.formats": ("read_text",),
    "data.images": ("CaptionedImages", "backbone", "encode_images", "open_captioned", "pixels"),
    "data.labelled_texts": ("find_labelled_texts", "find_slots", "three_parts"),
    "data.loading": ("open_any",),
    "data.mixing": ("CorpusConfig",),
    "data.readers": ("ReaderConfig",),
    "data.characters": ("Characters",),
    "data.sequences": ("parts_in_order", "read_answered", "read_sequences"),
    "data.series": ("Series", "mean_and_deviation", "read_series", "time_step"),
    "data.sounds": ("Sound", "open_sounds", "read_samples"),
    "data.vocabulary": ("Vocabulary", "VocabularyConfig"),
    "errors": ("Interrupted", "UserError", "check"),
    "evaluation.captions": ("caption_scores",),
    "evaluation.error_rates": ("error_rates",),
    "evaluation.metrics": ("Scores", "corpus_scores", "exact_match"),
    "evaluation.plotting": ("plot_frames", "plot_image_attention", "plot_lines"),
    "evaluation.spans": ("span_f1",),
    "inference.decoding": ("attends",),
    "inference.character_model": ("CharacterModel",),
    "inference.columns": ("ColumnTranslator",),
    "inference.load": ("load",),
    "inference.neural_cache": ("NeuralCache", "bits_with_cache", "tuned_cache"),
    "inference.outputs": ("Alignment", "Translation"),
    "inference.predictor": ("Predictor",),
    "inference.reading": ("read_source", "text_ids"),
    "inference.transcriber": ("Generator",),
    "inference.translator": ("Translator",),
    "model.decoder": ("DecoderConfig",),
    "model.encoder": ("Direction", "EncoderConfig"),
    "model.frontends": ("FrontEndConfig",),
    "model.heads": ("Pooling",),
    "model.language_model": ("LanguageModelConfig",),
    "model.seq2seq": ("GeneratorConfig", "ModelConfig", "build_model"),
    "model.sequence_model": ("PredictorConfig",),
    "runs.layout": ("begun",),
    "runs.metrics_log": ("read_journal",),
    "runtime.atomic_files": ("write_once",),
    "runtime.distributed": ("end_other_processes",),
    "search.beam": ("SearchConfig",),
    "tasks.base": ("scratch_output",),
    "tasks.captioning": ("CaptionTask", "draw_image_attention", "read_captioned"),
    "tasks.configs": ("ExperimentConfig", "GeneratorTask", "LanguageModelTask", "PredictorTask", "WordTask"),
    "tasks.evaluate": ("Evaluation",),
    "tasks.language_modelling": ("train_language_model",),
    "tasks.prediction": ("learn_words", "train_predictor"),
    "tasks.small_data": ("fit_to_data",),
    "tasks.transcription": ("Captioned", "decode_every_way", "draw_attention", "train_generator"),
    "tasks.translation": ("run",),
    "tasks.variants": ("train_variants", "variant_folder"),
    "training.config": ("TrainerConfig",),
    "training.objectives": ("classification", "labelling", "labelling_and_classification", "regression"),
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
