"""Answers for all who ask: those who ask together share one question, and nobody asks while it is fresh.

A thousand resources that are made at once ask about the same claims and about the Events of the same namespace.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

SWEEP_SECONDS = 10.0
"""So often are answers thrown away that nobody asks for any more."""

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class _Answer(Generic[_V]):
    until: float
    value: _V


class Shared(Generic[_K, _V]):
    """For one event loop. `serves` says for how many seconds a value may serve, given how many it took to get it."""

    def __init__(self, ask: Callable[[_K], Coroutine[None, None, _V]], serves: Callable[[_V, float], float],
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._serves = serves
        self._clock = clock
        self._answers: dict[_K, _Answer[_V]] = {}
        self._asking: dict[_K, asyncio.Task[_V]] = {}
        self._swept = clock()

    def __len__(self) -> int:
        return len(self._answers)

    async def get(self, key: _K) -> _V:
        """The answer. Raises what asking raises, to all who wait for it."""
        known = self._answers.get(key)
        if known is not None and known.until > self._clock():
            return known.value
        return await asyncio.shield(self._question(key))

    def _question(self, key: _K) -> asyncio.Task[_V]:
        if (known := self._asking.get(key)) is not None:
            return known
        question = self._asking[key] = asyncio.create_task(self._answer(key))
        question.add_done_callback(lambda _: self._asking.pop(key))
        return question

    async def _answer(self, key: _K) -> _V:
        began = self._clock()
        value = await self._ask(key)
        now = self._clock()
        self._answers[key] = _Answer(now + self._serves(value, now - began), value)
        if now - self._swept > SWEEP_SECONDS:
            self._swept = now
            self._answers = {other: answer for other, answer in self._answers.items() if answer.until > now}
        return value
