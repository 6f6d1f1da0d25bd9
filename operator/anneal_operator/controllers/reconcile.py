"""One pass over one resource: observe, decide, execute."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from anneal_operator.controllers import logs
from anneal_operator.controllers.metrics import Metrics
from anneal_operator.controllers.queue import LAST_BACKOFF, Retry
from anneal_operator.controllers.store import Key, Store
from anneal_operator.decide.facts import Children, Facts, Needs, Object, WriteError
from anneal_operator.decide.plan import Plan
from anneal_operator.kube.client import KubeClient
from anneal_operator.kube.errors import Conflict, KubeError, LeaseLost, NotFound
from anneal_operator.kube.execute import Executor
from anneal_operator.kube.kinds import BY_NAME, FINETUNEJOB, meta
from anneal_operator.kube.observe import Observer

OUTAGE_BACKOFF = 15.0
"""Longest pause after a failure that is the API server's: events that come meanwhile are tries too, and an outage of a
minute must not be followed by five of silence."""
STRAIGHT_ON = 3
"""Passes over one resource that may follow each other at once. A step that only says what comes next must not wait for
its turn behind a thousand others; one that would go on for ever must."""

log = logging.getLogger(__name__)


class NeedsOf(Protocol):
    """Says what a pass must read live."""

    def __call__(self, resource: Object, children: Children, now: datetime) -> Needs: ...


class PlanOf(Protocol):
    """Decides."""

    def __call__(self, facts: Facts, now: datetime) -> Plan: ...


@dataclass(frozen=True)
class Brain:
    """The two pure functions that know a kind."""

    needs: NeedsOf
    plan: PlanOf


class Reconciler:
    """Handles keys of the work queue."""

    def __init__(
        self, client: KubeClient, store: Store, executor: Executor, brains: Mapping[str, Brain], metrics: Metrics,
        now: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._observer = Observer(client)
        self._store = store
        self._executor = executor
        self._brains = brains
        self._metrics = metrics
        self._now = now
        self._refused: dict[str, tuple[WriteError, ...]] = {}

    async def handle(self, key: Key) -> float | None:
        """Work on a key. Returns the seconds until the next pass; raises Retry when this one failed."""
        resource = self._store.resource(key)
        if resource is None:
            return None
        with logs.about(key.kind, key.namespace, key.name, meta(resource)["uid"]):
            began = time.monotonic()
            try:
                return await self._guarded(key, resource)
            finally:
                self._metrics.passes.labels(key.kind).inc()
                self._metrics.seconds.labels(key.kind).observe(time.monotonic() - began)

    async def _guarded(self, key: Key, resource: Object) -> float | None:
        try:
            return await self._passes(key, resource)
        except (Conflict, NotFound) as error:
            self._failed(key, error)
            log.info("the resource changed during the pass: %s", error)
            await self._refresh(key, resource)
            raise Retry from error
        except KubeError as error:
            self._failed(key, error)
            log.warning("the pass will be tried again: %s", error)
            longest = OUTAGE_BACKOFF if error.server_down else LAST_BACKOFF
            raise Retry(error.retry_after or 0.0, longest) from error
        except Retry:
            self._metrics.failures.labels(key.kind, "Refused").inc()
            raise
        except LeaseLost as error:
            self._failed(key, error)
            raise Retry from error
        except Exception as error:
            # A bug that one resource brings out must not keep the others from being reconciled.
            self._failed(key, error)
            log.exception("the pass failed in a way nobody thought of; please report it")
            raise Retry from error

    async def _passes(self, key: Key, resource: Object) -> float | None:
        """Go on as long as there is more to do at once."""
        due = await self._pass(key, resource)
        for _ in range(STRAIGHT_ON - 1):
            # Only unpacked when it is needed.
            if due != 0.0 or (after := self._store.resource(key)) is None:
                break
            due = await self._pass(key, after)
        return due

    async def _pass(self, key: Key, resource: Object) -> float | None:
        brain, now, uid = self._brains[key.kind], self._now(), meta(resource)["uid"]
        children = self._store.children(uid)
        needs = brain.needs(resource, children, now)
        job = self._store.get(FINETUNEJOB, key.namespace, needs.fine_tune_job) if needs.fine_tune_job else None
        facts = await self._observer.observe(resource, children, needs, self._refused.get(uid, ()), job)
        plan = brain.plan(facts, now)
        outcome = await self._executor.execute(facts, plan, now)
        self._remember(uid, outcome.refused)
        if outcome.news:
            return 0.0
        if plan.status is not None:
            self._metrics.outcomes.written(key.kind, resource.get("status") or {}, plan.status)
        if outcome.refused:
            raise Retry
        return plan.requeue_after

    def _remember(self, uid: str, refused: tuple[WriteError, ...]) -> None:
        if refused:
            self._refused[uid] = refused
        else:
            self._refused.pop(uid, None)

    def forget(self, uid: str) -> None:
        """A resource is gone."""
        self._refused.pop(uid, None)

    async def _refresh(self, key: Key, resource: Object) -> None:
        """Put what is really there into the store, for its event may be late."""
        kind = BY_NAME[key.kind]
        try:
            self._store.put(kind, await self._client.get(kind, key.namespace, key.name))
        except NotFound:
            self._store.drop(kind, key.namespace, key.name, meta(resource)["uid"])
        except KubeError as error:
            log.warning("the resource could not be read again: %s", error)

    def _failed(self, key: Key, error: Exception) -> None:
        self._metrics.failures.labels(key.kind, type(error).__name__).inc()
