"""seq2seq: BiLSTM encoder, attention, LSTM decoder; trained on Hugging Face datasets, decoded by beam search, scored.

The names below are imported when they are first used, so that a command starts without what it does not need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seq2seq.config import UserError
    from seq2seq.experiment import ExperimentConfig, run
    from seq2seq.translator import Translation, Translator, load

__all__ = ["ExperimentConfig", "Translation", "Translator", "UserError", "load", "run"]

_HOMES = {
    "ExperimentConfig": "experiment",
    "Translation": "translator",
    "Translator": "translator",
    "UserError": "config",
    "load": "translator",
    "run": "experiment",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'seq2seq' has no attribute {name!r}")
    return getattr(import_module(f"seq2seq.{_HOMES[name]}"), name)
