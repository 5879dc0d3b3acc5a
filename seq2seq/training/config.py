"""What a user chooses of a training: its length, what is watched, what is kept."""

from dataclasses import dataclass
from typing import Literal

from seq2seq.config import COUNTS, COUNTS_OR_NONE, SEEDS, Real, Whole, check_fields, check_numbers
from seq2seq.runtime.device import Precision


@dataclass(frozen=True)
class TrainerConfig:
    """How long to train, what to watch, what to keep."""

    epochs: int = 20
    """Passes over the training data."""
    max_steps: int = 0
    """Optimiser steps in all, those before a resume included, whichever of this and epochs comes first; 0 = no
    limit."""
    max_seconds: int = 0
    """Seconds of training steps in all, those before a resume included, after which it ends, so that settings can be
    compared by time; for one process; 0 = no limit."""
    accumulation: int = 1
    """Batches per optimiser step and process."""
    clip_norm: float = 1.0
    """Largest norm of the gradient per token, over all parameters; 0 = no clipping."""
    precision: Precision = "auto"
    """Type of matrix products: bf16, fp16, fp32; auto takes bf16 where the hardware has it, else fp32 on CPU and fp16
    on older GPUs. Weights stay in fp32; the loss is scaled in fp16, and in bf16 on GPUs."""
    device: str = "auto"
    """cpu, cuda, or auto: a GPU where there is one."""
    validate_every_steps: int = 0
    """Steps between validations, each of which leaves a checkpoint; 0 = after each epoch."""
    save_every_steps: int = 0
    """Steps between checkpoints besides those of validations: what a crash may cost; 0 = none."""
    log_every_steps: int = 50
    """Steps between entries of the training loss in metrics.jsonl and TensorBoard; each validation, and the end, makes
    an entry of the steps since the last one."""
    best_metric: str = "bleu"
    """Validation figure that chooses the best model. Text to text has loss, bleu, chrf, accuracy (exact match, %),
    error_rate (of tokens between spaces: words, phonemes; %) and character_error_rate; other tasks name theirs where it
    is none of them. By accuracy of text to text, a model is kept that is less than a standard error below the best,
    too: with few words to judge by, an early model is ahead by chance."""
    patience: int = 0
    """Validations without gain after which training ends; 0 = never."""
    average_decay: float = 0.998
    """Decay per step of the running average of the weights (Polyak & Juditsky 1992) that is validated and kept; it
    warms up with the steps taken. 0 = the last weights themselves."""
    keep_checkpoints: int = 2
    """Checkpoints kept for resuming, at least 2."""
    nonfinite_patience: int = 20
    """Steps in a row with infinite or undefined gradient after which training stops; each is skipped and counted."""
    deterministic: bool = False
    """On GPUs: whether training repeats, and resumes, bit for bit, at some cost in speed. CPUs do so in any case."""
    cuda_graphs: bool = True
    """On GPUs: whether forward and backward pass are recorded for each shape of batch and replayed, which spares the
    host launching their kernels one by one: several times the speed, for up to twice the memory. Models and objectives
    of your own run as they are."""
    sharding: Literal["none", "full"] = "none"
    """What each of several processes holds: all of weights, gradients, optimiser state and average (none), or its share
    of each, gathering the weights for the time of a step (full), for models too large for one device."""
    bf16_messages: bool = False
    """Whether processes that train together send gradients as bf16: half the bytes, 3 significant digits of each."""
    seed: int = 1
    """Seed of initial weights, dropout and the order of batches."""

    def __post_init__(self) -> None:
        check_fields(self, "trainer")
        check_numbers(
            self,
            "trainer",
            epochs=COUNTS,
            max_steps=COUNTS_OR_NONE,
            max_seconds=COUNTS_OR_NONE,
            accumulation=Whole(1, 1_000_000),
            clip_norm=Real(0, 1_000_000),
            validate_every_steps=COUNTS_OR_NONE,
            save_every_steps=COUNTS_OR_NONE,
            log_every_steps=COUNTS,
            patience=COUNTS_OR_NONE,
            average_decay=Real(0, 1, without=(1,)),
            keep_checkpoints=Whole(2, 1_000_000),
            nonfinite_patience=COUNTS_OR_NONE,
            seed=SEEDS,
        )

    def total_steps(self, batches_per_epoch: int | None, further: int = 0) -> int:
        """Optimiser steps of the whole training; 0 where they are not known (a stream without max_steps). further:
        steps besides those that the epochs take."""
        steps = self.epochs * -(-batches_per_epoch // self.accumulation) + further if batches_per_epoch else 0
        return min(steps, self.max_steps) if steps and self.max_steps else steps or self.max_steps
