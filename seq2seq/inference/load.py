"""`load`: the trained model of a run directory or of the Hugging Face Hub, of whatever kind it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from seq2seq.config import from_dict
from seq2seq.inference.translator import Translator, load_translator
from seq2seq.runs.directory import Source, find_run
from seq2seq.runs.layout import CONFIG_FILE
from seq2seq.runs.stored_model import Kind, stored_of_kind
from seq2seq.runtime.device import device_named

if TYPE_CHECKING:
    from seq2seq.inference.character_model import CharacterModel
    from seq2seq.inference.predictor import Predictor
    from seq2seq.inference.transcriber import Generator


Loaded: TypeAlias = "Translator | Generator | Predictor | CharacterModel"


@overload
def load(
    run: Source, device: str = ..., *, kind: Literal["translator"] | None = ..., **hub_options: Any
) -> Translator: ...
@overload
def load(run: Source, device: str = ..., *, kind: Literal["generator"], **hub_options: Any) -> Generator: ...
@overload
def load(run: Source, device: str = ..., *, kind: Literal["predictor"], **hub_options: Any) -> Predictor: ...
@overload
def load(run: Source, device: str = ..., *, kind: Literal["language_model"], **hub_options: Any) -> CharacterModel: ...
def load(run: Source, device: str = "cpu", *, kind: Kind | None = None, **hub_options: Any) -> Loaded:
    """The trained model of a run directory, or of a model on the Hugging Face Hub (`owner/name`; hub_options: see
    HUB_OPTIONS): a `Translator`, or for other tasks a `Generator`, `Predictor` or `CharacterModel`.

    kind: what the run must hold, and what type checkers go by. Without it they take the usual case, a Translator,
    while any kind is loaded. Raises UserError where there is no such run, device or option, it holds another kind, or
    a file of it is missing or damaged.
    """
    directory = find_run(run, hub_options)
    device = str(device_named(device))
    stored, found, _ = stored_of_kind(directory, kind)
    where = str(directory / CONFIG_FILE)
    match found:  # each other kind is imported when it is needed: translating starts without them
        case "predictor":
            from seq2seq.inference.predictor import load_predictor
            from seq2seq.model.sequence_model import PredictorConfig

            return load_predictor(directory, from_dict(PredictorConfig, stored, where), device)
        case "language_model":
            from seq2seq.inference.character_model import load_character_model
            from seq2seq.model.language_model import LanguageModelConfig

            return load_character_model(directory, from_dict(LanguageModelConfig, stored, where), device)
        case "generator":
            from seq2seq.inference.transcriber import load_generator
            from seq2seq.model.seq2seq import GeneratorConfig

            return load_generator(directory, from_dict(GeneratorConfig, stored, where), device)
        case "translator":
            return load_translator(directory, stored, device)
