"""The training loop: epochs, validations, checkpoints and log entries around the step; no maths of any task."""

import copy
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from seq2seq.data.batch import Batches
from seq2seq.data.resumable import Resumable
from seq2seq.errors import UserError
from seq2seq.runs.checkpoints import CheckpointStore
from seq2seq.runs.figures import signed
from seq2seq.runs.layout import MODEL_FILE, model_is_lost
from seq2seq.runs.metrics_log import Journal
from seq2seq.runs.weights import load_model_tensors, save_model
from seq2seq.training.step import TrainingStep

log = logging.getLogger(__name__)

Validate = Callable[[Any], Mapping[str, float]]
"""A model to its figures. The main process alone calls it, or every rank where it has an attribute `every_rank` that is
true, and shares the work; the main one's figures count in any case."""


class TrainingLoop:
    """Takes steps until epochs, steps, seconds or patience end it. What it leaves behind lies in `directory`."""

    def __init__(
        self,
        step: TrainingStep,
        batches: Batches,
        validate: Validate,
        directory: Path,
        store: CheckpointStore,
        journal: Journal,
        bar: "tqdm[Any]",
    ) -> None:
        self.step, self.batches, self.validate = step, batches, validate
        self.directory, self.store, self.journal, self.bar = directory, store, journal, bar
        self.config, self.world, self.progress, self.stop = step.config, step.world, step.progress, step.stop
        self.saved = replace(step.progress)
        """Progress in the newest checkpoint: nothing is written twice."""

    def run(self) -> None:
        """Trains to the end. Raises Interrupted, once the state is saved, where one of the ranks was asked to stop."""
        if isinstance(self.batches, Resumable) and self.progress.stream:
            self.batches.restore(self.progress.stream)
        self._replace_lost_best()
        while not self._finished():
            self._train_epoch()
        self._log_lost_patience()
        if self.progress.validated_step != self.progress.step:
            self._validate_and_save()
        # A signal may have come during the last validation, and to one of the ranks only.
        stopping = torch.tensor(float(bool(self.stop.number)), device=self.world.device)
        self.world.sum_tensors([stopping])
        if stopping > 0:
            raise self.stop.interrupted()

    def _train_epoch(self) -> None:
        """The rest of the current epoch, from the cursor on."""
        progress = self.progress
        self.step.model.train()
        iterator = self.batches.iterate(progress.epoch, progress.cursor)
        while group := list(islice(iterator, self.config.accumulation)):
            began = time.perf_counter()
            self.step.take(group)
            progress.cursor += len(group)
            progress.seconds += time.perf_counter() - began
            self._after_step()
            if self._finished():
                return
        if progress.cursor == 0:
            several = self.step.world.size > 1
            few = f"fewer batches than the {self.step.world.size} processes; start fewer" if several else "no batch"
            raise UserError(f"the training data gives {few}; see the counts of dropped pairs")
        progress.epoch, progress.cursor = progress.epoch + 1, 0
        if not self.config.validate_every_steps and progress.validated_step != progress.step:
            self._validate_and_save()

    def _after_step(self) -> None:
        """Logs, validates, saves and stops, each where its time has come."""
        step = self.progress.step
        self.bar.update()
        if step % self.config.log_every_steps == 0:
            self._log_training()
        if self.config.validate_every_steps and step % self.config.validate_every_steps == 0:
            self._validate_and_save()
        if self.config.save_every_steps and step % self.config.save_every_steps == 0:
            self._save()
        if self._all_stop():
            self._log_training()  # what the window holds is not part of the checkpoint
            self._save()
            raise self.stop.interrupted()

    def _all_stop(self) -> bool:
        """Whether to stop after this step.

        Ranks hear of a signal at different moments. They go by what all knew when they added up the step's gradients:
        else one would save while the others wait for it in the next step.
        """
        return bool(self.stop.number if self.world.size == 1 else self.step.ranks_stopping > 0)

    def _finished(self) -> bool:
        progress, config = self.progress, self.config
        enough = bool(config.max_steps and progress.step >= config.max_steps)
        late = bool(config.max_seconds and progress.seconds >= config.max_seconds)
        return progress.epoch >= config.epochs or enough or late or self._out_of_patience()

    def _out_of_patience(self) -> bool:
        return bool(self.config.patience and self.progress.without_gain >= self.config.patience)

    def _log_lost_patience(self) -> None:
        if self._out_of_patience():
            message = "no gain in %d validations: training ends; the best was at step %d"
            log.info(message, self.progress.without_gain, self.progress.best_step)

    # Validation

    def _validate_and_save(self) -> None:
        """Validates the average, keeps it where it is the best so far, and writes a checkpoint."""
        self._log_training()
        figures = self._figures()
        metric = self.config.best_metric
        beaten = self._judge(signed(metric, figures[metric]))
        named = {f"validation_{name}": figure for name, figure in figures.items()}
        self._record(**named, best_step=self.progress.best_step)
        if self.world.is_main:
            shown = ", ".join(f"{name} {figure:.3f}" for name, figure in figures.items())
            kept = self.progress.best_step == self.progress.step
            marker = " (best so far)" if beaten else " (kept: as good as the best)" if kept else ""
            with self.bar.external_write_mode():
                log.info("epoch %.2f, step %d: validation %s%s", self._epochs(), self.progress.step, shown, marker)
        self._save()

    def _figures(self) -> dict[str, float]:
        """The validation figures of the average. Speed leaves out the time that they take. Raises UserError where the
        one that chooses the best model is not among them."""
        began = time.perf_counter()
        average = self.step.averaged()
        shared = getattr(self.validate, "every_rank", False)
        if shared:  # running statistics, which each rank has of its own batches
            self.world.broadcast(list(average.buffers()))
        figures = dict(self.validate(average)) if shared or self.world.is_main else {}
        figures = self.world.broadcast_object(figures)
        self.step.model.train()
        self.step.window.started += time.perf_counter() - began
        metric = self.config.best_metric
        if metric not in figures:
            self._save()
            raise UserError(f"trainer.best_metric {metric} is not among this task's figures: {', '.join(figures)}")
        return figures

    def _replace_lost_best(self) -> None:
        """Where the best model was stored and somebody removed it since, stores it again from its checkpoint, or, where
        that is gone too, the newest checkpoint's average: a finished run would never have a model again.

        Patience and the schedule's cuts stay as they were, so that training ends where it would have ended.
        """
        progress, path = self.progress, self.directory / MODEL_FILE
        if not self.world.broadcast_object(self.world.is_main and model_is_lost(self.directory)):
            return
        best, tensors = copy.deepcopy(self.step.averaged()), self.store.load_step(progress.best_step)
        if tensors is not None:
            log.warning("%s is missing: stored again from the checkpoint of step %d", path, progress.best_step)
            load_model_tensors(best, tensors.get("average", tensors["model"]), str(self.store.directory))
        else:
            message = "%s is missing: the best model, of step %d, is lost; that of step %d takes its place"
            log.warning(message, path, progress.best_step, progress.step)
            figure = signed(self.config.best_metric, self._figures()[self.config.best_metric])
            progress.best, progress.best_step = max(-math.inf, figure), progress.step  # undefined is worse than all
        if self.world.is_main:
            save_model(best, self.directory)
        self._save()

    def _judge(self, figure: float) -> bool:
        """Keeps the average as the run's model where the figure, the higher the better, beats all before, or is no more
        than its standard error below the best; where it does not beat all, counts towards patience and, on a plateau,
        towards a cut of the learning rate. Returns whether it beats all."""
        progress, optimizer = self.progress, self.step.optimizer_config
        progress.validated_step = progress.step
        beats = figure > progress.best
        if beats:
            progress.best, progress.without_gain, progress.since_cut = figure, 0, 0
        if beats or self._as_good(figure):
            progress.best_step = progress.step
            if self.world.is_main:
                save_model(self.step.average, self.directory)
        if not beats:
            progress.without_gain += 1
            progress.since_cut += 1
        if optimizer.schedule == "plateau" and progress.since_cut > optimizer.plateau_patience:
            progress.cuts, progress.since_cut = progress.cuts + 1, 0
        return beats

    def _as_good(self, figure: float) -> bool:
        """Whether the best figure is ahead by no more than its standard error, so that the longer trained model counts
        as the better one (the rule of one standard error: Breiman et al. 1984, section 3.4.3). Only where whoever
        validates knows that error."""
        standard_error, best = getattr(self.validate, "standard_error", None), self.progress.best
        error = standard_error(abs(best)) if standard_error and math.isfinite(best) else None
        return error is not None and figure >= best - error

    # Records

    def _log_training(self) -> None:
        """Writes and shows loss and speed since the last entry, if there were steps; the only place where the loss is
        fetched from the device."""
        if not self.step.window.steps:
            return
        window = self.step.take_window()
        tokens = float(window.tokens)
        loss = float(window.loss) / max(1.0, tokens)
        speed = tokens / (time.perf_counter() - window.started)
        rate = self.step.optimizer.param_groups[0]["lr"]
        self._record(train_loss=loss, learning_rate=rate, tokens_per_second=round(speed, 1))
        self.bar.set_postfix_str(f"loss {loss:.3f}, {speed:,.0f} tokens/s")
        if self.bar.disable:
            place = f"step {self.progress.step}/{self.step.total_steps or '?'}"
            if self.config.max_seconds:
                place += f", {self.progress.seconds:.0f} of {self.config.max_seconds} s"
            log.info("%s: loss %.3f, %s target tokens/s, learning rate %.2e", place, loss, f"{speed:,.0f}", rate)

    def _record(self, **figures: float) -> None:
        """Writes figures of the current step to metrics.jsonl."""
        if self.world.is_main:
            self.journal.write(self.progress.step, self._epochs(), **figures)

    def _epochs(self) -> float:
        return self.progress.epochs(self.batches.batches_per_epoch)

    def _save(self) -> None:
        """Writes a checkpoint from which training goes on as if it had never stopped."""
        self.progress.skipped = int(self.step.skipped)
        if isinstance(self.batches, Resumable):
            self.progress.stream = self.batches.state()
        if self.saved != self.progress:
            state = {
                "progress": asdict(self.progress),
                "scaler": self.step.scaler.state_dict(),
                "world_size": self.world.size,
            }
            tensors = self.step.tensors()
            if self.world.is_main:
                self.store.save(self.progress.step, tensors, state)
        self.saved = replace(self.progress)
        self.world.barrier()
