"""The work queue: keys, not events. A key waits once, is worked on once at a time, and comes back by itself.

- coalescing: adding a key that waits changes nothing; one that is being worked on runs once more afterwards
- delayed: the earliest wish wins
- backoff: a key that fails comes back after 1 s, 2 s, 4 s .. 5 min, with jitter; success resets it
- fair: first come, first served, so that a key that keeps failing delays nobody else; urgent keys go before the others,
  but every fourth turn is another one's, so that a flood of them starves nobody
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

FIRST_BACKOFF = 1.0
LAST_BACKOFF = 300.0
TURNS = 4
"""Of so many, one belongs to those that are not urgent."""
JITTER = 0.1
"""Share of a backoff that is added at random, so that what failed together does not come back together."""

K = TypeVar("K", bound=Hashable)


class Retry(Exception):
    """The work on a key failed; it comes back after its backoff, at most `longest` seconds and at least `after`."""

    def __init__(self, after: float = 0.0, longest: float = LAST_BACKOFF) -> None:
        super().__init__(after, longest)
        self.after = after
        self.longest = longest


class WorkQueue(Generic[K]):
    """For one event loop, whose time it uses."""

    def __init__(self, jitter: Callable[[], float] = random.random) -> None:
        self._jitter = jitter
        self._urgent: deque[K] = deque()
        self._others: deque[K] = deque()
        self._ready = asyncio.Semaphore(0)
        """One for each key in either, and at the end one for each worker."""
        self._turn = 0
        self._waiting: dict[K, float] = {}
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def depth(self) -> int:
        """How many keys wait for a worker; those that wait for their time do not count."""
        return len(self._waiting) + len(self._again)

    @property
    def oldest(self) -> float:
        """Seconds that the first of them has waited."""
        # In the order in which they came; a monotonic clock, because a scrape may come from outside the loop.
        return time.monotonic() - next(iter(self._waiting.values())) if self._waiting else 0.0

    @property
    def idle(self) -> bool:
        """Nothing waits for a worker and nothing is being worked on."""
        return not self._waiting and not self._working

    def due(self, key: K) -> float | None:
        """Seconds until a delayed key comes back."""
        timer = self._timers.get(key)
        return timer.when() - asyncio.get_running_loop().time() if timer else None

    def add(self, key: K, *, urgent: bool = False) -> None:
        """Work on this key as soon as a worker is free; a key that waits already keeps its place."""
        self._cancel_timer(key)
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting[key] = time.monotonic()
            (self._urgent if urgent else self._others).append(key)
            self._ready.release()

    def add_after(self, key: K, delay: float) -> None:
        """Work on this key after so many seconds, unless it is due earlier."""
        if key in self._waiting or key in self._again:
            return
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is None or timer.when() > loop.time() + delay:
            self._cancel_timer(key)
            self._timers[key] = loop.call_later(delay, self.add, key)

    def start(self, workers: int, handle: Callable[[K], Awaitable[float | None]]) -> None:
        """Begin to work. `handle` returns the seconds until the key is due again, or raises Retry."""
        self._tasks = {asyncio.create_task(self._work(handle), name=f"worker {n}") for n in range(workers)}

    async def failure(self) -> None:
        """Wait for ever; raises when a worker has ended, which none may do before `stop`."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task

    async def stop(self, grace: float) -> None:
        """Let passes under way end, for at most `grace` seconds; start no other."""
        self._stopping = True
        for timer in self._timers.values():
            timer.cancel()
        for _ in self._tasks:
            self._ready.release()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=grace)
            for task in late:
                task.cancel()

    async def _work(self, handle: Callable[[K], Awaitable[float | None]]) -> None:
        while await self._ready.acquire() and not self._stopping:
            key = self._next()
            self._waiting.pop(key, None)
            self._working.add(key)
            try:
                await self._work_on(key, handle)
            finally:
                self._working.discard(key)
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)

    def _next(self) -> K:
        self._turn += 1
        first, second = (self._others, self._urgent) if self._turn % TURNS == 0 else (self._urgent, self._others)
        return (first or second).popleft()

    async def _work_on(self, key: K, handle: Callable[[K], Awaitable[float | None]]) -> None:
        try:
            delay = await handle(key)
        except Retry as retry:
            self.add_after(key, max(retry.after, self._backoff(key, retry.longest)))
            return
        self._failures.pop(key, None)
        if delay is not None:
            self.add_after(key, delay)

    def _backoff(self, key: K, longest: float) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        # The exponent is bounded, or the power overflows for a key that has failed for weeks.
        delay = min(FIRST_BACKOFF * 2.0 ** min(failures - 1, 30), longest)
        return delay * (1 + JITTER * self._jitter())

    def _cancel_timer(self, key: K) -> None:
        if timer := self._timers.pop(key, None):
            timer.cancel()
