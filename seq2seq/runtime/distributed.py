"""The processes that train together, as torchrun starts them; a world of one needs no torch.distributed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from itertools import count
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors

from seq2seq.errors import UserError, check
from seq2seq.runtime.device import device_named

T = TypeVar("T")
LONGEST_WAIT = timedelta(hours=12)
"""For rank 0, which alone learns the vocabulary, and scores; NCCL's own limit is ten minutes. Where a
process dies, torchrun ends the others at once."""
ENVIRONMENT = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}
"""What torchrun sets, with the values of a process that it did not start."""
_joined = count()
"""Numbers the groups that this process joins; every process joins the same ones in turn."""
_kept: list[distributed.ProcessGroup | None] = []
"""The group joined last, kept beyond its end, until the next one is joined. What frees a gloo group waits for its
threads and holds the interpreter's lock, which a thread that still lets go of its last tensors needs: freed at once,
one group in some tens would wait for ever."""


@dataclass(frozen=True)
class World:
    """This process among those that train together."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def sum_tensors(self, tensors: Sequence[Tensor]) -> None:
        """Adds each tensor up over all ranks, in place, in one message per element type."""
        if self.size == 1:
            return
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            group = [tensor for tensor in tensors if tensor.dtype == dtype]
            flat = _flatten_dense_tensors(group)
            distributed.all_reduce(flat)
            for tensor, total in zip(group, _unflatten_dense_tensors(flat, group), strict=True):
                tensor.copy_(total)

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Gives every rank the tensors of rank 0, in place."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def broadcast_object(self, value: T) -> T:
        """Rank 0's value on every rank (pickled between processes of this job, never to or from a file)."""
        if self.size == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, 0)
        return box[0]

    def gather(self, work: Callable[[], T]) -> list[T]:
        """What `work` gives on each rank, on every rank (pickled between processes of this job). Raises UserError on
        all where it does on one: none waits for it."""
        if self.size == 1:
            return [work()]
        own: tuple[T | None, str]
        try:
            own = work(), ""
        except UserError as error:
            own = None, str(error) or "a process failed"
        results = self._exchange(own)
        for _, problem in results:
            check(not problem, problem)
        return [result for result, _ in results]

    def _exchange(self, own: Any) -> list[Any]:
        """What each rank brings, on every rank."""
        brought: list[Any] = [None] * self.size
        distributed.all_gather_object(brought, own)
        return brought

    def in_turn(self, own: Sequence[T]) -> list[T]:
        """The results of all ranks, on every rank, in the order of the work, where rank r of N has done each N-th piece
        from the r-th on (pickled between processes of this job)."""
        shares = self.gather(lambda: list(own))
        return [share[row] for row in range(len(shares[0])) for share in shares if row < len(share)]

    def barrier(self) -> None:
        """Waits for all ranks."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def world(device: str = "auto") -> Iterator[World]:
    """Joins the group that torchrun's environment names (gloo on CPU, nccl on GPU), and leaves it at the end.

    Raises UserError where there is no such device, or too few, and where this process waits for another that has ended:
    that one says why.
    """
    size, rank, local = (int(os.environ.get(name, default)) for name, default in ENVIRONMENT.items())
    chosen = device_named(device)
    if chosen.type == "cuda" and (size > 1 or chosen.index is None):
        chosen = device_named(f"cuda:{local}")
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if size == 1:
        yield World(device=chosen)
        return
    store = _store(*map(os.environ.get, ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE")))
    # torch names each group alike: in torchrun's store, which outlives a restart of the processes too, a second one
    # would find the addresses of the first, and hang.
    # Where the processes' store is not torchrun's, it is a new one each time. Hosts count restarts for themselves: one
    # that came back would look under another name than the others, and hang.
    shared = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") if shared else "0"
    distributed.init_process_group(
        "nccl" if chosen.type == "cuda" else "gloo",
        store=distributed.PrefixStore(f"attempt {attempt}, group {next(_joined)}", store),
        rank=rank,
        world_size=size,
        timeout=LONGEST_WAIT,
    )
    _kept[:] = [distributed.group.WORLD]
    try:
        yield World(rank, size, chosen)
    except RuntimeError as error:
        if not connection_lost(error):
            raise
        ended = "Connection closed by peer" in str(error) or "Connection reset by peer" in str(error)
        otherwise = "" if ended else f"; if none has: {' '.join(str(error).split())[:300]}"
        message = f"process {rank + 1} of {size} lost the others; if one of them has ended, its message says why"
        raise UserError(message + otherwise) from error
    finally:
        distributed.destroy_process_group()


@cache
def _store(*_environment: str | None) -> distributed.Store:
    """Where the processes of this environment find each other. One for all groups that they join: where rank 0 keeps it
    and began a new one, a rank that is ahead would wait at the old one for ever."""
    store, *_ = next(distributed.rendezvous("env://", timeout=LONGEST_WAIT))
    return store


def connection_lost(error: BaseException) -> bool:
    """Whether an error is one of the connection between processes."""
    return isinstance(error, distributed.DistError) or (isinstance(error, RuntimeError) and "/gloo/" in str(error))


def end_other_processes() -> None:
    """Ends all processes but the main one. Recipes call it when all is trained: one is enough to evaluate and print."""
    if os.environ.get("RANK", "0") != "0":
        sys.exit()
