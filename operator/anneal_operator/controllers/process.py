"""The operator process: put everything together, wait until it may begin, run, and end in order."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from datetime import datetime
from functools import partial
from typing import NoReturn

import kopf
from kubernetes.aio.config import ConfigException
from kubernetes.config import ConfigException as SyncConfigException

from anneal_operator.controllers import http, registration
from anneal_operator.controllers.health import WatchHealth
from anneal_operator.controllers.intake import Intake
from anneal_operator.controllers.metrics import Metrics
from anneal_operator.controllers.queue import WorkQueue
from anneal_operator.controllers.reconcile import Brain, Reconciler
from anneal_operator.controllers.store import Key, Store
from anneal_operator.kube import lease_store
from anneal_operator.kube.aio_client import AioKubeClient, load_configuration
from anneal_operator.kube.client import KubeClient
from anneal_operator.kube.clock import ServerClock
from anneal_operator.kube.errors import KubeError, NotFound
from anneal_operator.kube.events import Recorder
from anneal_operator.kube.execute import Executor
from anneal_operator.kube.kinds import RESOURCES
from anneal_operator.kube.lease import Lease
from anneal_operator.settings import Settings

EXIT_FAILED = 1
EXIT_LEASE_LOST = 75
GRACE_SECONDS = 8.0
"""Time for passes under way when the process ends."""
KOPF_SECONDS = 7.0
"""Kopf waits 5 s for its own tasks. After a watch has failed, its other watches may wait for ever for a new login."""
POLL_SECONDS = 2.0
KINDS, LEASE, STORE = "the CRDs of Anneal", "the Lease", "a first look at the whole cluster"
"""What must be there, in this order, before anything is reconciled."""

log = logging.getLogger(__name__)


class KopfHangsError(Exception):
    """Kopf is ending and does not come to its end."""


class Operator:
    """All parts of one operator process."""

    def __init__(
        self, settings: Settings, brains: Mapping[str, Brain], client: KubeClient, lease: Lease, metrics: Metrics,
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._client = client
        self._lease = lease
        self._metrics = metrics
        self._store = Store()
        self._queue: WorkQueue[Key] = WorkQueue()
        self._health = WatchHealth()
        self._awaited = KINDS
        executor = Executor(client, self._store, Recorder(client, settings.identity))
        self._reconciler = Reconciler(client, self._store, executor, brains, metrics, now)
        self._intake = Intake(client, self._store, self._queue, self._health, metrics, settings.watch_namespaces,
                              self._reconciler.forget)
        metrics.watch(self._store, self._queue, lease)

    async def run(self, stop: asyncio.Event) -> None:
        """Run until stopped. Raises when the process must be started anew."""
        server = await http.serve(self._settings.http_port, self._metrics.registry, self._health.deaf,
                                  lambda: self._awaited)
        try:
            async with _background(_measure_lag(self._metrics)):
                await _unless(stop, self._begin())
                if not stop.is_set():
                    await self._work(stop)
        finally:
            await server.cleanup()

    async def _begin(self) -> None:
        """Wait for the kinds, then for the Lease, then read everything: a pass on half a store would be wrong."""
        await _wait_for_kinds(self._client, self._settings.watch_namespaces)
        self._awaited = LEASE
        log.info("waiting for %s", LEASE)
        self._lease.start()
        while not await asyncio.to_thread(self._lease.wait, 0.5):
            pass
        self._awaited = STORE
        await self._fill_store()

    async def _fill_store(self) -> None:
        while True:
            try:
                return await self._intake.fill()
            except KubeError as error:
                log.warning("the cluster cannot be read, waiting: %s", error)
                await asyncio.sleep(POLL_SECONDS)

    async def _work(self, stop: asyncio.Event) -> None:
        self._queue.start(self._settings.workers, self._reconciler.handle)
        self._awaited = ""
        log.info("reconciling")
        try:
            async with (_background(self._intake.run(self._settings.resync_seconds)) as resync,
                        _background(self._queue.failure()) as worker):
                await self._watch(stop, {resync, worker})
        finally:
            await self._queue.stop(GRACE_SECONDS)

    async def _watch(self, stop: asyncio.Event, vital: set[asyncio.Task[object]]) -> None:
        """Run Kopf until it ends; it sets `stop` when it begins to. Raises when a vital task has failed."""
        namespaces = self._settings.watch_namespaces
        running = asyncio.create_task(kopf.operator(
            registry=registration.registry(self._intake, stop), settings=registration.settings(),
            standalone=True, clusterwide=not namespaces, namespaces=namespaces,
            stop_flag=stop))
        async with _background(stop.wait()) as stopping:
            await asyncio.wait({running, stopping, *vital}, return_when=asyncio.FIRST_COMPLETED)
        for task in vital:
            if task.done():
                await task
        await asyncio.wait({running}, timeout=KOPF_SECONDS)
        if not running.done():
            raise KopfHangsError("Kopf gave up a watch and does not end; its log says why")
        await running


async def _unless(stop: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Do the work, unless the process is told to stop before it is done."""
    async with _background(stop.wait()) as stopped, _background(work) as task:
        await asyncio.wait({stopped, task}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task


@contextlib.asynccontextmanager
async def _background(work: Coroutine[None, None, object]) -> AsyncIterator[asyncio.Task[object]]:
    """Run something beside, and end it afterwards."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _wait_for_kinds(client: KubeClient, namespaces: tuple[str, ...]) -> None:
    """Kopf never watches a kind that is missing when it starts; the CRDs may be installed after us."""
    for kind in RESOURCES:
        while True:
            try:
                async with contextlib.aclosing(client.pages(kind, namespaces[0] if namespaces else None)) as pages:
                    await anext(pages)
                break
            except NotFound:
                log.warning("the API server does not know %s: install the CRDs of Anneal; waiting", kind.plural)
            except KubeError as error:
                log.warning("waiting for the API server: %s", error)
            await asyncio.sleep(POLL_SECONDS)


async def _measure_lag(metrics: Metrics) -> None:
    """A loop that is late answers nobody, probes included."""
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        await asyncio.sleep(1.0)
        metrics.loop_lag.observe(max(0.0, loop.time() - began - 1.0))


def _end_now(code: int) -> NoReturn:
    """End without waiting for anything."""
    logging.shutdown()
    os._exit(code)


def _lease(settings: Settings) -> Lease:
    store = lease_store.ApiLeaseStore(lease_store.load_configuration(), settings.namespace)
    return Lease(store, settings.identity, settings.lease_seconds, partial(_end_now, EXIT_LEASE_LOST))


async def main(settings: Settings, brains: Mapping[str, Brain]) -> None:
    """Run the operator until SIGTERM. Does not return when it cannot go on, but ends the process."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    metrics, clock = Metrics(), ServerClock()
    try:
        lease = _lease(settings)
        client = AioKubeClient(await load_configuration(), lease.may_write, metrics.request, clock)
    except (ConfigException, SyncConfigException) as error:
        log.error("no API server is known: run in a pod with a service account, or set KUBECONFIG: %s", error)
        _end_now(EXIT_FAILED)
    try:
        await Operator(settings, brains, client, lease, metrics, clock.now).run(stop)
    except Exception:
        log.exception("the operator process cannot go on")
        await asyncio.to_thread(lease.stop)
        _end_now(EXIT_FAILED)  # returning would wait for tasks of Kopf's that never end
    await asyncio.to_thread(lease.stop)
    await client.close()
