"""The largest token budget of a batch that the device can train on: batching.max_tokens_per_batch auto."""

from __future__ import annotations

import copy
import gc
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from seq2seq.config import read_mapping
from seq2seq.data.batch import Batch, collate, round_up
from seq2seq.data.bucketing import AUTO, BatchingConfig
from seq2seq.data.symbols import EOS_ID
from seq2seq.errors import check
from seq2seq.runs.layout import CONFIG_FILE, begun
from seq2seq.runtime.device import compute_type, out_of_memory
from seq2seq.tasks.capacity import MEBIBYTE, device_bytes
from seq2seq.tasks.configs import TaskConfig
from seq2seq.training.objectives import ComputeLoss
from seq2seq.training.optimizer import build_optimizer

log = logging.getLogger(__name__)

Task = TypeVar("Task", bound=TaskConfig)

LOWEST, HIGHEST = 256, 1 << 24
"""Padded tokens between which the budget lies."""
PRECISION = 1 / 16
"""The search ends where a budget that does not fit is larger by no more than this part."""
HEADROOM, HEADROOM_RECORDED = 0.9, 0.5
"""Part of the largest budget that is taken: batches of other shapes leave gaps in memory; CUDA graphs take up to as
much again."""
SHARE = 0.5
"""Part of the memory available on a CPU, where nothing says when too much is taken, that a batch may need."""
STEPS = 50
"""Batches that an epoch has at least, unless those of LEAST tokens are fewer: a budget that fits may hold all data."""
LEAST = BatchingConfig().tokens


def with_recorded_budget(config: Task) -> Task:
    """The configuration with the budget that its run found when it began, where it did."""
    path = Path(str(config.output)) / CONFIG_FILE
    if config.batching.max_tokens_per_batch != AUTO or not config.output or not begun(path.parent):
        return config
    found = read_mapping(path).get("batching", {}).get("max_tokens_per_batch")
    if found is None:  # no run that it could go on with, which whoever opens it says
        return config
    return replace(config, batching=replace(config.batching, max_tokens_per_batch=found))


def largest_that_fits(fits: Callable[[int], bool], lowest: int = LOWEST, highest: int = HIGHEST) -> int:
    """The largest number from lowest to highest that fits, to PRECISION, found by doubling and then halving the
    interval. Raises UserError where not even the lowest does."""
    check(fits(lowest), f"batching.max_tokens_per_batch auto: not even {lowest:,} tokens fit; lower the sizes in model")
    good, bad = lowest, highest + 1
    while good < highest and bad > highest:
        tried = min(2 * good, highest)
        good, bad = (tried, bad) if fits(tried) else (good, tried)
    while bad - good > max(1, PRECISION * good) and bad <= highest:
        tried = (good + bad) // 2
        good, bad = (tried, bad) if fits(tried) else (good, tried)
    return good


class Trial:
    """Trains a throw-away model on made-up batches of the widest shape, in which a token needs most memory."""

    def __init__(
        self,
        config: TaskConfig,
        make: Callable[[], nn.Module],
        objective: ComputeLoss,
        device: torch.device,
        width: int,
        factors: int = 0,
    ) -> None:
        """make: gives the model. width: the longest sequence of the data, in tokens, padded. factors: features that
        stand beside each token of a source."""
        self.config, self.make, self.objective, self.device = config, make, objective, device
        self.width, self.factors = width, factors

    def fits(self, tokens: int) -> bool:
        """Whether a batch of so many padded tokens can be trained on. Sets the generators of random numbers anew."""
        problem = ""
        try:
            self._step(max(1, tokens // self.width))
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            problem = str(error)  # not the error itself, whose traceback keeps the tensors alive
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return not problem

    def bytes_per_token(self) -> float:
        """What the backward pass keeps of a token."""
        rows, kept = 8, 0

        def count(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal kept
            kept += tensor.numel() * tensor.element_size()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            self._step(rows)
        return kept / (rows * self.width)

    def _step(self, rows: int) -> None:
        """All that a step of training keeps in memory: weights, their average, gradients, moments, activations."""
        model = self.make().to(self.device).train()
        average = copy.deepcopy(model) if self.config.trainer.average_decay else None
        optimizer = build_optimizer(model.parameters(), self.config.optimizer)
        dtype = compute_type(self.config.trainer.precision, self.device)
        batch = self._batch(rows).to(self.device)
        for _ in range(2):  # the optimiser's moments are there from the second step on
            with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
                loss = self.objective(model, batch)
            loss.total.backward()
            optimizer.step()
        del average

    def _batch(self, rows: int) -> Batch:
        ids = [EOS_ID + 1] * (self.width - 1)
        source: Any = [[each] * (1 + self.factors) for each in ids] if self.factors else ids
        return collate([(source, ids)] * rows)


def find_budget(
    config: TaskConfig,
    make: Callable[[], nn.Module],
    objective: ComputeLoss,
    device: torch.device,
    longest: int,
    tokens: int,
    factors: int = 0,
) -> int:
    """Padded tokens per batch, and says which: on a GPU what its memory holds, tried out; on a CPU a bound by what is
    available. longest: tokens of the longest sequence. tokens: of an epoch, of the longer side.
    factors: as Trial has them."""
    width = round_up(longest + 1, config.batching.length_step)
    trial = Trial(config, make, objective, device, width, factors)
    if device.type == "cuda":
        headroom = HEADROOM_RECORDED if config.trainer.cuda_graphs else HEADROOM
        most, found_by = int(headroom * largest_that_fits(trial.fits)), "tried out on this GPU"
    else:
        room = SHARE * available_bytes()
        most = int(room / trial.bytes_per_token())
        found_by = f"{SHARE:.0%} of the {available_bytes() / MEBIBYTE:,.0f} MiB of memory available"
    budget = max(LOWEST, min(most, HIGHEST, max(LEAST, tokens // STEPS)))
    if budget < most:
        found_by = f"so that an epoch has {STEPS} batches; {most:,} would fit"
    log.info(
        "batching.max_tokens_per_batch: %s padded tokens (auto: %s), usually %s; the learning rate stays at %g",
        *(f"{budget:,}", found_by, f"{LEAST:,}", config.optimizer.learning_rate),
    )
    return budget


def available_bytes() -> int:
    """Memory that this process may take without others being moved out, its share where several train on this machine;
    half of all memory where the system does not say."""
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        available = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration, IndexError):
        available = device_bytes(torch.device("cpu")) // 2
    return available // processes
