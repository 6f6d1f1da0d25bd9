"""Who may generate now, who waits, and who is told to come back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anneal_server.inference.errors import ApiError


class Slots:
    """At most `running` at once and `waiting` in the queue."""

    def __init__(self, running: int, waiting: int) -> None:
        self._free = asyncio.Semaphore(running)
        self._limit = waiting
        self.running = 0
        self.waiting = 0
        self.draining = False

    def check(self) -> None:
        """429 when too many wait for a slot, 503 when the server is about to end."""
        if self.draining:
            raise ApiError(503, "this server is shutting down; ask again")
        if self._free.locked() and self.waiting >= self._limit:
            raise ApiError(429, f"{self.running} requests are being answered and {self.waiting} wait, which is the "
                                "limit; ask again later, or raise spec.replicas")

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Hold one of the slots."""
        self.check()
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._free.release()
