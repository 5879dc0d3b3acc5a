"""Runs of this package, answered by torch: the one module of this room that imports it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seq2seq.config import read_mapping
from seq2seq.data.readers import ReaderConfig
from seq2seq.errors import UserError, check
from seq2seq.inference.character_model import CharacterModel
from seq2seq.inference.load import load
from seq2seq.inference.outputs import Translation
from seq2seq.inference.predictor import Predictor
from seq2seq.inference.transcriber import Generator
from seq2seq.inference.translator import Translator
from seq2seq.runs.hub import find_run
from seq2seq.runs.layout import CONFIG_FILE
from seq2seq.runtime.device import prepare_process
from seq2seq.serving.backend import Array, Attention, Backend, Candidate, LoadOptions, Reads, Source, class_candidates

MOST_PIXELS = 25_000_000
"""A picture of more is refused before it is decoded (Pillow refuses from twice its own limit)."""


def open_run(source: Source, options: LoadOptions) -> Backend:
    """The model of a run directory. Raises UserError where there is none, or it is damaged."""
    prepare_process()
    directory = find_run(source.path, {})
    model: Any = load(directory, options.device)
    if options.precision != "fp32":
        check(isinstance(model, Translator), f"--precision {options.precision} is for translators; {directory} is none")
        model.precision = options.precision
    match model:
        case Translator():
            model.max_source_tokens = options.max_input_length or model.max_source_tokens
            return TranslatorBackend(model, _languages(directory))
        case Generator():
            return GeneratorBackend(model)
        case Predictor():
            return PredictorBackend(model)
    return LanguageModelBackend(model)


def _languages(directory: Path) -> tuple[str, str] | None:
    """The columns that a run was trained on; None where its configuration does not say."""
    config = read_mapping(directory / CONFIG_FILE)
    names = tuple(config.get(side) for side in ("source", "target"))
    return names if all(isinstance(name, str) and name for name in names) else None


class TranslatorBackend:
    """Text to text."""

    kind = "translator"
    reads: Reads = "text"

    def __init__(self, model: Translator, languages: tuple[str, str] | None) -> None:
        self.model, self.languages = model, languages
        self.tags: Sequence[str] = model.tags

    def read(self, source: Path | str, steps: int) -> Any:
        """As `Backend` has it."""
        return str(source)

    def search(self, inputs: Sequence[Any], n_best: int, **settings: Any) -> list[list[Candidate]]:
        """As `Backend` has it. settings: those of SearchConfig; prefix, the begin of every output."""
        prefix = settings.pop("prefix", "")
        prefixes = [prefix] * len(inputs) if prefix else None
        found = self.model.search(inputs, n_best, prefixes=prefixes, **settings)
        return [
            [Candidate(each.text, each.score, each.tokens, each.log_probability, each.truncated) for each in best]
            for best in found
        ]

    def attention(self, inputs: Sequence[Any], outputs: Sequence[Candidate]) -> list[Attention]:
        """As `Backend` has it."""
        targets = [
            Translation(each.text, each.score, each.log_probability, list(each.tokens), each.truncated)
            for each in outputs
        ]
        return [Attention(*each) for each in self.model.align(inputs, targets)]


class GeneratorBackend:
    """Pictures, sound or series to text."""

    kind = "generator"
    languages: tuple[str, str] | None = None
    tags: Sequence[str] = ()

    def __init__(self, model: Generator) -> None:
        self.model, self.reads = model, _reads(model.reader)

    def read(self, source: Path | str, steps: int) -> Any:
        """As `Backend` has it."""
        return _read(self.model, source, steps)

    def search(self, inputs: Sequence[Any], n_best: int, **settings: Any) -> list[list[Candidate]]:
        """As `Backend` has it. settings: those of SearchConfig."""
        found = self.model.search(inputs, n_best, **settings)
        texts = iter(self.model.vocabulary.decode_batch([each.tokens for best in found for each in best]))
        return [
            [Candidate(next(texts), each.score, each.tokens, each.log_probability) for each in best] or [Candidate("")]
            for best in found
        ]

    def attention(self, inputs: Sequence[Any], outputs: Sequence[Candidate]) -> list[Attention]:
        """As `Backend` has it."""
        pairs = zip(inputs, outputs, strict=True)
        return [Attention([], *self.model.attention(one, output.tokens)) for one, output in pairs]


class PredictorBackend:
    """Anything to classes or values."""

    kind = "predictor"
    languages: tuple[str, str] | None = None
    tags: Sequence[str] = ()

    def __init__(self, model: Predictor) -> None:
        self.model, self.reads = model, _reads(model.reader)

    def read(self, source: Path | str, steps: int) -> Any:
        """As `Backend` has it."""
        return _read(self.model, source, steps)

    def search(self, inputs: Sequence[Any], n_best: int, **settings: Any) -> list[list[Candidate]]:
        """As `Backend` has it: the n most probable classes, or one candidate of labels per step, or of values."""
        check(not settings, f"{', '.join(settings)}: for models that write text")
        model = self.model
        return [class_candidates(each, model.meaning(each), model.labels, n_best) for each in model.predict(inputs)]

    def attention(self, inputs: Sequence[Any], outputs: Sequence[Candidate]) -> list[Attention]:
        """As `Backend` has it."""
        raise UserError("this model has no attention to show")


class LanguageModelBackend:
    """Text, and more of it."""

    kind = "language_model"
    languages: tuple[str, str] | None = None
    tags: Sequence[str] = ()
    reads: Reads = "text"

    def __init__(self, model: CharacterModel) -> None:
        self.model = model

    def read(self, source: Path | str, steps: int) -> Any:
        """As `Backend` has it."""
        return str(source)

    def search(self, inputs: Sequence[Any], n_best: int, **settings: Any) -> list[list[Candidate]]:
        """As `Backend` has it, without scores: samples of seed, seed + 1 and so on. settings: length (default 100),
        temperature, seed."""
        length, seed = settings.pop("length", 100), settings.pop("seed", 1)
        return [
            [Candidate(self.model.sample(text, length, seed=seed + more, **settings)) for more in range(n_best)]
            for text in inputs
        ]

    def attention(self, inputs: Sequence[Any], outputs: Sequence[Candidate]) -> list[Attention]:
        """As `Backend` has it."""
        raise UserError("a language model has no attention to show")


def _reads(reader: ReaderConfig) -> Reads:
    if reader.reads_text:
        return "text"
    return reader.kind  # type: ignore[return-value]  # what is left is a medium


def _read(model: Generator | Predictor, source: Path | str, steps: int) -> Array:
    """An input of a file, whose size is checked before it is decoded."""
    if isinstance(source, Path):
        _check_size(model.reader, source, steps)
    array = model.read(source)
    check(len(array) <= steps, f"the input has {len(array):,} steps, more than {steps:,}")
    return array


def _check_size(reader: ReaderConfig, path: Path, steps: int) -> None:
    """Raises UserError where a picture or a recording would take far more memory than its file."""
    if reader.kind == "image":
        from PIL import Image

        Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2
    elif reader.kind == "sound":
        import soundfile

        try:
            info = soundfile.info(path)
        except soundfile.LibsndfileError:
            return  # `read` says what is the matter
        check(info.channels == 1, f"the recording has {info.channels} channels; convert it to one")
        frames, most = info.frames, int(steps * reader.step_seconds * reader.rate)
        check(frames <= most, f"the recording has {frames:,} samples, more than {most:,}")
