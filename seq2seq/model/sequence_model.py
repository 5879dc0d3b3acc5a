"""Models that answer directly from the encoder, without a decoder: labels, classes, values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, nn

from seq2seq.config import COUNTS_OR_NONE, DROPOUT, SIZES, Whole, check_fields, check_numbers
from seq2seq.errors import check
from seq2seq.model.encoder import BiLSTMEncoder, EncoderConfig
from seq2seq.model.frontends import FrontEndConfig
from seq2seq.model.heads import JointHead, PooledHead, RolloutHead, StepHead
from seq2seq.model.initialisation import initialise_model
from seq2seq.model.memory import Memory


class SequenceModel(nn.Module):
    """A front end, an encoder that returns `Memory`, and a head."""

    def __init__(self, front_end: nn.Module, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.front_end, self.encoder, self.head = front_end, encoder, head

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """inputs [B, S, ...], lengths [B] -> the head's output [B, S', O] or [B, O], and the memory's mask [B, S']."""
        memory: Memory = self.encoder(self.front_end(inputs), lengths)
        return self.head(memory), memory.mask


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
    rollout: new sequences, generated from its end."""
    outputs: int = 2
    """Numbers per answer: classes, or values."""
    classes: int = 0
    """How many of the outputs, the last ones, are classes of the whole sequence beside its labels per step (steps)."""
    rollouts: int = 1
    """Sequences generated for each input, by a decoder each (rollout)."""
    rollout_steps: int = 10
    """Length of each of them (rollout)."""
    conditioned: bool = False
    """Whether each generated step reads the one before it (rollout)."""

    def __post_init__(self) -> None:
        check_fields(self, "model")
        check(
            self.front_end.form().steps is None,
            "model.front_end.kind image is for models that write text; choose features, tokens or words",
        )
        check_numbers(
            self,
            "model",
            size=SIZES,
            dropout=DROPOUT,
            outputs=SIZES,
            classes=COUNTS_OR_NONE,
            rollouts=Whole(1, 1_000),
            rollout_steps=SIZES,
        )
        check(
            self.front_end.kind != "words" or self.front_end.character_size < self.size,
            f"model.front_end.character_size must be less than model.size, which is {self.size}",
        )
        check(not self.conditioned or self.answer == "rollout", "model.conditioned goes with model.answer rollout")
        check(
            self.classes == 0 or (self.answer == "steps" and self.classes < self.outputs),
            "model.classes, of the whole sequence, go with model.answer steps, and must be less than model.outputs",
        )


def build_predictor_model(config: PredictorConfig) -> SequenceModel:
    """The model, freshly initialised from torch's global random state."""
    return initialise_model(assemble_predictor_model(config))


def assemble_predictor_model(config: PredictorConfig) -> SequenceModel:
    """The same with weights of no meaning, for those about to load trained ones."""
    front_end = config.front_end.form().build(config.size, config.dropout)
    encoder = BiLSTMEncoder(config.size, config.encoder, config.dropout)
    return SequenceModel(front_end, encoder, _build_head(config, encoder.output_size))


def _build_head(config: PredictorConfig, width: int) -> nn.Module:
    match config.answer:
        case "steps" if config.classes:
            return JointHead(width, config.outputs - config.classes, config.classes)
        case "steps":
            return StepHead(width, config.outputs)
        case "rollout":
            return RolloutHead(width, config.outputs, config.rollouts, config.rollout_steps, config.conditioned)
        case pooling:
            return PooledHead(width, config.outputs, pooling)
