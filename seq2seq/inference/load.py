"""`load`: the trained model of a run directory or of the Hugging Face Hub, of whatever kind it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from seq2seq.inference.translator import Translator
from seq2seq.runs.hub import Source, find_run
from seq2seq.runs.stored_model import Build, Kind, stored_of_kind
from seq2seq.runtime.device import device_named

if TYPE_CHECKING:
    from seq2seq.inference.character_model import CharacterModel
    from seq2seq.inference.predictor import Predictor
    from seq2seq.inference.transcriber import Generator


Loaded: TypeAlias = "Translator | Generator | Predictor | CharacterModel"


@overload
def load(
    run: Source,
    device: str = ...,
    *,
    kind: Literal["translator"] | None = ...,
    build: Build | None = ...,
    **hub_options: Any,
) -> Translator: ...
@overload
def load(
    run: Source, device: str = ..., *, kind: Literal["generator"], build: Build | None = ..., **hub_options: Any
) -> Generator: ...
@overload
def load(
    run: Source, device: str = ..., *, kind: Literal["predictor"], build: Build | None = ..., **hub_options: Any
) -> Predictor: ...
@overload
def load(
    run: Source, device: str = ..., *, kind: Literal["language_model"], build: Build | None = ..., **hub_options: Any
) -> CharacterModel: ...
def load(
    run: Source, device: str = "cpu", *, kind: Kind | None = None, build: Build | None = None, **hub_options: Any
) -> Loaded:
    """The trained model of a run directory, or of a model on the Hugging Face Hub (`owner/name`; hub_options: see
    HUB_OPTIONS): a `Translator`, or for other tasks a `Generator`, `Predictor` or `CharacterModel`.

    kind: what the run must hold, and what type checkers go by. Without it they take the usual case, a Translator,
    while any kind is loaded. build: the user's function that built the model, where one did, as it was given for
    training. Raises UserError where there is no such run, device or option, it holds another kind, or
    a file of it is missing or damaged.
    """
    directory = find_run(run, hub_options)
    device = str(device_named(device))
    stored = stored_of_kind(directory, kind, build)
    match stored.kind:  # each other kind is imported when it is needed: translating starts without them
        case "predictor":
            from seq2seq.inference.predictor import Predictor

            return Predictor.from_run(directory, stored, device, build)
        case "language_model":
            from seq2seq.inference.character_model import CharacterModel

            return CharacterModel.from_run(directory, stored, device, build)
        case "generator":
            from seq2seq.inference.transcriber import Generator

            return Generator.from_run(directory, stored, device, build)
        case "translator":
            return Translator.from_run(directory, stored, device, build)
