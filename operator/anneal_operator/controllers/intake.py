"""What comes in: watch events and LISTs go into the store, and the resources they concern into the queue."""

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import Callable

from anneal_operator.controllers.health import WatchHealth
from anneal_operator.controllers.metrics import Metrics
from anneal_operator.controllers.queue import WorkQueue
from anneal_operator.controllers.store import Key, Store
from anneal_operator.decide.facts import Object
from anneal_operator.desired.names import CHILD_SELECTOR
from anneal_operator.kube.client import KubeClient
from anneal_operator.kube.errors import KubeError
from anneal_operator.kube.kinds import CHILDREN, RESOURCES, Kind, meta

RETRY_SECONDS = 10.0
EARLY = (5.0, 30.0)
"""Seconds until the first resyncs. Kopf reads its first lists after we have read ours, and says nothing about what
vanished in between."""
RELIST_SECONDS = 1.0
SOME = 20
"""Objects that are put away at a stretch: a few milliseconds."""
JITTER = 0.1

log = logging.getLogger(__name__)


class Intake:
    """Keeps the store true."""

    def __init__(
        self, client: KubeClient, store: Store, queue: WorkQueue[Key], health: WatchHealth, metrics: Metrics,
        namespaces: tuple[str, ...], gone: Callable[[str], None],
    ) -> None:
        self._client = client
        self._store = store
        self._queue = queue
        self._health = health
        self._metrics = metrics
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)
        self._gone = gone
        self._relisted = asyncio.Event()

    def event(self, kind: Kind, deleted: bool, obj: Object) -> None:
        """A watch said that the object exists like this, or that it is gone."""
        meta(obj).pop("managedFields", None)
        self._health.seen(kind, obj)
        about = meta(obj)
        if deleted:
            changed = self._store.drop(kind, about["namespace"], about["name"], about["uid"])
        else:
            changed = self._store.put(kind, obj)
        if changed:
            self._enqueue(kind, obj)
        elif kind in RESOURCES:
            self._tell_others(kind, obj)
        if deleted and kind in RESOURCES:
            self._gone(about["uid"])

    def relisted(self) -> None:
        """Kopf reads a list, at the start or because its watch expired: what vanished before that, no event tells."""
        self._relisted.set()

    async def resync(self, *, first: bool = False) -> None:
        """Make the store equal to LISTs, and enqueue what differs. Raises a KubeError when a LIST fails.

        The first one comes before the watches, which therefore are not deaf for not having told the same. After it
        all resources are looked at, in the order in which they wait for us.
        """
        for namespace in self._namespaces:
            for kind in (*RESOURCES, *CHILDREN):
                await self._relist(kind, namespace, first=first)
        if first:
            for key in self._store.by_urgency():
                self._queue.add(key)
        self._metrics.resyncs.inc()

    async def _relist(self, kind: Kind, namespace: str | None, *, first: bool) -> None:
        """Page by page: all pods of ten thousand runs at once would take more memory than everything else."""
        listed: set[tuple[str, str]] = set()
        version = 0
        async for page in self._client.pages(kind, namespace, labels=CHILD_SELECTOR if kind in CHILDREN else ""):
            version = page.version
            for number, obj in enumerate(page.items):
                if number % SOME == 0:
                    await asyncio.sleep(0)  # the next page is asked for meanwhile, and a probe is answered
                listed.add((meta(obj)["namespace"], meta(obj)["name"]))
                if self._store.put(kind, obj) and not first:
                    self._differs(kind, obj)
                    self._health.missed(kind, obj)
        for ghost in self._store.prune(kind, namespace, listed, version):
            self._differs(kind, ghost)

    def _differs(self, kind: Kind, obj: Object) -> None:
        self._enqueue(kind, obj)
        self._metrics.resync_differences.labels(kind.name).inc()

    async def run(self, seconds: float) -> None:
        """Resync for ever, about this often, and whenever Kopf has read a list."""
        for pause in itertools.chain(EARLY, itertools.repeat(seconds)):
            # Jitter: operators of many clusters behind one front end must not LIST at the same moment.
            await self._wait(min(pause, seconds) * (1 + JITTER * random.uniform(-1, 1)))
            try:
                await self.resync()
            except KubeError as error:
                log.warning("the store could not be resynced, trying again in %s s: %s", RETRY_SECONDS, error)
                await asyncio.sleep(RETRY_SECONDS)

    def _tell_others(self, kind: Kind, obj: Object) -> None:
        """What we wrote ourselves is no news to the resource it is about, but it is to those that refer to it."""
        for key in self._store.concerned(kind, obj):
            if key.kind != kind.name:
                self._queue.add(key)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._relisted.wait()
                await asyncio.sleep(RELIST_SECONDS)  # lists come object by object, and of all kinds together
        self._relisted.clear()

    def _enqueue(self, kind: Kind, obj: Object) -> None:
        for key in self._store.concerned(kind, obj):
            self._queue.add(key, urgent=self._store.is_new(key))
