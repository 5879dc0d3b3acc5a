"""Labelling, classification and regression of sequences: the model, and a trained one ready for use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from seq2seq.batching import half_rows, pad_features
from seq2seq.config import DROPOUT, SIZES, UserError, Whole, check, check_numbers
from seq2seq.encoder import BiLSTMEncoder, EncoderConfig
from seq2seq.frontends import FrontEndConfig, build_front_end, read_inputs
from seq2seq.hardware import in_parts_that_fit
from seq2seq.heads import PooledHead, RolloutHead, SequenceModel, StepHead
from seq2seq.inputs import items_of
from seq2seq.loading import load_model
from seq2seq.model import initialise_model
from seq2seq.vocabulary import EOS_ID, SOURCE_FILE, Vocabulary

Array = np.ndarray
INPUTS_PER_BATCH = 64


@dataclass(frozen=True)
class PredictorConfig:
    """Sizes and structure of a model that answers directly from the encoder."""

    front_end: FrontEndConfig = field(default_factory=FrontEndConfig)
    """What is read: features or tokens."""
    size: int = 64
    """Width of the front end's vectors."""
    dropout: float = 0.1
    """Probability of dropping a unit; one mask per sequence."""
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """The recurrent encoder."""
    answer: Literal["steps", "mean", "max", "last", "rollout"] = "steps"
    """steps: an answer for every step; mean, max, last: one for the sequence, from its pooled states or its end;
    rollout: new sequences, told from the end."""
    outputs: int = 2
    """Numbers per answer: classes, or values."""
    rollouts: int = 1
    """Sequences told of each input, by a decoder each (rollout)."""
    rollout_steps: int = 10
    """Length of each of them (rollout)."""

    def __post_init__(self) -> None:
        check(
            self.front_end.kind != "image",
            "model.front_end.kind image is for models that write text; choose features or tokens",
        )
        check_numbers(
            self,
            "model",
            size=SIZES,
            dropout=DROPOUT,
            outputs=SIZES,
            rollouts=Whole(1, 1_000),
            rollout_steps=SIZES,
        )


def build_predictor_model(config: PredictorConfig) -> SequenceModel:
    """The model, freshly initialised from torch's global random state."""
    return initialise_model(assemble_predictor_model(config))


def assemble_predictor_model(config: PredictorConfig) -> SequenceModel:
    """The same with weights of no meaning, for those about to load trained ones."""
    front_end = build_front_end(config.front_end, config.size, config.dropout)
    encoder = BiLSTMEncoder(config.size, config.encoder, config.dropout)
    return SequenceModel(front_end, encoder, _build_head(config, encoder.output_size))


def _build_head(config: PredictorConfig, width: int) -> nn.Module:
    match config.answer:
        case "steps":
            return StepHead(width, config.outputs)
        case "rollout":
            return RolloutHead(width, config.outputs, config.rollouts, config.rollout_steps)
        case pooling:
            return PooledHead(width, config.outputs, pooling)


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
    vocabulary = Vocabulary.load(stored) if config.front_end.kind == "tokens" and stored.exists() else None
    return Predictor(model.to(device), config, vocabulary)
