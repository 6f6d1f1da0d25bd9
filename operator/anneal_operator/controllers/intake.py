"""What comes in: watch events and LISTs go into the store, and the resources they concern into the queue.

Kopf watches the resources and tells us; their children, of which there are many more, we watch ourselves.
"""

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import Callable, Iterable

from anneal_operator.controllers.health import WatchHealth
from anneal_operator.controllers.metrics import Metrics
from anneal_operator.controllers.queue import WorkQueue
from anneal_operator.controllers.store import Key, Store
from anneal_operator.decide.facts import Object
from anneal_operator.desired.names import CHILD_SELECTOR
from anneal_operator.kube.client import KubeClient
from anneal_operator.kube.errors import Expired, KubeError
from anneal_operator.kube.kinds import CHILDREN, RESOURCES, WATCHED, Kind, meta

RETRY_SECONDS = 10.0
EARLY = (5.0, 30.0)
"""Seconds after which the resources are listed again. Kopf reads its first lists after we have read ours, and says
nothing about what vanished in between."""
RELIST_SECONDS = 1.0
FIRST_PAUSE = 0.1
LAST_PAUSE = 10.0
"""Seconds until a watch that ended begins anew; it doubles while none tells anything."""
SOME = 20
"""Objects that are put away at a stretch: a few milliseconds."""
RESYNC_SHARE = 0.2
"""Of the time that a resync takes, what it works: new resources must not wait for it. All of ten thousand, read in one
go, take as long as after a start, half a minute."""
JITTER = 0.1

Differs = Callable[[Kind, Object, bool], None]
"""Told of an object that a LIST shows otherwise than the store, or no longer."""

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
        self._told: dict[tuple[Kind, str | None], int] = {}
        """The version up to which the store knows a kind: a watch goes on from there."""

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
            self._differs(kind, obj, deleted)
        elif kind in RESOURCES:
            self._tell_others(kind, obj)
        if deleted and kind in RESOURCES:
            self._gone(about["uid"])

    def relisted(self) -> None:
        """Kopf reads a list, at the start or because its watch expired: what vanished before that, no event tells."""
        self._relisted.set()

    async def fill(self) -> None:
        """Read everything there is, and enqueue all resources in the order in which they wait for us.

        Before the watches begin, which therefore are not deaf for not having told the same. Raises a KubeError when a
        LIST fails.
        """
        for namespace in self._namespaces:
            for kind in WATCHED:
                self._told[kind, namespace] = await self._list(kind, namespace, _no_news)
        for key in self._store.by_urgency():
            self._queue.add(key)

    async def resync(self, kinds: Iterable[Kind] = WATCHED) -> None:
        """Make the store equal to LISTs, and enqueue what differs. Raises a KubeError when a LIST fails."""
        for namespace in self._namespaces:
            for kind in kinds:
                await self._list(kind, namespace, self._missed, share=RESYNC_SHARE)

    async def run(self, seconds: float) -> None:
        """Watch, for ever, and compare with LISTs about every so many seconds."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._resync_every(seconds))
            group.create_task(self._look_behind_kopf())
            for namespace in self._namespaces:
                for kind in CHILDREN:
                    group.create_task(self._follow(kind, namespace))

    async def _resync_every(self, seconds: float) -> None:
        while True:
            # Operators of many clusters behind one front end must not LIST at the same moment.
            await asyncio.sleep(seconds * _jittered())
            await self._try_to_resync(WATCHED)
            self._metrics.resyncs.inc()

    async def _look_behind_kopf(self) -> None:
        """See EARLY; and what vanished while Kopf's watch was away."""
        for pause in itertools.chain(EARLY, itertools.repeat(None)):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._relisted.wait()
                    await asyncio.sleep(RELIST_SECONDS)  # its list comes object by object, and of both kinds together
            self._relisted.clear()
            await self._try_to_resync(RESOURCES)

    async def _try_to_resync(self, kinds: Iterable[Kind]) -> None:
        while True:
            try:
                return await self.resync(kinds)
            except KubeError as error:
                log.warning("the store could not be resynced, trying again in %s s: %s", RETRY_SECONDS, error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self, kind: Kind, namespace: str | None) -> None:
        """Watch one kind of child, for ever."""
        pause = FIRST_PAUSE
        while True:
            began = self._told.get((kind, namespace))
            try:
                await self._watch(kind, namespace)
            except KubeError as error:
                # Once is usual: it expires, or its kind is so quiet that not even a bookmark comes.
                log.log(logging.INFO if pause == FIRST_PAUSE else logging.WARNING, "a watch ended: %s", error)
            pause = FIRST_PAUSE if self._told.get((kind, namespace)) != began else min(2 * pause, LAST_PAUSE)
            await asyncio.sleep(pause * _jittered())

    async def _watch(self, kind: Kind, namespace: str | None) -> None:
        """From where the last watch or LIST ended. Raises a KubeError when the watch ends in one."""
        place = kind, namespace
        if place not in self._told:
            self._told[place] = await self._list(kind, namespace, self._differs)
            self._health.listed(kind)
        try:
            watch = self._client.watch(kind, namespace, self._told[place], labels=CHILD_SELECTOR)
            async with contextlib.aclosing(watch) as changes:
                async for change in changes:
                    self._told[place] = change.version
                    if change.obj is not None:
                        self.event(kind, change.deleted, change.obj)
        except Expired:
            del self._told[place]
            raise

    async def _list(self, kind: Kind, namespace: str | None, differs: Differs, share: float = 1.0) -> int:
        """Put what is there into the store; returns as of which version that is.

        Page by page: all pods of ten thousand runs at once would take more memory than everything else. After each
        comes a pause, so that no more than this share of the time is worked.
        """
        listed: set[tuple[str, str]] = set()
        version, clock = 0, asyncio.get_running_loop().time
        began = clock()
        async for page in self._client.pages(kind, namespace, labels=CHILD_SELECTOR if kind in CHILDREN else ""):
            version = page.version
            for number, obj in enumerate(page.items):
                if number % SOME == 0:
                    await asyncio.sleep(0)  # the next page is asked for meanwhile, and a probe is answered
                listed.add((meta(obj)["namespace"], meta(obj)["name"]))
                if self._store.put(kind, obj):
                    differs(kind, obj, False)
            await asyncio.sleep((clock() - began) * (1 / share - 1))
            began = clock()
        for ghost in self._store.prune(kind, namespace, listed, version):
            differs(kind, ghost, True)
        return version

    def _differs(self, kind: Kind, obj: Object, gone: bool) -> None:  # noqa: ARG002
        for key in self._store.concerned(kind, obj):
            self._queue.add(key, urgent=self._store.is_new(key))

    def _missed(self, kind: Kind, obj: Object, gone: bool) -> None:
        self._differs(kind, obj, gone)
        self._metrics.resync_differences.labels(kind.name).inc()
        if not gone:
            self._health.missed(kind, obj)

    def _tell_others(self, kind: Kind, obj: Object) -> None:
        """What we wrote ourselves is no news to the resource it is about, but it is to those that refer to it."""
        for key in self._store.concerned(kind, obj):
            if key.kind != kind.name:
                self._queue.add(key)


def _no_news(kind: Kind, obj: Object, gone: bool) -> None:
    """What is read first is looked at as a whole."""


def _jittered() -> float:
    return 1 + JITTER * random.uniform(-1, 1)
