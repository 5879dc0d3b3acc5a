"""The training loop: bookkeeping around a model, batches and an objective; no maths of any task."""

import contextlib
import copy
import logging
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from seq2seq.config import COUNTS, COUNTS_OR_NONE, SEEDS, Real, Whole, check_fields, check_numbers
from seq2seq.data.batch import Batch, Batches, halves
from seq2seq.errors import Interrupted, UserError, check
from seq2seq.model.losses import LossSum
from seq2seq.runs.checkpoints import CheckpointStore, load_optimizer_tensors, optimizer_tensors
from seq2seq.runs.figures import signed
from seq2seq.runs.layout import CHECKPOINTS_FOLDER, MODEL_FILE, model_is_lost
from seq2seq.runs.metrics_log import Journal
from seq2seq.runs.weights import load_model_tensors, model_tensors, save_model
from seq2seq.runtime.device import Precision, compute_type, make_deterministic, out_of_memory
from seq2seq.runtime.distributed import World
from seq2seq.training.cuda_graphs import Recordings
from seq2seq.training.optimizer import OptimizerConfig, build_optimizer, check_end, learning_rate

log = logging.getLogger(__name__)


STOP_SIGNALS = [signal.SIGTERM, signal.SIGINT, *([signal.SIGUSR1] if hasattr(signal, "SIGUSR1") else [])]

STEPS_BETWEEN_CHECKS = 10
"""On a GPU: how often the host looks, and waits, for whether gradients were finite. On CPU it costs nothing to look."""

Validate = Callable[[Any], Mapping[str, float]]
ComputeLoss = Callable[[Any, Batch], LossSum]


@dataclass(frozen=True)
class TrainerConfig:
    """How long to train, what to watch, what to keep."""

    epochs: int = 20
    """Passes over the training data."""
    max_steps: int = 0
    """Optimiser steps in all, those before a resume included, whichever of this and epochs comes first; 0 = no
    limit."""
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
    is none of them."""
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
    cuda_graphs: bool = False
    """On GPUs: whether forward and backward pass are recorded for each shape of batch and replayed, which spares the
    host launching their kernels one by one, and takes up to twice the memory."""
    seed: int = 1
    """Seed of initial weights, dropout and the order of batches."""

    def __post_init__(self) -> None:
        check_fields(self, "trainer")
        check_numbers(
            self,
            "trainer",
            epochs=COUNTS,
            max_steps=COUNTS_OR_NONE,
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


@dataclass
class Progress:
    """Where training stands: all a resume needs besides tensors."""

    step: int = 0
    epoch: int = 0
    cursor: int = 0
    """Batches of this epoch already used by each rank."""
    best: float = -math.inf
    """Best validation figure so far, signed so that higher is better."""
    best_step: int = 0
    validated_step: int = 0
    """Step of the last validation."""
    without_gain: int = 0
    since_cut: int = 0
    cuts: int = 0
    skipped: int = 0
    """Steps not taken as their gradient was not finite."""
    halved: int = 0
    """Times that memory ran out and batches were halved."""
    seconds: float = 0.0
    """Time trained, over all resumes."""


@dataclass
class Window:
    """Sums since the last log entry; the loss stays on the device until it is read."""

    loss: Tensor
    tokens: Tensor
    steps: int = 0
    started: float = field(default_factory=time.perf_counter)


class Trainer:
    """Trains any module: `fit` runs the loop, everything a run leaves behind lies in `directory`."""

    def __init__(
        self, directory: Path, config: TrainerConfig, optimizer: OptimizerConfig, world: World | None = None
    ) -> None:
        self.directory = directory
        self.config = config
        self.optimizer_config = optimizer
        self.world = world or World()
        check(
            not config.cuda_graphs or self.world.device.type == "cuda",
            "trainer.cuda_graphs needs a GPU; set it to false",
        )
        if config.deterministic:
            make_deterministic()
        self.dtype = compute_type(config.precision, self.world.device)
        # In bf16 too: autocast runs cuDNN's recurrent layers in fp16, whatever its own type.
        scaling = self.dtype == torch.float16 or (self.dtype == torch.bfloat16 and self.world.device.type == "cuda")
        self.scaler = torch.amp.GradScaler(self.world.device.type, enabled=scaling)
        self.recordings = Recordings() if config.cuda_graphs else None
        self.store = CheckpointStore(directory / CHECKPOINTS_FOLDER, config.keep_checkpoints)
        self.progress = Progress()
        self.stop_signal = 0
        self.ranks_stopping = torch.zeros(())

    def fit(self, model: nn.Module, batches: Batches, compute_loss: ComputeLoss, validate: Validate) -> Progress:
        """Trains until epochs, max_steps or patience end it, resuming from the directory's newest checkpoint if
        there is one.

        The best model by validation lies in model.safetensors afterwards. Raises Interrupted after one of
        STOP_SIGNALS, once the state is saved, and UserError where the loss diverges.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self.validate = validate
        self.begin(model, batches, compute_loss)
        self.resume()
        self.saved = replace(self.progress)
        with self._journal() as self.journal, self._signals(), self._bar() as self.bar:
            self._replace_lost_best()
            while not self._finished():
                self._train_epoch()
            self._tell_why_finished()
            if self.progress.validated_step != self.progress.step:
                self._validate_and_save()
            # A signal may have come during the last validation, and to one of the ranks only.
            stopping = torch.tensor(float(bool(self.stop_signal)), device=self.world.device)
            self.world.sum_tensors([stopping])
            if stopping > 0:
                raise Interrupted(self.stop_signal or signal.SIGTERM)
        return self.progress

    def begin(self, model: nn.Module, batches: Batches, compute_loss: ComputeLoss) -> None:
        """Sets up everything that `step` needs. Raises UserError where the schedule's end is not known."""
        self.model, self.batches, self.compute_loss = model.to(self.world.device), batches, compute_loss
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.world.broadcast([*(parameter.data for parameter in model.parameters()), *model.buffers()])
        self.average = copy.deepcopy(model).eval() if self.config.average_decay else model
        check_end(self.optimizer_config, known=self.total_steps() > 0)
        self.optimizer = build_optimizer(self.parameters, self.optimizer_config)
        self.window = self._new_window()
        self.skipped = torch.zeros((), dtype=torch.int64, device=self.world.device)
        self.skipped_in_a_row = torch.zeros_like(self.skipped)

    # The step

    def _train_epoch(self) -> None:
        """The rest of the current epoch, from the cursor on."""
        progress = self.progress
        self.model.train()
        iterator = self.batches.iterate(progress.epoch, progress.cursor)
        while group := list(islice(iterator, self.config.accumulation)):
            began = time.perf_counter()
            self.step(group)
            progress.cursor += len(group)
            progress.seconds += time.perf_counter() - began
            self._after_step()
            if self._finished():
                return
        if progress.cursor == 0:
            raise UserError("the training data gives no batch; see the counts of dropped pairs")
        progress.epoch, progress.cursor = progress.epoch + 1, 0
        if not self.config.validate_every_steps and progress.validated_step != progress.step:
            self._validate_and_save()

    def step(self, group: list[Batch]) -> None:
        """One optimiser step over the group's micro-batches and all ranks."""
        self._seed_dropout()
        total, count = self.gradients(group)
        self.scaler.unscale_(self.optimizer)  # before clipping: the norm must be that of the true gradient
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.clip_norm or math.inf)
        self.progress.step += 1
        rate = learning_rate(self.optimizer_config, self.progress.step, self.total_steps(), self.progress.cuts)
        for options in self.optimizer.param_groups:
            options["lr"] = rate
        finite = norm.isfinite()
        self._update_weights(finite)
        self._update_average()  # after a skipped step too: it nears the weights there are
        self.window.loss += total.where(finite, 0.0)
        self.window.tokens += count.where(finite, 0.0)
        self.window.steps += 1
        self.skipped += ~finite
        self.skipped_in_a_row = (self.skipped_in_a_row + 1) * ~finite
        if self.world.device.type == "cpu" or self.progress.step % STEPS_BETWEEN_CHECKS == 0:
            self._check_finite()

    def _seed_dropout(self) -> None:
        """Makes dropout a function of (seed, step, rank): a resume needs no generator's state, whatever the number of
        ranks."""
        sequence = np.random.SeedSequence((self.config.seed, self.progress.step, self.world.rank))
        torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0]))

    def gradients(self, group: list[Batch]) -> tuple[Tensor, Tensor]:
        """Leaves the mean gradient per target token in the parameters; returns loss sum and token count over all ranks.

        Sums first, over micro-batches and ranks, and one division last: micro-batches differ in their number of
        tokens, so a mean of means would weigh their tokens unequally. Where memory runs out the same sum is made of
        smaller batches.
        """
        while True:
            try:
                total, count = self._sum_gradients(group)
                break
            except RuntimeError as error:
                if "does not have a deterministic implementation" in str(error):
                    raise UserError(f"trainer.deterministic cannot be kept here: {error}") from None
                if not out_of_memory(error):
                    raise
                too_large = str(error)
            # Outside the handler, whose traceback keeps the failed step's tensors alive.
            group = self._halved(group, too_large)
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        self.ranks_stopping = torch.full_like(total, float(bool(self.stop_signal)))
        self.world.sum_tensors([*gradients, total, count, self.ranks_stopping])
        torch._foreach_div_(gradients, count.clamp(min=1.0))
        return total, count

    def _sum_gradients(self, group: list[Batch]) -> tuple[Tensor, Tensor]:
        """Leaves the sum of this rank's gradients in the parameters; returns its loss sum and token count."""
        self.optimizer.zero_grad(set_to_none=not self.config.cuda_graphs)  # a graph adds to them where they are
        device = self.world.device
        total, count = torch.zeros((), device=device), torch.zeros((), device=device)
        for batch in group:
            moved, recordings = batch.to(device), self.recordings
            loss = recordings.run(self._add_gradients, moved) if recordings else self._add_gradients(moved)
            total += loss.total
            count += loss.tokens
        return total, count

    def _add_gradients(self, batch: Batch) -> LossSum:
        """Adds a batch's gradients to those in the parameters; returns its loss."""
        with torch.autocast(self.world.device.type, self.dtype, enabled=self.dtype != torch.float32):
            loss = self.compute_loss(self.model, batch)
        self.scaler.scale(loss.total).backward()
        return LossSum(loss.total.detach(), loss.tokens)

    def _halved(self, group: list[Batch], error: str) -> list[Batch]:
        """The same rows in batches half as large. Raises UserError where that does not help any more."""
        advice = "lower batching.max_tokens_per_batch (and raise trainer.accumulation to make up for it)"
        if self.world.size > 1:  # the other ranks are about to wait for this one: all end
            raise UserError(f"out of memory on rank {self.world.rank} ({error}); {advice}")
        if max(len(batch[0]) for batch in group) == 1:
            raise UserError(f"out of memory with a single example ({error}); lower max_length or the model's sizes")
        if not self.progress.halved:
            log.warning("out of memory: batches are halved where they do not fit; to avoid the waste, %s", advice)
        self.progress.halved += 1
        return [half for batch in group for half in halves(batch)]

    def _update_weights(self, finite: Tensor) -> None:
        """Takes the optimiser's step unless the gradient is not finite; the host waits for that answer only where the
        optimiser cannot look by itself."""
        if self.scaler.is_enabled():  # infinities are expected now and then: the scaler lowers its scale
            self.scaler.step(self.optimizer)
            self.scaler.update()
        elif self.optimizer.defaults.get("fused"):
            self.optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
            self.optimizer.step()
        elif finite:
            self.optimizer.step()

    def _check_finite(self) -> None:
        """Raises UserError after too many steps without a finite gradient."""
        in_a_row = int(self.skipped_in_a_row)
        if in_a_row > self.config.nonfinite_patience:
            raise UserError(
                f"training diverged: {in_a_row} steps in a row had an infinite or undefined gradient. "
                "The best model is kept. "
                "Lower optimizer.learning_rate, lengthen optimizer.warmup_steps or set trainer.precision to fp32"
            )

    @torch.no_grad()
    def _update_average(self) -> None:
        if self.average is self.model:
            return
        step = self.progress.step
        decay = min(self.config.average_decay, (1 + step) / (10 + step))
        averaged: list[Tensor] = [each for each in self.average.parameters() if each.requires_grad]
        torch._foreach_lerp_(averaged, list[Tensor](self.parameters), 1 - decay)
        for kept, buffer in zip(self.average.buffers(), self.model.buffers(), strict=True):
            kept.copy_(buffer)  # running statistics are averages already

    # Around the step

    def _after_step(self) -> None:
        step = self.progress.step
        self.bar.update()
        if step % self.config.log_every_steps == 0:
            self._log_training()
        if self.config.validate_every_steps and step % self.config.validate_every_steps == 0:
            self._validate_and_save()
        if self.config.save_every_steps and step % self.config.save_every_steps == 0:
            self.save()
        if self._all_stop():
            self._log_training()  # what the window holds is not part of the checkpoint
            self.save()
            raise Interrupted(self.stop_signal or signal.SIGTERM)

    def _all_stop(self) -> bool:
        """Whether to stop after this step.

        Ranks hear of a signal at different moments. They go by what all knew when they added up the step's gradients:
        else one would save while the others wait for it in the next step.
        """
        return bool(self.stop_signal if self.world.size == 1 else self.ranks_stopping > 0)

    def _log_training(self) -> None:
        """Writes and shows loss and speed since the last entry, if there were steps; the only place where the loss is
        fetched from the device."""
        if not self.window.steps:
            return
        window, self.window = self.window, self._new_window()
        tokens = float(window.tokens)
        loss = float(window.loss) / max(1.0, tokens)
        speed = tokens / (time.perf_counter() - window.started)
        rate = self.optimizer.param_groups[0]["lr"]
        self.record(train_loss=loss, learning_rate=rate, tokens_per_second=round(speed, 1))
        self.bar.set_postfix_str(f"loss {loss:.3f}, {speed:,.0f} tokens/s")
        if self.bar.disable:
            shown = (
                f"step {self.progress.step}/{self.total_steps() or '?'}: loss {loss:.3f}, {speed:,.0f} target tokens/s"
            )
            log.info("%s, learning rate %.2e", shown, rate)

    def _validate_and_save(self) -> None:
        progress, metric = self.progress, self.config.best_metric
        self._log_training()
        began = time.perf_counter()
        figures = self._figures()
        self.window.started += time.perf_counter() - began  # speed is that of training
        progress.validated_step, value = progress.step, signed(metric, figures[metric])
        if value > progress.best:
            progress.best, progress.best_step = value, progress.step
            progress.without_gain = progress.since_cut = 0
            if self.world.is_main:
                save_model(self.average, self.directory)
        else:
            progress.without_gain += 1
            progress.since_cut += 1
            if (
                self.optimizer_config.schedule == "plateau"
                and progress.since_cut > self.optimizer_config.plateau_patience
            ):
                progress.cuts, progress.since_cut = progress.cuts + 1, 0
        self.record(**{f"validation_{name}": figure for name, figure in figures.items()})
        shown = ", ".join(f"{name} {figure:.3f}" for name, figure in figures.items())
        if self.world.is_main:
            marker = " (best so far)" if progress.best_step == progress.step else ""
            with self.bar.external_write_mode():
                log.info("epoch %.2f, step %d: validation %s%s", self._epoch(), progress.step, shown, marker)
        self.save()

    def _figures(self) -> Mapping[str, float]:
        """Those of the averaged model, on every rank. Raises UserError where the one that chooses is not among them."""
        metric = self.config.best_metric
        self.average.eval()
        figures = dict(self.validate(self.average)) if self.world.is_main else {}
        figures = self.world.broadcast_object(figures)
        self.model.train()
        if metric not in figures:
            self.save()
            raise UserError(f"trainer.best_metric {metric} is not among this task's figures: {', '.join(figures)}")
        return figures

    def _replace_lost_best(self) -> None:
        """Where the best model was stored and somebody removed it since, stores it again from its checkpoint, or, where
        that is gone too, the newest checkpoint's averaged model: a finished run would never have a model again.

        Patience and the schedule's cuts stay as they were, so that training ends where it would have ended.
        """
        progress, path = self.progress, self.directory / MODEL_FILE
        if not self.world.broadcast_object(self.world.is_main and model_is_lost(self.directory)):
            return
        best, tensors = copy.deepcopy(self.average), self.store.load_step(progress.best_step)
        if tensors is not None:
            log.warning("%s is missing: stored again from the checkpoint of step %d", path, progress.best_step)
            load_model_tensors(best, tensors.get("average", tensors["model"]), str(self.store.directory))
        else:
            told = "%s is missing: the best model, of step %d, is lost; that of step %d takes its place"
            log.warning(told, path, progress.best_step, progress.step)
            value = signed(self.config.best_metric, self._figures()[self.config.best_metric])
            progress.best, progress.best_step = max(-math.inf, value), progress.step  # undefined is worse than all
        if self.world.is_main:
            save_model(best, self.directory)
        self.save()

    def _finished(self) -> bool:
        progress, config = self.progress, self.config
        enough = bool(config.max_steps and progress.step >= config.max_steps)
        return progress.epoch >= config.epochs or enough or self._out_of_patience()

    def _out_of_patience(self) -> bool:
        return bool(self.config.patience and self.progress.without_gain >= self.config.patience)

    def _tell_why_finished(self) -> None:
        if self._out_of_patience():
            told = "no gain in %d validations: training ends; the best was at step %d"
            log.info(told, self.progress.without_gain, self.progress.best_step)

    def total_steps(self) -> int:
        """Steps of the whole training; 0 where it is not known (a stream without max_steps)."""
        per_epoch = self.batches.batches_per_epoch
        steps = self.config.epochs * -(-per_epoch // self.config.accumulation) if per_epoch else 0
        limit = self.config.max_steps
        return min(steps, limit) if steps and limit else steps or limit

    def _epoch(self) -> float:
        per_epoch = self.batches.batches_per_epoch
        return self.progress.epoch + (self.progress.cursor / per_epoch if per_epoch else 0.0)

    def _new_window(self) -> Window:
        device = self.world.device
        return Window(torch.zeros((), device=device), torch.zeros((), device=device))

    def _bar(self) -> "tqdm[Any]":
        total = self.total_steps() or None
        disable = None if self.world.is_main else True
        return tqdm(
            total=total, initial=self.progress.step, desc="training", unit="step", dynamic_ncols=True, disable=disable
        )

    @contextlib.contextmanager
    def _journal(self) -> Iterator[Journal]:
        journal = Journal(self.directory)
        if self.world.is_main:
            journal.open(self.progress.step)
        try:
            yield journal
        finally:
            journal.close()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM, SIGINT and SIGUSR1 (which schedulers send ahead of a time limit) ask for a stop after the current
        step; a second one takes its usual course."""

        def remember(number: int, _frame: object) -> None:
            self.stop_signal = number
            signal.signal(number, previous[signal.Signals(number)])
            log.info("%s: stopping after this step", signal.Signals(number).name)

        try:
            previous = {number: signal.signal(number, remember) for number in STOP_SIGNALS}
        except ValueError:  # not in the main thread: signals are the caller's business
            yield
            return
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    # Files

    def record(self, **figures: float) -> None:
        """Notes figures of the current step."""
        if self.world.is_main:
            self.journal.write(self.progress.step, self._epoch(), **figures)

    def save(self) -> None:
        """Writes a checkpoint from which `fit` goes on as if it had never stopped."""
        self.progress.skipped = int(self.skipped)
        if self.world.is_main and self.saved != self.progress:
            tensors = {
                "model": model_tensors(self.model),
                "optimizer": optimizer_tensors(self.optimizer),
            }
            if self.average is not self.model:
                tensors["average"] = model_tensors(self.average)
            state = {
                "progress": asdict(self.progress),
                "scaler": self.scaler.state_dict(),
                "world_size": self.world.size,
            }
            self.store.save(self.progress.step, tensors, state)
        self.saved = replace(self.progress)
        self.world.barrier()

    def resume(self) -> None:
        """Takes up the newest whole checkpoint, if there is one."""
        loaded = self.store.load_latest()
        if loaded is None:
            return
        tensors, state = loaded
        where = str(self.store.directory)
        if state["world_size"] != self.world.size:
            raise UserError(
                f"{where}: trained by {state['world_size']} processes, not {self.world.size}: the order of the data "
                "would change; go on with as many, or choose another --output"
            )
        load_model_tensors(self.model, tensors["model"], where)
        if self.average is not self.model:
            load_model_tensors(self.average, tensors.get("average", tensors["model"]), where)
        load_optimizer_tensors(self.optimizer, tensors["optimizer"])
        if self.scaler.is_enabled() and state["scaler"]:  # which is empty where the run needed none, as on a CPU
            self.scaler.load_state_dict(state["scaler"])
        self.progress = Progress(**state["progress"])
        self.skipped.fill_(self.progress.skipped)
        if self.world.is_main:
            log.info("resuming at step %d, epoch %.2f", self.progress.step, self._epoch())
