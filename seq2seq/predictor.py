"""Labelling, classification and regression of sequences: the model, and a trained one ready for use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from seq2seq.batching import pad_features
from seq2seq.checkpoint import load_weights
from seq2seq.encoder import BiLSTMEncoder, EncoderConfig
from seq2seq.frontends import FrontEndConfig, build_front_end
from seq2seq.heads import PooledHead, Pooling, SequenceModel, StepHead
from seq2seq.model import initialise_model

Array = np.ndarray
INPUTS_PER_BATCH = 64


@dataclass(frozen=True)
class PredictorConfig:
    """Sizes and structure of a model that answers directly from the encoder."""

    front_end: FrontEndConfig = field(default_factory=FrontEndConfig)
    """What is read."""
    size: int = 64
    """Width of the front end's vectors."""
    dropout: float = 0.1
    """Probability of dropping a unit; one mask per sequence."""
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """The recurrent encoder."""
    answer: Literal["steps", "mean", "max", "last"] = "steps"
    """steps: an answer for every step; mean, max, last: one for the sequence, from its pooled states or its end."""
    outputs: int = 2
    """Numbers per answer: classes, or values."""


def build_predictor_model(config: PredictorConfig) -> SequenceModel:
    """The model, freshly initialised from torch's global random state."""
    front_end = build_front_end(config.front_end, config.size, config.dropout)
    encoder = BiLSTMEncoder(config.size, config.encoder, config.dropout)
    width = encoder.output_size
    if config.answer == "steps":
        return initialise_model(SequenceModel(front_end, encoder, StepHead(width, config.outputs)))
    pooling: Pooling = config.answer
    return initialise_model(SequenceModel(front_end, encoder, PooledHead(width, config.outputs, pooling)))


class Predictor:
    """A trained model."""

    def __init__(self, model: SequenceModel, config: PredictorConfig) -> None:
        self.model, self.config = model.eval(), config

    @torch.inference_mode()
    def predict(self, inputs: Sequence[Array]) -> list[Array]:
        """The head's outputs for each input [S, ...]: [S', O] per step, or [O]; logits where it learned classes."""
        device = next(self.model.parameters()).device
        found: list[Array] = []
        for start in range(0, len(inputs), INPUTS_PER_BATCH):
            padded, lengths = pad_features(inputs[start : start + INPUTS_PER_BATCH])
            outputs, mask = self.model(torch.from_numpy(padded).to(device), torch.from_numpy(lengths).to(device))
            rows = outputs.float().cpu().numpy()
            found += [
                row[:steps] if self.config.answer == "steps" else row
                for row, steps in zip(rows, mask.sum(1).tolist(), strict=True)
            ]
        return found

    def classify(self, inputs: Sequence[Array]) -> list[Array]:
        """The most probable class of each step, or of each sequence (an array of no dimension)."""
        return [np.asarray(row.argmax(-1)) for row in self.predict(inputs)]


def load_predictor(directory: Path, config: PredictorConfig, device: str = "cpu") -> Predictor:
    """A run's predictor. Raises UserError where a file is missing or damaged."""
    model = build_predictor_model(config)
    load_weights(model, directory)
    return Predictor(model.to(device), config)
