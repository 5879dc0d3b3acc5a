"""Work of many clients for one model: a bounded queue, and the thread that answers it in batches."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from seq2seq.errors import UserError
from seq2seq.serving.backend import Attention, Backend, Candidate
from seq2seq.serving.errors import RequestError, bad, later

log = logging.getLogger(__name__)

ROWS = 192
"""Inputs that go to the model together."""
GATHERING_SECONDS, QUIET_SECONDS = 0.010, 0.002
"""How long a batch that is not full waits for further inputs: at most, and since the last one came."""


class Asked(NamedTuple):
    """What a request wants of a model. Inputs whose rest is equal are searched together."""

    n_best: int = 1
    settings: tuple[tuple[str, Any], ...] = ()
    """Names and values, sorted."""
    attention: bool = False


class Found(NamedTuple):
    """A model's answer to one input."""

    candidates: list[Candidate]
    attention: Attention | None


class Observer(Protocol):
    """Hears what a batcher does; from its thread."""

    def batch(self, rows: int, seconds: float) -> None:
        """A batch was answered."""

    def failed(self) -> None:
        """The model failed at a request."""

    def dropped(self, inputs: int) -> None:
        """A client left before so many of its inputs were answered."""


class Job:
    """The inputs of one request."""

    def __init__(self, inputs: Sequence[Any], asked: Asked, done: Callable[[], object]) -> None:
        self.inputs, self.asked, self.done = inputs, asked, done
        self.results: list[Found | None] = [None] * len(inputs)
        self.error: Exception | None = None
        self.taken = 0
        """Inputs that a batch has taken."""
        self.answered = 0
        self.dropped = False

    @property
    def waiting(self) -> int:
        """Inputs that no batch has taken yet."""
        return 0 if self.dropped else len(self.inputs) - self.taken


Part = tuple[Job, int]
"""One input of a job, by its place."""


class Batcher:
    """A model, its queue and its thread. `run` belongs to the event loop, all with an underscore to the thread."""

    def __init__(self, name: str, backend: Backend, most_waiting: int, observer: Observer) -> None:
        self.name, self.backend = name, backend
        """The backend may be replaced at any time: the next batch goes to the new one."""
        self.most_waiting, self.observer = most_waiting, observer
        self.waiting = 0
        """Inputs in the queue."""
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._rate = 100.0
        """Inputs per second, of late."""
        self._thread = threading.Thread(target=self._work, name=f"model {name}", daemon=True)
        self._thread.start()

    async def run(self, inputs: Sequence[Any], asked: Asked) -> list[Found]:
        """The answers to the inputs, in order. Where the caller is cancelled, what is still waiting is dropped.

        Raises RequestError: 503 where too many wait already, 400 where the model refuses the input, 500 where it fails.
        """
        if not inputs:
            return []
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        job = Job(inputs, asked, lambda: loop.call_soon_threadsafe(ended.set))
        self._put(job)
        try:
            await ended.wait()
        except asyncio.CancelledError:
            self._drop(job)
            raise
        if job.error is not None:
            raise _refusal(job.error, self.name)
        return [each for each in job.results if each is not None]

    def close(self) -> None:
        """Answers what is in the queue, then ends the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _put(self, job: Job) -> None:
        with self._changed:
            if self._closing:
                raise later("the server is shutting down", 1)
            if self.waiting and self.waiting + len(job.inputs) > self.most_waiting:
                raise later("the server is busy: too many sentences are waiting", self.waiting / self._rate)
            self._jobs.append(job)
            self.waiting += len(job.inputs)
            self._changed.notify()

    def _drop(self, job: Job) -> None:
        with self._changed:
            left = job.waiting
            job.dropped = True
            self.waiting -= left
        if left:
            self.observer.dropped(left)

    def _work(self) -> None:
        while parts := self._gathered():
            self._answer(parts)

    def _gathered(self) -> list[Part]:
        """The next batch, once it is full or nothing more comes; empty at the end."""
        with self._changed:
            while True:
                while not self.waiting:
                    if self._closing:
                        return []
                    self._changed.wait()
                self._gather()
                if parts := self._taken():
                    return parts

    def _gather(self) -> None:
        """Waits until the next batch is full, or nothing more comes."""
        deadline = time.monotonic() + GATHERING_SECONDS
        while self.waiting < ROWS and not self._closing:
            left = deadline - time.monotonic()
            if left <= 0 or not self._changed.wait(min(left, QUIET_SECONDS)):
                return

    def _taken(self) -> list[Part]:
        """Inputs of all jobs that want the same as the first one: of each its share, so that a long request does not
        keep the others waiting; then what else there is room for. None where all were dropped meanwhile."""
        waiting = [job for job in self._jobs if job.waiting]
        alike = [job for job in waiting if job.asked == waiting[0].asked]
        parts: list[Part] = []
        for share in (max(1, ROWS // max(1, len(alike))), ROWS):
            for job in alike:
                count = min(share, job.waiting, ROWS - len(parts))
                parts += [(job, place) for place in range(job.taken, job.taken + count)]
                job.taken += count
        self.waiting -= len(parts)
        unlike = [job for job in waiting if job.asked != alike[0].asked]
        self._jobs = deque([*unlike, *(job for job in alike if job.waiting)])
        return parts

    def _answer(self, parts: list[Part]) -> None:
        """Answers a batch. Where the model fails, each job gets its own attempt, so that one spoils no other."""
        jobs = list(dict.fromkeys(job for job, _ in parts))
        try:
            self._search(parts)
        except Exception as error:
            if len(jobs) == 1:
                self._fail(jobs[0], error)
            else:
                for job in jobs:
                    self._answer([part for part in parts if part[0] is job])
            return
        for job in jobs:
            if job.answered == len(job.inputs) and job.error is None and not job.dropped:
                self._finish(job)

    def _search(self, parts: list[Part]) -> None:
        asked, backend = parts[0][0].asked, self.backend
        inputs = [job.inputs[place] for job, place in parts]
        began = time.monotonic()
        found = backend.search(inputs, asked.n_best, **dict(asked.settings))
        shown: Sequence[Attention | None] = [None] * len(inputs)
        if asked.attention:
            shown = backend.attention(inputs, [candidates[0] for candidates in found])
        for (job, place), candidates, attention in zip(parts, found, shown, strict=True):
            job.answered += job.results[place] is None
            job.results[place] = Found(candidates, attention)
        seconds = max(time.monotonic() - began, 1e-6)
        self._rate += 0.1 * (len(parts) / seconds - self._rate)
        self.observer.batch(len(parts), seconds)

    def _fail(self, job: Job, error: Exception) -> None:
        if job.error is not None:
            return
        job.error = error
        if not isinstance(error, UserError):
            log.error("model %s failed", self.name, exc_info=error)
            self.observer.failed()
        with self._changed:
            self.waiting -= job.waiting
            job.taken = len(job.inputs)
        self._finish(job)

    def _finish(self, job: Job) -> None:
        try:
            job.done()
        except RuntimeError:  # the event loop has ended: nobody waits any more
            log.debug("model %s: an answer came too late", self.name)


def _refusal(error: Exception, name: str) -> RequestError:
    if isinstance(error, UserError):
        return bad(str(error))
    return RequestError(500, f"the model {name} failed at this request")
