"""Gather what one decision is made from: the snapshot that the store holds, and what must be read live."""

import asyncio
import logging
from collections.abc import Iterable

from anneal_operator.decide.facts import Children, Facts, Found, LogRequest, Needs, Object, WriteError
from anneal_operator.kube.client import KubeClient
from anneal_operator.kube.errors import KubeError, NotFound
from anneal_operator.kube.kinds import CLAIM, CONFIG_MAP, FINETUNEJOB, Kind, meta
from anneal_operator.kube.warnings import Warnings

log = logging.getLogger(__name__)


async def observe(
    client: KubeClient, warnings: Warnings, resource: Object, children: Children, needs: Needs,
    write_errors: tuple[WriteError, ...], fine_tune_job: Object | None,
) -> Facts:
    """Read what is needed, all at once. `fine_tune_job` is the one of that name in the store, if there is one."""
    namespace: str = meta(resource)["namespace"]
    claims, config_maps, events, logs, job = await asyncio.gather(
        _existing(client, CLAIM, namespace, needs.claims),
        _existing(client, CONFIG_MAP, namespace, needs.config_maps),
        warnings.about(namespace, needs.events_of),
        _logs(client, namespace, needs.logs),
        _fine_tune_job(client, namespace, needs.fine_tune_job, fine_tune_job),
    )
    found = Found(claims=claims, config_maps=config_maps, events=events, logs=logs, fine_tune_job=job)
    return Facts(resource=resource, children=children, found=found, write_errors=write_errors)


async def _existing(client: KubeClient, kind: Kind, namespace: str, names: Iterable[str]) -> dict[str, Object]:
    wanted = sorted(set(names))
    found = await asyncio.gather(*(_maybe(client, kind, namespace, name) for name in wanted))
    return {name: obj for name, obj in zip(wanted, found, strict=True) if obj is not None}


async def _maybe(client: KubeClient, kind: Kind, namespace: str, name: str) -> Object | None:
    try:
        return await client.get(kind, namespace, name)
    except NotFound:
        return None


async def _logs(
    client: KubeClient, namespace: str, requests: Iterable[LogRequest],
) -> dict[tuple[str, str], str]:
    wanted = list(requests)
    texts = await asyncio.gather(*(_log(client, namespace, request) for request in wanted))
    return {(request.pod, request.container): text
            for request, text in zip(wanted, texts, strict=True) if text is not None}


async def _log(client: KubeClient, namespace: str, request: LogRequest) -> str | None:
    try:
        return await client.pod_log(namespace, request)
    except KubeError as error:
        if error.server_down:
            raise
        # The pod is gone, its container has not started, or its node does not answer: there is no log to read,
        # and that must not keep the resource from being reconciled.
        log.info("log of pod %s, container %s is not readable: %s", request.pod, request.container, error)
        return None


async def _fine_tune_job(
    client: KubeClient, namespace: str, name: str | None, stored: Object | None,
) -> Object | None:
    """The store's copy is kept fresh by events; only its absence is worth a question."""
    if name is None or stored is not None:
        return stored if name is not None else None
    return await _maybe(client, FINETUNEJOB, namespace, name)
