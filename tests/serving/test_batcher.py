"""The queue of a model: batches, fairness, bounds, failures, clients that leave."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from seq2seq.errors import UserError
from seq2seq.serving.backend import Attention, Candidate, Reads
from seq2seq.serving.batcher import ROWS, Asked, Batcher, Found
from seq2seq.serving.errors import RequestError

PLAIN = Asked()


class Echo:
    """A model that writes in capitals, when it is let."""

    kind = "translator"
    reads: Reads = "text"
    languages = ("en", "de")

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gate = threading.Event()
        self.gate.set()

    def read(self, source: Any, steps: int) -> Any:
        return source

    def search(self, inputs: Sequence[Any], n_best: int, **settings: Any) -> list[list[Candidate]]:
        assert self.gate.wait(20)
        self.batches.append(list(inputs))
        if "broken" in inputs:
            raise RuntimeError("a bug")
        if "refused" in inputs:
            raise UserError("not this one")
        return [[Candidate(text.upper() + str(settings.get("beam_size", "")))] * n_best for text in inputs]

    def attention(self, inputs: Sequence[Any], outputs: Sequence[Candidate]) -> list[Attention]:
        return [Attention([one], [output.text], [[1.0]]) for one, output in zip(inputs, outputs, strict=True)]


class Heard:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.failures = self.left = 0

    def batch(self, rows: int, seconds: float) -> None:
        self.rows.append(rows)

    def failed(self) -> None:
        self.failures += 1

    def dropped(self, inputs: int) -> None:
        self.left += inputs


Test = Callable[[Batcher, Echo, Heard], Coroutine[Any, Any, None]]


def with_batcher(test: Test, most_waiting: int = 1000) -> None:
    echo, heard = Echo(), Heard()
    batcher = Batcher("test", echo, most_waiting, heard)
    try:
        asyncio.run(test(batcher, echo, heard))
    finally:
        echo.gate.set()
        batcher.close()
    assert batcher.waiting == 0
    assert not batcher.alive


def texts_of(found: list[Found]) -> list[str]:
    return [each.candidates[0].text for each in found]


async def started(batcher: Batcher, inputs: Sequence[str], asked: Asked = PLAIN) -> asyncio.Task[list[Found]]:
    """A request that is in the queue, or with the model."""
    task = asyncio.ensure_future(batcher.run(inputs, asked))
    await asyncio.sleep(0)
    return task


async def held(batcher: Batcher, echo: Echo) -> asyncio.Task[list[Found]]:
    """A request that the model is busy with, until its gate opens."""
    echo.gate.clear()
    task = await started(batcher, ["first"])
    while batcher.waiting:
        await asyncio.sleep(0.001)
    return task


def test_requests_of_all_clients_go_together_and_come_back_apart() -> None:
    async def test(batcher: Batcher, echo: Echo, heard: Heard) -> None:
        first = await held(batcher, echo)
        tasks = [await started(batcher, [f"{client}-{place}" for place in range(3)]) for client in range(20)]
        echo.gate.set()
        assert texts_of(await first) == ["FIRST"]
        for client, task in enumerate(tasks):
            assert texts_of(await task) == [f"{client}-{place}" for place in range(3)]
        assert heard.rows == [1, 60]
        assert await batcher.run([], Asked()) == []

    with_batcher(test)


def test_other_settings_are_other_batches() -> None:
    async def test(batcher: Batcher, echo: Echo, heard: Heard) -> None:
        await held(batcher, echo)
        wide, shown = Asked(2, (("beam_size", 7),)), Asked(1, (), True)
        tasks = [await started(batcher, ["a"], asked) for asked in (Asked(), wide, shown, Asked(), wide)]
        echo.gate.set()
        plain, first, attended, again, second = [await task for task in tasks]
        assert texts_of(plain + again) == ["A", "A"]
        assert texts_of(first + second) == ["A7", "A7"]
        assert [len(each.candidates) for each in first] == [2]
        assert plain[0].attention is None
        assert attended[0].attention == Attention(["a"], ["A"], [[1.0]])
        assert heard.rows == [1, 2, 2, 1]

    with_batcher(test)


def test_a_long_request_does_not_keep_a_short_one_waiting() -> None:
    async def test(batcher: Batcher, echo: Echo, heard: Heard) -> None:
        await held(batcher, echo)
        long = await started(batcher, ["x"] * (3 * ROWS))
        short = await started(batcher, ["y"])
        echo.gate.set()
        await short
        assert "y" in echo.batches[1]
        assert len(await long) == 3 * ROWS
        assert heard.rows == [1, ROWS, ROWS, ROWS, 1]

    with_batcher(test)


def test_a_full_queue_refuses_and_says_when_to_come_again() -> None:
    async def test(batcher: Batcher, echo: Echo, heard: Heard) -> None:
        await held(batcher, echo)
        large = await started(batcher, ["a"] * 15)  # nothing waits: any request is taken, however large
        with pytest.raises(RequestError) as refused:
            await batcher.run(["b"], Asked())
        assert refused.value.status == 503
        assert int(refused.value.headers["Retry-After"]) >= 1
        echo.gate.set()
        assert len(await large) == 15
        assert texts_of(await batcher.run(["b"], Asked())) == ["B"]

    with_batcher(test, most_waiting=10)


def test_the_work_of_a_client_that_left_is_dropped() -> None:
    async def test(batcher: Batcher, echo: Echo, heard: Heard) -> None:
        await held(batcher, echo)
        leaving = await started(batcher, ["a", "b"])
        staying = await started(batcher, ["c"])
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert (batcher.waiting, heard.left) == (1, 2)
        echo.gate.set()
        assert texts_of(await staying) == ["C"]
        assert echo.batches == [["first"], ["c"]]

    with_batcher(test)


def test_a_failure_is_of_its_own_request_alone() -> None:
    async def test(batcher: Batcher, echo: Echo, heard: Heard) -> None:
        await held(batcher, echo)
        tasks = [await started(batcher, inputs) for inputs in (["a"], ["b", "broken"], ["refused"], ["c"] * 250)]
        echo.gate.set()
        good, broken, refused, long = await asyncio.gather(*tasks, return_exceptions=True)
        assert texts_of(good) == ["A"]  # type: ignore[arg-type]
        assert texts_of(long) == ["C"] * 250  # type: ignore[arg-type]
        assert isinstance(broken, RequestError)
        assert broken.status == 500
        assert "a bug" not in broken.message
        assert isinstance(refused, RequestError)
        assert (refused.status, refused.message) == (400, "not this one")
        assert heard.failures == 1
        assert texts_of(await batcher.run(["d"], Asked())) == ["D"]

    with_batcher(test)


def test_closing_answers_what_waits_and_refuses_what_comes() -> None:
    async def test(batcher: Batcher, echo: Echo, heard: Heard) -> None:
        await held(batcher, echo)
        waiting = await started(batcher, ["a"])
        closing = asyncio.ensure_future(asyncio.to_thread(batcher.close))
        await asyncio.sleep(0.05)
        with pytest.raises(RequestError) as refused:
            await batcher.run(["b"], Asked())
        assert refused.value.status == 503
        echo.gate.set()
        assert texts_of(await waiting) == ["A"]
        await closing

    with_batcher(test)


def test_another_model_takes_over_between_batches() -> None:
    async def test(batcher: Batcher, echo: Echo, heard: Heard) -> None:
        first = await held(batcher, echo)
        waiting = await started(batcher, ["a"])
        other = Echo()
        batcher.backend = other
        echo.gate.set()
        await first
        await waiting
        assert (echo.batches, other.batches) == ([["first"]], [["a"]])

    with_batcher(test)


def test_one_request_alone_waits_milliseconds() -> None:
    async def test(batcher: Batcher, echo: Echo, heard: Heard) -> None:
        await batcher.run(["a"], Asked())
        began = time.monotonic()
        await batcher.run(["a"], Asked())
        assert time.monotonic() - began < 0.5  # some milliseconds, on a machine that does nothing else

    with_batcher(test)
