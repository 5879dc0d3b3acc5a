"""Labelling, classification and regression of sequences: the model, and a trained one ready for use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from seq2seq.data.batch import half_rows, pad_features
from seq2seq.data.symbols import EOS_ID
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.errors import UserError
from seq2seq.inference.inputs import items_of, read_inputs
from seq2seq.model.frontends import Tokens
from seq2seq.model.sequence_model import PredictorConfig, SequenceModel, assemble_predictor_model
from seq2seq.runs.layout import SOURCE_FILE
from seq2seq.runs.stored_model import load_model
from seq2seq.runtime.device import in_parts_that_fit

Array = np.ndarray


INPUTS_PER_BATCH = 64


class Predictor:
    """A trained model."""

    def __init__(self, model: SequenceModel, config: PredictorConfig, vocabulary: Vocabulary | None = None) -> None:
        self.model, self.config, self.vocabulary = model.eval(), config, vocabulary

    @torch.inference_mode()
    def predict(self, inputs: Sequence[Array] | Sequence[str]) -> list[Array]:
        """The head's outputs for each input, [S, ...] or text: [S', O] per step, or [O]; logits where it learned
        classes. Raises UserError for inputs of another kind or shape."""
        device = next(self.model.parameters()).device
        given = items_of(inputs, "arrays or strings", "input")
        arrays = read_inputs(self.config.front_end, map(self._encoded, given))
        found: list[Array] = [np.empty(0)] * len(arrays)

        def predict(group: list[int]) -> None:
            padded, lengths = pad_features([arrays[row] for row in group])
            outputs, mask = self.model(torch.from_numpy(padded).to(device), torch.from_numpy(lengths).to(device))
            rows = outputs.float().cpu().numpy()
            for place, row, steps in zip(group, rows, mask.sum(1).tolist(), strict=True):
                found[place] = row[:steps] if self.config.answer == "steps" else row

        for start in range(0, len(arrays), INPUTS_PER_BATCH):
            group = list(range(start, min(start + INPUTS_PER_BATCH, len(arrays))))
            in_parts_that_fit(group, predict, half_rows)
        return found

    def classify(self, inputs: Sequence[Array] | Sequence[str]) -> list[Array]:
        """The most probable class of each step, or of each sequence (an array of no dimension)."""
        return [np.asarray(row.argmax(-1)) for row in self.predict(inputs)]

    def _encoded(self, one: Array | str) -> Array:
        """A text as ids; what is no text as it is."""
        if not isinstance(one, str):
            return one
        if self.vocabulary is None:
            raise UserError("this model reads arrays, not text: it has no vocabulary")
        return text_ids(self.vocabulary, one)


def text_ids(vocabulary: Vocabulary, text: str) -> Array:
    """[S] int64 ids of a text, end of sentence included, so that an empty one has a step too."""
    return np.array([*vocabulary.encode(text), EOS_ID], np.int64)


def load_predictor(directory: Path, config: PredictorConfig, device: str = "cpu") -> Predictor:
    """A run's predictor. Raises UserError where a file is missing or damaged."""
    model = load_model(directory, lambda: assemble_predictor_model(config))
    stored = directory / SOURCE_FILE
    vocabulary = Vocabulary.load(stored) if isinstance(config.front_end.form(), Tokens) and stored.exists() else None
    return Predictor(model.to(device), config, vocabulary)
