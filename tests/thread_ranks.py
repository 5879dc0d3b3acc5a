"""Ranks that are threads: what needs no torch.distributed, with what ranks really exchange."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from seq2seq.runtime.distributed import World

T = TypeVar("T")


class ThreadWorld(World):
    """A rank that is a thread, and meets the others to exchange what they have."""

    def __init__(self, rank: int, size: int, meeting: threading.Barrier, shares: list[Any]) -> None:
        super().__init__(rank, size)
        vars(self).update(meeting=meeting, shares=shares)

    def _exchange(self, own: Any) -> list[Any]:
        meeting, shares = vars(self)["meeting"], vars(self)["shares"]
        shares[self.rank] = own
        meeting.wait()
        brought = list(shares)
        meeting.wait()
        return brought


def by_ranks(size: int, work: Callable[[World], T]) -> list[T]:
    """What `work` gives on each of so many ranks, which run at the same time; where one fails, all end."""
    meeting, shares = threading.Barrier(size, timeout=60), [[] for _ in range(size)]

    def one(rank: int) -> T:
        try:
            return work(ThreadWorld(rank, size, meeting, shares))
        except BaseException:
            meeting.abort()
            raise

    with ThreadPoolExecutor(size) as threads:
        futures = [threads.submit(one, rank) for rank in range(size)]
    failed = [each for each in futures if each.exception() is not None]
    # The first failure, not that of those who waited for it.
    for each in sorted(failed, key=lambda each: isinstance(each.exception(), threading.BrokenBarrierError)):
        each.result()
    return [each.result() for each in futures]
