"""The work queue, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from anneal_operator.controllers.queue import LAST_BACKOFF, Retry, WorkQueue
from tests.unit.operator.virtual_time import run

Handle = Callable[[str], Awaitable[float | None]]


async def start(handle: Handle, workers: int = 1) -> WorkQueue[str]:
    queue: WorkQueue[str] = WorkQueue(jitter=lambda: 0.0)
    queue.start(workers, handle)
    return queue


class Diary:
    """Writes down when each key was worked on."""

    def __init__(self, outcomes: dict[str, list[float | Retry | None]] | None = None) -> None:
        self.entries: list[tuple[float, str]] = []
        self._outcomes = outcomes or {}

    async def handle(self, key: str) -> float | None:
        self.entries.append((asyncio.get_running_loop().time(), key))
        outcome = self._outcomes[key].pop(0) if self._outcomes.get(key) else None
        if isinstance(outcome, Retry):
            raise outcome
        return outcome

    def times(self, key: str) -> list[float]:
        return [when for when, what in self.entries if what == key]


def test_a_key_that_waits_is_worked_on_once() -> None:
    async def scene() -> list[tuple[float, str]]:
        diary = Diary()
        queue = await start(diary.handle)
        for key in "abab":
            queue.add(key)
        await asyncio.sleep(1)
        await queue.stop(1)
        return diary.entries

    assert run(scene()) == [(0.0, "a"), (0.0, "b")]


def test_a_key_is_never_worked_on_twice_at_once_and_runs_again_when_added_meanwhile() -> None:
    async def scene() -> tuple[int, int]:
        running, most, passes = 0, 0, 0

        async def handle(key: str) -> None:
            nonlocal running, most, passes
            running += 1
            passes += 1
            most = max(most, running)
            await asyncio.sleep(1)
            running -= 1

        queue = await start(handle, workers=4)
        for _ in range(3):
            queue.add("a")
            await asyncio.sleep(0.1)
        await asyncio.sleep(10)
        await queue.stop(1)
        return most, passes

    assert run(scene()) == (1, 2)


@pytest.mark.parametrize(("delays", "expected"), [
    pytest.param([30.0, 10.0, 20.0], [10.0], id="the earliest wish wins"),
    pytest.param([5.0, None], [0.0], id="an event comes before its time"),
    pytest.param([None, 5.0], [0.0], id="a wish for later adds nothing to a key that is ready"),
])
def test_delays(delays: list[float | None], expected: list[float]) -> None:
    async def scene() -> list[float]:
        diary = Diary()
        queue = await start(diary.handle)
        for delay in delays:
            queue.add("a") if delay is None else queue.add_after("a", delay)
        await asyncio.sleep(100)
        await queue.stop(1)
        return diary.times("a")

    assert run(scene()) == expected


def test_a_pass_that_asks_for_another_gets_it_then() -> None:
    async def scene() -> list[float]:
        diary = Diary({"a": [10.0, 10.0, None]})
        queue = await start(diary.handle)
        queue.add("a")
        await asyncio.sleep(1000)
        await queue.stop(1)
        return diary.times("a")

    assert run(scene()) == [0.0, 10.0, 20.0]


def test_backoff_doubles_up_to_five_minutes_and_success_resets_it() -> None:
    async def scene() -> list[float]:
        failures: list[float | Retry | None] = [Retry() for _ in range(10)]
        diary = Diary({"a": [*failures, None, Retry()]})
        queue = await start(diary.handle)
        queue.add("a")
        await asyncio.sleep(3000)
        queue.add("a")
        await asyncio.sleep(100)
        await queue.stop(1)
        return diary.times("a")

    times = run(scene())
    gaps = [b - a for a, b in pairwise(times)]
    assert gaps[:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, LAST_BACKOFF]
    assert times[-2:] == [3000, 3001]


def test_a_server_that_asks_for_a_pause_gets_it() -> None:
    async def scene() -> list[float]:
        diary = Diary({"a": [Retry(after=42.0)]})
        queue = await start(diary.handle)
        queue.add("a")
        await asyncio.sleep(100)
        await queue.stop(1)
        return diary.times("a")

    assert run(scene()) == [0.0, 42.0]


def test_tries_during_an_outage_do_not_make_the_pause_after_it_long() -> None:
    async def scene() -> list[float]:
        diary = Diary({"a": [Retry(longest=15.0) for _ in range(20)]})
        queue = await start(diary.handle)
        for _ in range(10):
            queue.add("a")
            await asyncio.sleep(0.1)
        await asyncio.sleep(100)
        await queue.stop(1)
        return diary.times("a")

    assert max(b - a for a, b in pairwise(run(scene()))) == pytest.approx(15.0)


def test_a_key_that_always_fails_does_not_delay_the_others() -> None:
    async def scene() -> list[float]:
        diary = Diary({"bad": [Retry() for _ in range(1000)]})
        queue = await start(diary.handle)
        queue.add("bad")
        for n in range(100):
            queue.add(f"good-{n}")
        await asyncio.sleep(600)
        await queue.stop(1)
        return [diary.times(f"good-{n}")[0] for n in range(100)]

    assert set(run(scene())) == {0.0}


def test_a_worker_that_breaks_is_noticed() -> None:
    async def scene() -> None:
        async def handle(key: str) -> None:
            raise ZeroDivisionError(key)

        queue = await start(handle)
        queue.add("a")
        await queue.failure()

    with pytest.raises(ZeroDivisionError):
        run(scene())


def test_stopping_lets_a_pass_under_way_end_and_begins_no_other() -> None:
    async def scene() -> list[str]:
        ended: list[str] = []

        async def handle(key: str) -> None:
            await asyncio.sleep(5)
            ended.append(key)

        queue = await start(handle)
        queue.add("a")
        queue.add("b")
        queue.add_after("c", 1)
        await asyncio.sleep(1)
        await queue.stop(grace=8)
        await asyncio.sleep(100)
        return ended

    assert run(scene()) == ["a"]


def test_stopping_does_not_wait_for_a_pass_that_hangs() -> None:
    async def scene() -> float:
        async def handle(key: str) -> None:
            await asyncio.sleep(1e6)

        queue = await start(handle)
        queue.add("a")
        await asyncio.sleep(1)
        await queue.stop(grace=8)
        return asyncio.get_running_loop().time()

    assert run(scene()) == 9.0


def test_depth_counts_what_waits_for_a_worker() -> None:
    async def scene() -> tuple[int, float | None, bool]:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("a")
        queue.add("b")
        queue.add_after("c", 7)
        return queue.depth, queue.due("c"), queue.idle

    assert run(scene()) == (2, 7.0, False)


def test_urgent_keys_go_before_the_others_but_each_fourth_turn_is_another_one_s() -> None:
    async def scene() -> list[str]:
        diary = Diary()
        queue: WorkQueue[str] = WorkQueue()
        for number in range(3):
            queue.add(f"other-{number}")
        for number in range(7):
            queue.add(f"urgent-{number}", urgent=True)
        queue.start(1, diary.handle)
        await asyncio.sleep(1)
        assert queue.idle
        await queue.stop(1)
        return [key for _, key in diary.entries]

    assert run(scene()) == ["urgent-0", "urgent-1", "urgent-2", "other-0",
                            "urgent-3", "urgent-4", "urgent-5", "other-1", "urgent-6", "other-2"]
