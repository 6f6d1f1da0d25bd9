"""Gather what one decision is made from: the snapshot that the store holds, and what must be read live."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable

from anneal_operator.decide.facts import Children, Facts, Found, LogRequest, Needs, Object, WriteError
from anneal_operator.kube.client import KubeClient
from anneal_operator.kube.errors import KubeError, NotFound
from anneal_operator.kube.kinds import CLAIM, CONFIG_MAP, FINETUNEJOB, Kind, meta
from anneal_operator.kube.shared import Shared
from anneal_operator.kube.warnings import Warnings

CLAIM_SECONDS = 5.0
"""So long is a claim that was there believed to be there. Many resources name the same few claims; one that vanishes
meanwhile is what the pod then says it waits for."""

log = logging.getLogger(__name__)


class Observer:
    """Reads, for one event loop."""

    def __init__(self, client: KubeClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._warnings = Warnings(client, clock)
        self._claims: Shared[tuple[str, str], Object | None] = Shared(
            lambda place: self._maybe(CLAIM, *place), lambda claim, _: CLAIM_SECONDS if claim else 0.0, clock)

    async def observe(
        self, resource: Object, children: Children, needs: Needs, write_errors: tuple[WriteError, ...],
        fine_tune_job: Object | None,
    ) -> Facts:
        """Read what is needed, all at once. `fine_tune_job` is the one of that name in the store, if there is one."""
        namespace: str = meta(resource)["namespace"]
        claims, config_maps, events, logs, job = await asyncio.gather(
            _by_name(needs.claims, lambda name: self._claims.get((namespace, name))),
            _by_name(needs.config_maps, lambda name: self._maybe(CONFIG_MAP, namespace, name)),
            self._warnings.about(namespace, needs.events_of),
            self._logs(namespace, needs.logs),
            self._fine_tune_job(namespace, needs.fine_tune_job, fine_tune_job),
        )
        found = Found(claims=claims, config_maps=config_maps, events=events, logs=logs, fine_tune_job=job)
        return Facts(resource=resource, children=children, found=found, write_errors=write_errors)

    async def _maybe(self, kind: Kind, namespace: str, name: str) -> Object | None:
        try:
            return await self._client.get(kind, namespace, name)
        except NotFound:
            return None

    async def _logs(self, namespace: str, requests: Iterable[LogRequest]) -> dict[tuple[str, str], str]:
        wanted = list(requests)
        texts = await asyncio.gather(*(self._log(namespace, request) for request in wanted))
        return {(request.pod, request.container): text
                for request, text in zip(wanted, texts, strict=True) if text is not None}

    async def _log(self, namespace: str, request: LogRequest) -> str | None:
        try:
            return await self._client.pod_log(namespace, request)
        except KubeError as error:
            if error.server_down:
                raise
            # The pod is gone, its container has not started, or its node does not answer: there is no log to read,
            # and that must not keep the resource from being reconciled.
            log.info("log of pod %s, container %s is not readable: %s", request.pod, request.container, error)
            return None

    async def _fine_tune_job(self, namespace: str, name: str | None, stored: Object | None) -> Object | None:
        """The store's copy is kept fresh by events; only its absence is worth a question."""
        if name is None or stored is not None:
            return stored if name is not None else None
        return await self._maybe(FINETUNEJOB, namespace, name)


async def _by_name(names: Iterable[str], get: Callable[[str], Awaitable[Object | None]]) -> dict[str, Object]:
    wanted = sorted(set(names))
    found = await asyncio.gather(*(get(name) for name in wanted))
    return {name: obj for name, obj in zip(wanted, found, strict=True) if obj is not None}
