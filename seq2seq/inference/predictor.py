"""Labelling, classification and regression of sequences: the model, and a trained one ready for use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seq2seq.data.batch import pad_features
from seq2seq.data.labels import load_labels
from seq2seq.data.readers import ReaderConfig
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.errors import UserError
from seq2seq.inference.decoding import INPUTS_PER_BATCH, STEPS_PER_BATCH, decode_in_batches
from seq2seq.inference.inputs import items_of, read_inputs
from seq2seq.inference.reading import read_source, stored_reader, text_ids
from seq2seq.model.sequence_model import PredictorConfig, SequenceModel, assemble_predictor_model
from seq2seq.runs.layout import LABELS_FILE, SOURCE_FILE
from seq2seq.runs.stored_model import load_model

Array = np.ndarray


class Predictor:
    """A trained model, with the vocabulary of its inputs where these are texts, and the names of its classes where it
    has learned some."""

    def __init__(
        self,
        model: SequenceModel,
        config: PredictorConfig,
        vocabulary: Vocabulary | None = None,
        labels: Sequence[str] | None = None,
        reader: ReaderConfig | None = None,
    ) -> None:
        self.model, self.config, self.vocabulary = model.eval(), config, vocabulary
        self.labels = None if labels is None else list(labels)
        self.reader = reader or ReaderConfig()

    def read(self, source: str | Path) -> Array:
        """An input from a file, or from a text where the model reads texts. Raises UserError where it cannot be
        read."""
        return read_source(self.reader, self.config.front_end, source, self.vocabulary)

    @torch.inference_mode()
    def predict(self, inputs: Sequence[Array] | Sequence[str]) -> list[Array]:
        """The head's outputs for each input, [S, ...] or text: [S', O] per step, or [O]; logits where it learned
        classes. Raises UserError for inputs of another kind or shape."""
        device = next(self.model.parameters()).device
        given = items_of(inputs, "arrays or strings", "input")
        arrays = read_inputs(self.config.front_end, map(self._encoded, given))

        def predict(rows: list[int]) -> list[Array]:
            padded, lengths = pad_features([arrays[row] for row in rows])
            outputs, mask = self.model(torch.from_numpy(padded).to(device), torch.from_numpy(lengths).to(device))
            steps = mask.sum(1).tolist() if self.config.answer == "steps" else [None] * len(rows)
            return [row[:count] for row, count in zip(outputs.float().cpu().numpy(), steps, strict=True)]

        return decode_in_batches([len(array) for array in arrays], predict, INPUTS_PER_BATCH, STEPS_PER_BATCH)

    def classify(self, inputs: Sequence[Array] | Sequence[str]) -> list[Array]:
        """The most probable class of each step, or of each sequence (an array of no dimension)."""
        return [np.asarray(row.argmax(-1)) for row in self.predict(inputs)]

    def answer(self, inputs: Sequence[Array] | Sequence[str]) -> list[Any]:
        """What the model says of each input: see `meaning`."""
        return [self.meaning(outputs) for outputs in self.predict(inputs)]

    def meaning(self, outputs: Array) -> Any:
        """What the outputs for one input mean. Where the names of the classes are known: the name (a string), or the
        names of all steps (a list); else the values as the data has them, an array of the same shape."""
        if self.labels is None:
            return outputs * self.reader.scale + self.reader.offset
        return np.array(self.labels)[outputs.argmax(-1)].tolist()

    def _encoded(self, one: Array | str) -> Array:
        """A text as ids; what is no text as it is."""
        if not isinstance(one, str):
            return one
        if self.vocabulary is None:
            raise UserError("this model reads arrays, not text: it has no vocabulary")
        return text_ids(self.vocabulary, one)


def load_predictor(directory: Path, config: PredictorConfig, device: str = "cpu") -> Predictor:
    """A run's predictor. Raises UserError where a file is missing or damaged."""
    model = load_model(directory, lambda: assemble_predictor_model(config))
    stored = directory / SOURCE_FILE
    vocabulary = Vocabulary.load(stored) if config.front_end.kind == "tokens" and stored.exists() else None
    names = directory / LABELS_FILE
    labels = load_labels(names, config.outputs) if names.exists() else None
    return Predictor(model.to(device), config, vocabulary, labels, stored_reader(directory))
