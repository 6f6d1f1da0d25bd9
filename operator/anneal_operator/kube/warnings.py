"""The Warning Events of a namespace, read once for all resources in it that wait.

The API server keeps no index and no cache of Events: whatever a LIST selects, it reads all Events of the namespace from
etcd. A thousand resources that each ask about their own pod made it so slow that the pods waited for the questions.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from anneal_operator.decide.facts import Object
from anneal_operator.kube.client import KubeClient
from anneal_operator.kube.kinds import EVENT
from anneal_operator.kube.shared import Shared

FRESH_SECONDS = 5.0
"""So old may an answer be; shorter than the pause between two looks at one resource."""
SHARE = 0.05
"""Of the time, at most, is the API server busy with these lists, those of all namespaces together: the longer they
take, the longer an answer serves."""
LONGEST_SECONDS = 120.0
"""But no longer than this: a reason must not come too late to matter."""

_ByName = Mapping[str, tuple[Object, ...]]


class Warnings:
    """For one event loop."""

    def __init__(self, client: KubeClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._lists: Shared[str, _ByName] = Shared(self._ask, lambda _, seconds: self._serves(seconds), clock)

    def _serves(self, seconds: float) -> float:
        all_namespaces = seconds * max(1, len(self._lists))
        return min(LONGEST_SECONDS, max(FRESH_SECONDS, all_namespaces / SHARE))

    async def about(self, namespace: str, names: Iterable[str]) -> tuple[Object, ...]:
        """The Warning Events about objects of these names. Raises a KubeError when they cannot be read."""
        wanted = sorted(set(names))
        if not wanted:
            return ()
        by_name = await self._lists.get(namespace)
        return tuple(event for name in wanted for event in by_name.get(name, ()))

    async def _ask(self, namespace: str) -> _ByName:
        found: defaultdict[str, list[Object]] = defaultdict(list)
        async for page in self._client.pages(EVENT, namespace, fields="type=Warning"):
            for event in page.items:
                found[str((event.get("involvedObject") or {}).get("name"))].append(event)
        return {name: tuple(events) for name, events in found.items()}
