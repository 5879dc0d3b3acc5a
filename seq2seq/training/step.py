"""The training step: gradients of a group of batches, and what they do to the weights."""

import copy
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seq2seq.data.batch import Batch, halves, row_count
from seq2seq.errors import UserError
from seq2seq.model.losses import LossSum
from seq2seq.runs.checkpoints import load_optimizer_tensors, optimizer_tensors
from seq2seq.runs.weights import load_model_tensors, model_tensors
from seq2seq.runtime.device import compute_type, out_of_memory
from seq2seq.runtime.distributed import World
from seq2seq.training.config import TrainerConfig
from seq2seq.training.cuda_graphs import Recordings, recordable
from seq2seq.training.objectives import ComputeLoss
from seq2seq.training.optimizer import OptimizerConfig, build_optimizer, learning_rate
from seq2seq.training.parallel import OneMessage, Replicated, trainable
from seq2seq.training.stopping import StopRequest

log = logging.getLogger(__name__)

STEPS_BETWEEN_CHECKS = 10
"""On a GPU: how often the host looks, and waits, for whether gradients were finite. On CPU it costs nothing to look."""


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
    stream: dict[str, Any] | None = None
    """Where the data stands that is read as a stream: a resume goes on from there. None: it reads from the epoch's
    start again."""
    further_steps: int = 0
    """Steps made besides those that as many processes as now would have made; negative where there were more before."""

    def epochs(self, batches_per_epoch: int | None) -> float:
        """Epochs done, with the part of the current one where its length is known."""
        return self.epoch + (self.cursor / batches_per_epoch if batches_per_epoch else 0.0)


@dataclass
class Window:
    """Sums since the last log entry; the loss stays on the device until it is read."""

    loss: Tensor
    tokens: Tensor
    steps: int = 0
    started: float = field(default_factory=time.perf_counter)

    @classmethod
    def on(cls, device: torch.device) -> "Window":
        """A window of no steps."""
        return cls(torch.zeros((), device=device), torch.zeros((), device=device))


class TrainingStep:
    """A model in training, with its optimiser and the running average of its weights; `take` makes a step.

    progress: goes on counting from there; the step's own figures are written into it.
    stop: sent to the other ranks along with the gradients.
    """

    records = True
    """Whether its passes may be recorded as CUDA graphs."""

    def __init__(
        self,
        model: nn.Module,
        compute_loss: ComputeLoss,
        config: TrainerConfig,
        optimizer: OptimizerConfig,
        total_steps: int,
        world: World,
        progress: Progress,
        stop: StopRequest,
    ) -> None:
        device = world.device
        self.model = model.to(device)
        self.config, self.optimizer_config, self.total_steps = config, optimizer, total_steps
        self.world, self.progress, self.stop = world, progress, stop
        world.broadcast([*(parameter.data for parameter in model.parameters()), *model.buffers()])
        self.dtype = compute_type(config.precision, device)
        # In bf16 too: autocast runs cuDNN's recurrent layers in fp16, whatever its own type.
        scaling = self.dtype == torch.float16 or (self.dtype == torch.bfloat16 and device.type == "cuda")
        self.scaler = self._scaler(scaling)
        recorded = config.cuda_graphs and device.type == "cuda" and recordable(model, compute_loss)
        self.recordings = Recordings() if recorded and self.records else None
        self.passes = self._set_up(compute_loss)
        self.parameters = self.passes.parameters
        self.optimizer = build_optimizer(self.parameters, optimizer)
        self.window = Window.on(device)
        self.skipped = torch.full((), progress.skipped, dtype=torch.int64, device=device)
        self.skipped_in_a_row = torch.zeros_like(self.skipped)
        self.ranks_stopping = torch.zeros((), device=device)
        """Ranks that had been asked to stop when the last step's gradients were added up."""

    def _scaler(self, enabled: bool) -> torch.amp.GradScaler:
        return torch.amp.GradScaler(self.world.device.type, enabled=enabled)

    def _set_up(self, compute_loss: ComputeLoss) -> OneMessage:
        """How gradients are worked out and added up; sets up the average, too."""
        self.average = copy.deepcopy(self.model).eval() if self.config.average_decay else self.model
        self.averages: Sequence[Tensor] = trainable(self.average)
        """The running averages of the parameters, in their order."""
        engine = OneMessage if self.world.size == 1 or self.recordings else Replicated
        return engine(self.model, compute_loss, self.world, self.config.bf16_messages)

    def take(self, group: list[Batch]) -> None:
        """One optimiser step over the group's micro-batches and all ranks."""
        self._seed_dropout()
        total, count = self.gradients(group)
        self.scaler.unscale_(self.optimizer)  # before clipping: the norm must be that of the true gradient
        norm = self.passes.clip(self.config.clip_norm or math.inf)
        self.progress.step += 1
        rate = learning_rate(self.optimizer_config, self.progress.step, self.total_steps, self.progress.cuts)
        for options in self.optimizer.param_groups:
            options["lr"] = rate
        finite = norm.isfinite()  # stays on the device: reading it here would make the host wait at every step
        self._update_weights(finite)
        self._update_average()  # after a skipped step too: it nears the weights there are
        self.window.loss += total.where(finite, 0.0)
        self.window.tokens += count.where(finite, 0.0)
        self.window.steps += 1
        self.skipped += ~finite
        self.skipped_in_a_row = (self.skipped_in_a_row + 1) * ~finite
        if self.world.device.type == "cpu" or self.progress.step % STEPS_BETWEEN_CHECKS == 0:
            self._check_finite()

    def gradients(self, group: list[Batch]) -> tuple[Tensor, Tensor]:
        """Leaves the mean gradient per target token in the parameters; returns loss sum and token count over all ranks.

        Sums first, over micro-batches and ranks, and one division last: micro-batches differ in their number of
        tokens, so a mean of means would weigh their tokens unequally. Where memory runs out the same sum is made of
        smaller batches.
        """
        total, count = self._sum_gradients_that_fit(group)
        for parameter in self.parameters:
            if parameter.grad is None:  # not reached by the loss
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        self.ranks_stopping = torch.full_like(total, float(bool(self.stop.number)))
        self.world.sum_tensors([total, count, self.ranks_stopping])
        torch._foreach_div_(gradients, count.clamp(min=1.0))
        return total, count

    def _seed_dropout(self) -> None:
        """Makes dropout a function of (seed, step, rank): a resume needs no generator's state, whatever the number of
        ranks."""
        sequence = np.random.SeedSequence((self.config.seed, self.progress.step, self.world.rank))
        torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0]))

    def _sum_gradients_that_fit(self, group: list[Batch]) -> tuple[Tensor, Tensor]:
        """`_sum_gradients` over all ranks, of batches half as large as often as memory runs out. Returns the loss sum
        and token count of this rank."""
        sends = self.passes.sends_along(group)
        while True:
            try:
                total, count = self._sum_gradients(group, sends)
                break
            except RuntimeError as error:
                if "does not have a deterministic implementation" in str(error):
                    raise UserError(f"trainer.deterministic cannot be kept here: {error}") from None
                if not out_of_memory(error):
                    raise
                too_large = str(error)
            # Outside the handler, whose traceback keeps the failed step's tensors alive.
            group = self._halved(group, too_large, sends)
        self.passes.finish(group, sends)
        return total, count

    def _sum_gradients(self, group: list[Batch], sends: bool) -> tuple[Tensor, Tensor]:
        """Leaves the sum of this rank's gradients in the parameters, or, where the last pass sends them, that of all;
        returns this rank's loss sum and token count."""
        self.optimizer.zero_grad(set_to_none=self.recordings is None)  # a graph adds to them where they are
        device = self.world.device
        total, count = torch.zeros((), device=device), torch.zeros((), device=device)
        for number, batch in enumerate(group, 1):
            moved, recordings = batch.to(device), self.recordings
            with self.passes.passing(sends and number == len(group)):
                loss = recordings.run(self._add_gradients, moved) if recordings else self._add_gradients(moved)
            total += loss.total
            count += loss.tokens
        return total, count

    def _add_gradients(self, batch: Batch) -> LossSum:
        """Adds a batch's gradients to those in the parameters; returns its loss."""
        with torch.autocast(self.world.device.type, self.dtype, enabled=self.dtype != torch.float32):
            loss = self.passes.loss(batch)
        self.scaler.scale(loss.total).backward()
        return LossSum(loss.total.detach(), loss.tokens)

    def _halved(self, group: list[Batch], error: str, sent: bool) -> list[Batch]:
        """The same rows in batches half as large. Raises UserError where that does not help any more, or gradients may
        have been sent."""
        advice = "lower batching.max_tokens_per_batch (and raise trainer.accumulation to make up for it)"
        if sent:  # the other ranks wait for the rest of this one's messages: all end
            raise UserError(f"out of memory on rank {self.world.rank} ({error}); {advice}")
        if max(map(row_count, group)) == 1:
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

    @torch.no_grad()
    def _update_average(self) -> None:
        """Moves the average towards the weights, faster in the first steps: those weights are hardly trained."""
        if not self.config.average_decay:
            return
        step = self.progress.step
        decay = min(self.config.average_decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.averages), list[Tensor](self.parameters), 1 - decay)
        for kept, buffer in zip(self.average.buffers(), self.model.buffers(), strict=True):
            kept.copy_(buffer)  # running statistics are averages already

    def _check_finite(self) -> None:
        """Raises UserError after too many steps without a finite gradient."""
        in_a_row = int(self.skipped_in_a_row)
        if in_a_row > self.config.nonfinite_patience:
            raise UserError(
                f"training diverged: {in_a_row} steps in a row had an infinite or undefined gradient. "
                "The best model is kept. "
                "Lower optimizer.learning_rate, lengthen optimizer.warmup_steps or set trainer.precision to fp32"
            )

    def take_window(self) -> Window:
        """The sums since the last call; begins new ones."""
        window, self.window = self.window, Window.on(self.world.device)
        return window

    def averaged(self) -> nn.Module:
        """The model with averaged weights, ready to be used. All ranks call this together."""
        return self.average.eval()

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Weights, optimiser state and average, as a checkpoint stores them. All ranks call this together."""
        groups = {"model": model_tensors(self.model), "optimizer": optimizer_tensors(self.optimizer)}
        if self.config.average_decay:
            groups["average"] = model_tensors(self.average)
        return groups

    def load(self, tensors: Mapping[str, Mapping[str, Tensor]], scaler: dict[str, Any], where: str) -> None:
        """Puts back what `tensors` gave, and the scaler's state. where: names the checkpoint in errors."""
        self._load_tensors(tensors, where)
        if self.scaler.is_enabled() and scaler:  # which is empty where the run needed none, as on a CPU
            self.scaler.load_state_dict(scaler)

    def _load_tensors(self, tensors: Mapping[str, Mapping[str, Tensor]], where: str) -> None:
        load_model_tensors(self.model, tensors["model"], where)
        if self.config.average_decay:
            load_model_tensors(self.average, tensors.get("average", tensors["model"]), where)
        load_optimizer_tensors(self.optimizer, tensors["optimizer"])
