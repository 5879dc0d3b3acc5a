"""Exported directories, answered by onnxruntime: no torch is imported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seq2seq.errors import UserError, check
from seq2seq.serving.backend import Attention, Backend, Candidate, LoadOptions, Reads, Source, class_candidates


def is_export(path: str) -> bool:
    """Whether `seq2seq export` wrote that directory."""
    try:
        return "export_format" in json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, RecursionError):
        return False


def open_export(source: Source, options: LoadOptions) -> Backend:
    """The model of an exported directory. Raises UserError where it is damaged, or onnxruntime is missing."""
    try:
        from seq2seq.exported.translate import Exported
    except ImportError as error:
        raise UserError(f"serving an export needs {error.name}: pip install 'seq2seq[export]'") from None
    check(options.device == "cpu", f"{source.path}: an export is served on the CPU; leave --device out")
    check(options.precision == "fp32", f"{source.path}: an export has its own precision; leave --precision out")
    try:
        model = Exported(source.path)
    except ValueError as error:
        raise UserError(str(error)) from None
    if options.max_input_length:
        model.config["max_input_length"] = options.max_input_length
    return ExportedBackend(model)


class ExportedBackend:
    """An exported model of any kind."""

    def __init__(self, model: Any) -> None:
        self.model, self.kind = model, model.kind
        named = model.config["languages"]
        self.languages: tuple[str, str] | None = (named["source"], named["target"]) if len(named) == 2 else None
        self.tags: Sequence[str] = model.source.tags() if self.kind == "translator" else ()
        media: dict[str, Reads] = {"image": "image", "sound": "sound", "array": "array"}
        self.reads: Reads = media.get(model.reader["kind"], "text")

    def read(self, source: Path | str, steps: int) -> Any:
        """As `Backend` has it."""
        if self.kind in ("translator", "language_model"):
            return str(source)
        try:
            array = self.model.read(str(source))
        except ValueError as error:
            raise UserError(str(error)) from None
        check(len(array) <= steps, f"the input has {len(array):,} steps, more than {steps:,}")
        return array

    def search(self, inputs: Sequence[Any], n_best: int, **settings: Any) -> list[list[Candidate]]:
        """As `Backend` has it. settings: those of the search; length, temperature and seed of a language model."""
        check(not settings.pop("prefix", ""), "prefix: an exported model does not take one")
        match self.kind:
            case "predictor":
                check(not settings, f"{', '.join(settings)}: for models that write text")
                labels, meaning = self.model.config["labels"], self.model.meaning
                found = self.model.predict(inputs)
                return [class_candidates(each, meaning(each), labels, n_best) for each in found]
            case "language_model":
                length, seed = settings.pop("length", 100), settings.pop("seed", 1)
                samples = range(n_best)
                return [
                    [Candidate(self.model.sample(text, length, seed=seed + more, **settings)) for more in samples]
                    for text in inputs
                ]
        try:
            found = self.model.search(inputs, n_best, **settings)
        except ValueError as error:
            raise UserError(str(error)) from None
        return [
            [Candidate(each.text, each.score, each.tokens, each.log_probability, each.truncated) for each in best]
            for best in found
        ]

    def attention(self, inputs: Sequence[Any], outputs: Sequence[Candidate]) -> list[Attention]:
        """As `Backend` has it."""
        check("step" in self.model.graphs, "this model has no attention to show")
        rows = self.model.shortened(self.model.encode(inputs))[0] if self.kind == "translator" else inputs
        return [self._attention(row, output.tokens) for row, output in zip(rows, outputs, strict=True)]

    def _attention(self, row: Any, tokens: Sequence[int]) -> Attention:
        weights = self.model.attention(row, tokens)
        check(weights.shape[1] > 0, "this model has no attention to show")
        source = [*self.model.source.pieces(row[:-1]), "</s>"] if self.kind == "translator" else []
        return Attention(source, [*self.model.target.pieces(tokens), "</s>"], weights.tolist())
