"""The trainer: takes up a run where it stands, trains, and stops when asked to.

`TrainingLoop` (loop.py) is the bookkeeping around `TrainingStep` (step.py), which changes the weights.
"""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn
from tqdm import tqdm

from seq2seq.data.batch import Batches
from seq2seq.errors import check
from seq2seq.runs.checkpoints import CheckpointStore
from seq2seq.runs.layout import CHECKPOINTS_FOLDER
from seq2seq.runs.metrics_log import Journal
from seq2seq.runtime.device import make_deterministic
from seq2seq.runtime.distributed import World
from seq2seq.training.config import TrainerConfig
from seq2seq.training.loop import TrainingLoop, Validate
from seq2seq.training.objectives import ComputeLoss
from seq2seq.training.optimizer import OptimizerConfig, check_end
from seq2seq.training.step import Progress, TrainingStep
from seq2seq.training.stopping import StopRequest

log = logging.getLogger(__name__)


class Trainer:
    """Trains any module: everything that a run leaves behind lies in `directory`."""

    def __init__(
        self, directory: Path, config: TrainerConfig, optimizer: OptimizerConfig, world: World | None = None
    ) -> None:
        self.directory = directory
        self.config = config
        self.optimizer_config = optimizer
        self.world = world or World()
        if config.deterministic:
            make_deterministic()
        self.store = CheckpointStore(directory / CHECKPOINTS_FOLDER, config.keep_checkpoints)
        self.progress = Progress()
        self.stop = StopRequest()

    def fit(self, model: nn.Module, batches: Batches, compute_loss: ComputeLoss, validate: Validate) -> Progress:
        """Trains until epochs, steps, seconds or patience end it, resuming from the directory's newest checkpoint if
        there is one.

        The best model by validation lies in model.safetensors afterwards. Raises Interrupted after one of
        STOP_SIGNALS, once the state is saved, and UserError where the loss diverges.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.stop.listening():  # from before the resume, which takes seconds
            step = self._resume(model, batches, compute_loss)
            with self._journal() as journal, self._bar(step.total_steps) as bar:
                TrainingLoop(step, batches, validate, self.directory, self.store, journal, bar).run()
        return self.progress

    def begin(self, model: nn.Module, batches: Batches, compute_loss: ComputeLoss) -> TrainingStep:
        """The step of a training that goes on from `self.progress`, with the weights that the model has.

        Raises UserError where the learning rate needs to know the last step, and nothing says which it is.
        """
        check(
            self.config.max_seconds == 0 or self.world.size == 1,
            "trainer.max_seconds is for one process, as several would not end at the same step; set trainer.max_steps",
        )
        total_steps = self.config.total_steps(batches.batches_per_epoch, self.progress.further_steps)
        check_end(self.optimizer_config, known=total_steps > 0)
        return self._kind_of_step()(
            model,
            compute_loss,
            self.config,
            self.optimizer_config,
            total_steps,
            self.world,
            self.progress,
            self.stop,
        )

    def _kind_of_step(self) -> type[TrainingStep]:
        if self.config.sharding == "none" or self.world.size == 1:
            return TrainingStep
        from seq2seq.training.sharding import ShardedStep  # what it takes of torch is long to import

        return ShardedStep

    def _resume(self, model: nn.Module, batches: Batches, compute_loss: ComputeLoss) -> TrainingStep:
        """`begin`, from the newest whole checkpoint if there is one."""
        checkpoint = self.store.load_latest()
        if checkpoint is None:
            return self.begin(model, batches, compute_loss)
        tensors, state = checkpoint
        self.progress = Progress(**state["progress"])
        if state["world_size"] != self.world.size:
            self._share_out_anew(state["world_size"], batches.batches_per_epoch)
        step = self.begin(model, batches, compute_loss)
        step.load(tensors, state["scaler"], str(self.store.directory))
        if self.world.is_main:
            epochs = self.progress.epochs(batches.batches_per_epoch)
            log.info("resuming at step %d, epoch %.2f", self.progress.step, epochs)
        return step

    def _share_out_anew(self, before: int, batches_per_epoch: int | None) -> None:
        """Goes on with another number of processes than before: from the batch where all were, and with as many steps
        as the epochs that are left take now."""
        progress, size = self.progress, self.world.size
        if self.world.is_main:
            log.warning(
                "%s: trained by %d processes, goes on with %d: the order of the data and the tokens per step change, "
                "so the model will not be bit for bit that of as many processes as before",
                self.store.directory,
                before,
                size,
            )
        progress.cursor = progress.cursor * before // size  # a few batches come twice rather than never
        if batches_per_epoch:
            done = progress.epoch * -(-batches_per_epoch // self.config.accumulation)
            done += progress.cursor // self.config.accumulation
            progress.further_steps = progress.step - done

    @contextlib.contextmanager
    def _journal(self) -> Iterator[Journal]:
        journal = Journal(self.directory)
        if self.world.is_main:
            journal.open(self.progress.step)
        try:
            yield journal
        finally:
            journal.close()

    def _bar(self, total_steps: int) -> "tqdm[Any]":
        return tqdm(
            total=total_steps or None,
            initial=self.progress.step,
            desc="training",
            unit="step",
            dynamic_ncols=True,
            disable=None if self.world.is_main else True,
        )
