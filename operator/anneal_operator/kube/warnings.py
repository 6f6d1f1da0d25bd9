"""The Warning Events of a namespace, read once for all resources in it that wait.

The API server keeps no index and no cache of Events: whatever a LIST selects, it reads all Events of the namespace from
etcd. A thousand resources that each ask about their own pod made it so slow that the pods waited for the questions.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from anneal_operator.decide.facts import Object
from anneal_operator.kube.client import KubeClient
from anneal_operator.kube.kinds import EVENT

FRESH_SECONDS = 5.0
"""So old may an answer be; shorter than the pause between two looks at one resource."""
SHARE = 0.05
"""Of the time, at most, is the API server busy with these lists: the longer one takes, the longer its answer serves."""


@dataclass(frozen=True)
class _Answer:
    until: float
    by_name: Mapping[str, tuple[Object, ...]]


class Warnings:
    """For one event loop; those who ask at the same time share one question."""

    def __init__(self, client: KubeClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._answers: dict[str, _Answer] = {}
        self._asking: dict[str, asyncio.Task[_Answer]] = {}

    async def about(self, namespace: str, names: Iterable[str]) -> tuple[Object, ...]:
        """The Warning Events about objects of these names. Raises a KubeError when they cannot be read."""
        wanted = sorted(set(names))
        if not wanted:
            return ()
        answer = self._known(namespace)
        if answer is None:
            answer = await asyncio.shield(self._question(namespace))
        return tuple(event for name in wanted for event in answer.by_name.get(name, ()))

    def _known(self, namespace: str) -> _Answer | None:
        now = self._clock()
        self._answers = {place: answer for place, answer in self._answers.items() if answer.until > now}
        return self._answers.get(namespace)

    def _question(self, namespace: str) -> asyncio.Task[_Answer]:
        if (known := self._asking.get(namespace)) is not None:
            return known
        question = self._asking[namespace] = asyncio.create_task(self._ask(namespace))
        question.add_done_callback(lambda _: self._asking.pop(namespace))
        return question

    async def _ask(self, namespace: str) -> _Answer:
        began = self._clock()
        listing = await self._client.list(EVENT, namespace, fields="type=Warning")
        now = self._clock()
        found: defaultdict[str, list[Object]] = defaultdict(list)
        for event in listing.items:
            found[str((event.get("involvedObject") or {}).get("name"))].append(event)
        by_name = {name: tuple(events) for name, events in found.items()}
        answer = self._answers[namespace] = _Answer(now + max(FRESH_SECONDS, (now - began) / SHARE), by_name)
        return answer
