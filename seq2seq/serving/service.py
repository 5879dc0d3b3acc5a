"""The models that are served, by name and by language pair."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from seq2seq.errors import UserError, check
from seq2seq.serving.backend import Backend, LoadOptions, Open, Source
from seq2seq.serving.batcher import Batcher
from seq2seq.serving.detection import Detector
from seq2seq.serving.errors import bad
from seq2seq.serving.limits import Limits
from seq2seq.serving.metrics import Metrics
from seq2seq.serving.opening import open_backend

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServiceSettings:
    """What is served, to whom, and how much of it."""

    sources: tuple[Source, ...]
    load: LoadOptions = field(default_factory=LoadOptions)
    limits: Limits = field(default_factory=Limits)
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Language codes to the names that runs have for them."""
    api_keys: frozenset[str] = frozenset()
    """Keys of which a request must have one; none: everybody may ask."""
    origins: tuple[str, ...] = ("*",)
    """Web pages whose scripts may ask (CORS)."""
    split_sentences: bool = True
    """Whether texts are translated sentence by sentence, where a request does not say."""


@dataclass
class Model:
    """A model and its place in the service."""

    source: Source
    batcher: Batcher
    languages: tuple[str, str] | None
    """Source and target as clients name them."""

    @property
    def name(self) -> str:
        """What clients ask for it by."""
        return self.batcher.name

    @property
    def backend(self) -> Backend:
        """The model itself."""
        return self.batcher.backend


class Service:
    """All models, loaded. Raises UserError where one cannot be, or two would have the same name."""

    def __init__(self, config: ServiceSettings, metrics: Metrics, open_: Open = open_backend) -> None:
        self.config, self.limits, self.metrics, self._open = config, config.limits, metrics, open_
        self._codes = {name: code for code, name in config.aliases.items()}
        loaded = [(source, open_(source, config.load)) for source in config.sources]
        places = [self._place(source, backend) for source, backend in loaded]
        names = [name for name, _ in places]
        for (source, backend), name in zip(loaded, names, strict=True):
            other = (
                f"en:de={source.path} for other languages" if backend.kind == "translator" else f"NAME={source.path}"
            )
            check(names.count(name) == 1, f"{source.path}: another run is served as {name}, too; write {other}")
        self.models: dict[str, Model] = {}
        for (source, backend), (name, languages) in zip(loaded, places, strict=True):
            batcher = Batcher(name, backend, self.limits.queue, metrics.observer(name))
            self.models[name] = Model(source, batcher, languages)
        for name, model in self.models.items():
            metrics.watch(name, model.batcher)

    @cached_property
    def pairs(self) -> dict[tuple[str, str], Model]:
        """Translators by their languages."""
        return {model.languages: model for model in self.models.values() if model.languages is not None}

    @cached_property
    def languages(self) -> list[str]:
        """Codes of all languages, those that can be translated first."""
        return list(dict.fromkeys([source for source, _ in self.pairs] + [target for _, target in self.pairs]))

    @cached_property
    def detector(self) -> Detector:
        """Tells all languages from one another."""
        return Detector(self.languages)

    @cached_property
    def source_detectors(self) -> dict[str, Detector]:
        """For each target, tells the languages from one another that can be translated to it."""
        targets = {target for _, target in self.pairs}
        return {target: Detector(source for source, other in self.pairs if other == target) for target in targets}

    def code(self, language: str) -> str:
        """The code that is listed for a language, of that or of the run's name. Raises RequestError for others."""
        code = self._codes.get(language, language)
        if code not in self.languages:
            raise bad(f"{language[:40]} is not supported")
        return code

    def translator(self, source: str, target: str) -> Model:
        """The model of a pair of codes. Raises RequestError where there is none."""
        model = self.pairs.get((source, target))
        if model is None:
            raise bad(f"{target} is not available as a target language from {source}")
        return model

    def model(self, name: str) -> Model:
        """A model by its name; "" is the only one. Raises RequestError where there is no such one."""
        if not name and len(self.models) == 1:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise bad(f"Invalid request: model must be one of {', '.join(self.models)}")
        return self.models[name]

    def reload(self) -> None:
        """Loads every run again; requests go to the old model until the new one is there. One that cannot be loaded,
        or translates between other languages now, stays as it was."""
        for model in self.models.values():
            try:
                backend = self._open(model.source, self.config.load)
                check(
                    self._place(model.source, backend) == (model.name, model.languages),
                    f"{model.source.path}: is another model now, not {model.name}; start the server again",
                )
            except Exception as error:  # a run half copied must not end the server
                print(f"seq2seq serve: {model.name} stays as it was: {error}", file=sys.stderr, flush=True)
                continue
            model.batcher.backend = backend
            print(f"seq2seq serve: {model.name} is loaded again", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Answers what waits, then ends."""
        for model in self.models.values():
            model.batcher.close()

    def described(self) -> list[dict[str, Any]]:
        """Each model, for clients."""
        return [
            {
                "name": model.name,
                "kind": model.backend.kind,
                "reads": model.backend.reads,
                "languages": None if model.languages is None else list(model.languages),
            }
            for model in self.models.values()
        ]

    def _place(self, source: Source, backend: Backend) -> tuple[str, tuple[str, str] | None]:
        """Name and languages of a model, as clients see them."""
        if backend.kind != "translator":
            return source.name or source.path.rstrip("/").rpartition("/")[2], None
        pair: Sequence[str] = source.name.split(":") if source.name else backend.languages or ()
        if len(pair) != 2 or not all(pair):
            problem = f"{source.name} is no pair of languages" if source.name else "does not say its languages"
            raise UserError(f"{source.path}: {problem}; write them before it: en:de={source.path}")
        languages = (self._codes.get(pair[0], pair[0]), self._codes.get(pair[1], pair[1]))
        check(languages[0] != "auto", f"{source.path}: a language cannot be called auto; write en:de={source.path}")
        return f"{languages[0]}-{languages[1]}", languages
