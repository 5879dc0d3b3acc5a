"""Labelling, classification and regression of sequences: the model, and a trained one ready for use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seq2seq.config import from_dict, to_dict
from seq2seq.data.batch import pad_features
from seq2seq.data.labels import load_labels, save_labels
from seq2seq.data.readers import ReaderConfig
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.errors import UserError, check_argument
from seq2seq.inference.decoding import INPUTS_PER_BATCH, STEPS_PER_BATCH, decode_in_batches
from seq2seq.inference.inputs import items_of, read_inputs
from seq2seq.inference.outputs import Labelled, probabilities
from seq2seq.inference.pretrained import Pretrained
from seq2seq.inference.reading import read_source, stored_reader, text_ids
from seq2seq.model.frontends import Tokens, Words
from seq2seq.model.sequence_model import PredictorConfig, SequenceModel, assemble_predictor_model
from seq2seq.runs.layout import CONFIG_FILE, LABELS_FILE, SOURCE_FILE
from seq2seq.runs.stored_model import Build, load_model

Array = np.ndarray


class Predictor(Pretrained):
    """A trained model that labels, classifies or forecasts, with the vocabulary of its inputs where these are texts,
    and the names of its classes where it has learned some."""

    kind = "predictor"
    model: SequenceModel

    def __init__(
        self,
        model: SequenceModel,
        config: PredictorConfig,
        vocabulary: Vocabulary | None = None,
        labels: Sequence[str] | None = None,
        reader: ReaderConfig | None = None,
    ) -> None:
        check_argument("Predictor", "model", model, torch.nn.Module)
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
        given = items_of(inputs, "arrays or strings", "input")
        arrays = read_inputs(self.config.front_end, map(self._encoded, given))

        def predict(rows: list[int]) -> list[Array]:
            padded, lengths = pad_features([arrays[row] for row in rows])
            tensors = (torch.from_numpy(each).to(self.device) for each in (padded, lengths))
            outputs, mask = self.model(*tensors)
            steps = mask.sum(1).tolist() if self.config.answer == "steps" else [None] * len(rows)
            return [row[:count] for row, count in zip(outputs.float().cpu().numpy(), steps, strict=True)]

        return decode_in_batches([len(array) for array in arrays], predict, INPUTS_PER_BATCH, STEPS_PER_BATCH)

    def classify(self, inputs: Sequence[Array] | Sequence[str]) -> list[Any]:
        """The most probable class of each step, or of each sequence: by name, as `answer` has it, where the names are
        known, else its number (an array; of no dimension for a sequence's)."""
        if self.labels is not None:
            return self.answer(inputs)
        return [np.asarray(row.argmax(-1)) for row in self.predict(inputs)]

    @property
    def names_a_class(self) -> bool:
        """Whether an answer is the name of one class for the whole input."""
        return self.labels is not None and self.config.answer not in ("steps", "rollout")

    def answer(self, inputs: Sequence[Array] | Sequence[str]) -> list[Any]:
        """What the model says of each input: see `meaning`."""
        return [self.meaning(outputs) for outputs in self.predict(inputs)]

    def meaning(self, outputs: Array) -> Any:
        """What the outputs for one input mean. Where the names of the classes are known: the name (a string), the
        names of all steps (a list), or both (`Labelled`); else the values as the data has them, an array of the same
        shape."""
        if self.labels is None:
            return outputs * self.reader.scale + self.reader.offset
        names = np.array(self.labels)
        if not self.config.classes:
            return names[outputs.argmax(-1)].tolist()
        (labels, classes), (of_steps, of_sequence) = (
            np.split(each, [-self.config.classes], -1) for each in (outputs, names)
        )
        likely, scores = probabilities(classes[0]), probabilities(labels).max(-1).tolist()
        name = str(of_sequence[likely.argmax()])
        return Labelled(name, of_steps[labels.argmax(-1)].tolist(), float(likely.max()), scores)

    def _encoded(self, one: Array | str) -> Array:
        """A text as ids; what is no text as it is."""
        if not isinstance(one, str):
            return one
        if self.reader.kind == "words":
            return self.read(one)
        if self.vocabulary is None:
            raise UserError("this model reads arrays, not text: it has no vocabulary")
        return text_ids(self.vocabulary, one)

    def further_settings(self) -> dict[str, Any]:
        """As `Pretrained` has it."""
        return {"reader": to_dict(self.reader)}

    def save_belongings(self, directory: Path) -> None:
        """As `Pretrained` has it."""
        (directory / SOURCE_FILE).unlink(missing_ok=True)
        if self.vocabulary is not None:
            self.vocabulary.save(directory / SOURCE_FILE)
        (directory / LABELS_FILE).unlink(missing_ok=True)
        if self.labels is not None:
            save_labels(self.labels, directory / LABELS_FILE)

    @classmethod
    def assembled(cls, directory: Path, model: dict[str, Any], build: Build | None) -> Predictor:
        """As `Pretrained` has it."""
        config = from_dict(PredictorConfig, model, str(directory / CONFIG_FILE))
        stored = directory / SOURCE_FILE
        vocabulary = (
            Vocabulary.load(stored) if isinstance(config.front_end.form(), Tokens | Words) and stored.exists() else None
        )
        names = directory / LABELS_FILE
        labels = load_labels(names, config.outputs) if names.exists() else None
        module = load_model(directory, build, assemble_predictor_model, config)
        return cls(module, config, vocabulary, labels, stored_reader(directory))
