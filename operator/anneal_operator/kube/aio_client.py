"""KubeClient over the official client's async half: its configuration, TLS and tokens, but raw JSON.

Generated model classes cost much time and memory per object and drop fields they do not know.
"""

import asyncio
import contextlib
import logging
import os
import random
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp
import orjson
from kubernetes.aio import config as loader
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from anneal_operator.decide.facts import LogRequest, Object
from anneal_operator.kube import errors
from anneal_operator.kube.client import FIELD_MANAGER, Change, Guard, Listing, Observer, merge_patch
from anneal_operator.kube.clock import ServerClock
from anneal_operator.kube.kinds import EVENT, POD, Kind, meta, resource_version

USER_AGENT = "anneal-operator"
TIMEOUT = 10.0
"""Seconds for one request; a page of a list may take three times as long."""
CONNECT = 5.0
PAGE = 500
MAX_PAUSE = 60.0
WATCH = (300, 600)
"""Seconds that a watch lasts; different ones, so that not all end together."""
SILENCE = 70.0
"""A watch that tells nothing for so long is dead: a bookmark comes every minute."""

JSON = "application/json"
MERGE = "application/merge-patch+json"
# JSON is YAML: the server reads it as such.
APPLY = "application/apply-patch+yaml"

log = logging.getLogger(__name__)


async def load_configuration() -> Configuration:
    """Find the API server: the pod's service account where there is one, else the kubeconfig."""
    configuration = Configuration()
    # Proxies of the environment are for the outside world. Kopf, which shares the connection, ignores them too.
    configuration.client_session_kwargs = {"trust_env": False}
    # No limit: each watch holds a connection, six in each namespace that is served. Requests are as many as workers.
    configuration.connection_pool_maxsize = 0
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        loader.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        await loader.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    return configuration


def _ignore(verb: str, kind: str, status: int) -> None:
    """The observer of a client that nobody observes."""


class AioKubeClient:
    """See KubeClient."""

    def __init__(
        self, configuration: Configuration, guard: Guard, observe: Observer = _ignore,
        clock: ServerClock | None = None,
    ) -> None:
        self._configuration = configuration
        self._rest = RESTClientObject(configuration)
        self._guard = guard
        self._observe = observe
        self._clock = clock or ServerClock()
        self._paused_until = 0.0

    async def close(self) -> None:
        """Close all connections."""
        await self._rest.close()

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        return _parsed(await self._request("get", kind, kind.path(namespace, name), "GET", query={}, timeout=TIMEOUT))

    async def pages(
        self, kind: Kind, namespace: str | None, *, labels: str = "", fields: str = "",
    ) -> AsyncGenerator[Listing, None]:
        query = {"limit": str(PAGE), "labelSelector": labels, "fieldSelector": fields}
        query = {key: value for key, value in query.items() if value}
        coming: asyncio.Task[bytes] | None = asyncio.create_task(self._page(kind, namespace, query))
        try:
            while coming:
                page = _parsed(await coming)
                token, version = meta(page).get("continue"), str(meta(page).get("resourceVersion", ""))
                # The server works on the next page while this one is put away; only its bytes wait.
                coming = asyncio.create_task(
                    self._page(kind, namespace, {**query, "continue": token})) if token else None
                items = tuple(_named(kind, item) for item in page.get("items") or ())
                yield Listing(items, int(version) if version.isdigit() else 0)
        finally:
            if coming:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    async def _page(self, kind: Kind, namespace: str | None, query: Mapping[str, str]) -> bytes:
        return await self._request("list", kind, kind.path(namespace), "GET", query=query, timeout=3 * TIMEOUT)

    async def watch(
        self, kind: Kind, namespace: str | None, version: int, *, labels: str = "",
    ) -> AsyncGenerator[Change, None]:
        path = kind.path(namespace)
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": str(version),
                 "timeoutSeconds": str(random.randint(*WATCH)), "labelSelector": labels}
        what = f"watch {kind} {path}"
        self._refuse_while_paused(what)
        timeout = aiohttp.ClientTimeout(connect=CONNECT, sock_read=SILENCE)
        with self._connected("watch", kind, what):
            response = await self._send("GET", path, query=query, timeout=timeout)
            with contextlib.closing(response):
                self._observe("watch", kind.name, response.status)
                if response.status != 200:
                    raise self._failure(what, response.status, response.headers, await response.read())
                async for line in response.content:
                    yield _change(what, kind, orjson.loads(line))

    async def create(self, kind: Kind, manifest: Object) -> Object:
        path = kind.path(meta(manifest)["namespace"])
        return await self._write("create", kind, path, "POST", JSON, manifest, {"fieldManager": FIELD_MANAGER},
                                 name=meta(manifest).get("name", ""))

    async def apply(self, kind: Kind, manifest: Object) -> Object:
        path = kind.path(meta(manifest)["namespace"], meta(manifest)["name"])
        return await self._write("apply", kind, path, "PATCH", APPLY, manifest,
                                 {"fieldManager": FIELD_MANAGER, "force": "false"})

    async def patch_status(self, kind: Kind, current: Object, status: Mapping[str, Any]) -> Object:
        ours = meta(current)
        # Both make the server answer 409 when the object changed or was made anew since it was read.
        patch = {"metadata": {"resourceVersion": ours["resourceVersion"], "uid": ours["uid"]},
                 "status": merge_patch(current.get("status") or {}, status)}
        path = kind.path(ours["namespace"], ours["name"], "status")
        return await self._write("patch", kind, path, "PATCH", MERGE, patch, {"fieldManager": FIELD_MANAGER})

    async def patch_event(self, namespace: str, name: str, patch: Object) -> Object:
        return await self._write("patch", EVENT, EVENT.path(namespace, name), "PATCH", MERGE, patch, {})

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> Object | None:
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            answer = await self._write("delete", kind, kind.path(namespace, name), "DELETE", JSON, body, {})
        except errors.NotFound:
            return None
        return answer if answer.get("kind") == kind.name else None

    async def pod_log(self, namespace: str, request: LogRequest) -> str:
        tail = {} if request.tail_lines is None else {"tailLines": str(request.tail_lines)}
        query = {"container": request.container, **tail,
                 "limitBytes": str(request.limit_bytes), "previous": str(request.previous).lower()}
        body = await self._request("log", POD, POD.path(namespace, request.pod, "log"), "GET", query=query,
                                   timeout=TIMEOUT)
        return body.decode(errors="replace")

    async def _write(
        self, verb: str, kind: Kind, path: str, method: str, content_type: str, body: Object,
        query: Mapping[str, str], *, name: str = "",
    ) -> Object:
        # A write that is under way when the lease ends could land after another operator has begun.
        timeout = min(TIMEOUT, self._guard())
        return _parsed(await self._request(verb, kind, path, method, query=query, timeout=timeout, body=body,
                                           content_type=content_type, name=name))

    async def _request(
        self, verb: str, kind: Kind, path: str, method: str, *, query: Mapping[str, str], timeout: float,
        body: Object | None = None, content_type: str = JSON, name: str = "",
    ) -> bytes:
        what = f"{verb} {kind} {path}/{name}" if name else f"{verb} {kind} {path}"
        self._refuse_while_paused(what)
        began = self._clock.began()
        with self._connected(verb, kind, what):
            response = await self._send(
                method, path, query=query, body=body, content_type=content_type,
                timeout=aiohttp.ClientTimeout(total=timeout, connect=min(timeout, CONNECT)))
            data: bytes = await response.read()
        self._observe(verb, kind.name, response.status)
        self._clock.heard(response.headers.get("Date"), began)
        if not 200 <= response.status < 300:
            raise self._failure(what, response.status, response.headers, data)
        return data

    async def _send(
        self, method: str, path: str, *, query: Mapping[str, str], timeout: aiohttp.ClientTimeout,
        body: Object | None = None, content_type: str = JSON,
    ) -> aiohttp.ClientResponse:
        url = self._configuration.host + path + (f"?{urlencode(query)}" if query else "")
        answer = await self._rest.request(  # type: ignore[no-untyped-call]
            method, url, headers=await self._headers(content_type), body=body, _request_timeout=timeout)
        response: aiohttp.ClientResponse = answer.response
        return response

    @contextlib.contextmanager
    def _connected(self, verb: str, kind: Kind, what: str) -> Iterator[None]:
        """Raises Unavailable when there is no answer, or only a part of one."""
        try:
            yield
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            self._observe(verb, kind.name, 0)
            why = str(error) or type(error).__name__
            raise errors.Unavailable(f"{what}: no answer from the API server: {why}") from error

    async def _headers(self, content_type: str) -> dict[str, str]:
        # auth_settings re-reads the token file: a service account's token is replaced while we run.
        auth = (await self._configuration.auth_settings()).get("BearerToken")
        token = {"Authorization": auth["value"]} if auth and auth["value"] else {}
        return {"Accept": JSON, "Content-Type": content_type, "User-Agent": USER_AGENT, **token}

    def _failure(self, what: str, status: int, headers: Mapping[str, str], data: bytes) -> errors.KubeError:
        failure = errors.from_response(what, status, headers, data)
        if failure.retry_after is not None:
            self._paused_until = time.monotonic() + min(failure.retry_after, MAX_PAUSE)
        return failure

    def _refuse_while_paused(self, what: str) -> None:
        """A server that asked for a pause gets it from all workers, not only from the one it told."""
        remaining = self._paused_until - time.monotonic()
        if remaining > 0:
            raise errors.Unavailable(f"{what}: the API server asked for a pause", status=429, retry_after=remaining)


def _parsed(data: bytes) -> Object:
    result: Object = orjson.loads(data)
    meta(result).pop("managedFields", None)
    return result


def _change(what: str, kind: Kind, told: Object) -> Change:
    obj: Object = told["object"]
    if told["type"] == "ERROR":
        raise errors.from_status(what, int(obj.get("code") or 500), obj)
    version = resource_version(obj)
    if told["type"] == "BOOKMARK":
        return Change(version)
    return Change(version, _named(kind, obj), deleted=told["type"] == "DELETED")


def _named(kind: Kind, item: Object) -> Object:
    """Items of a list carry neither kind nor apiVersion; managed fields are half of their size and never read."""
    meta(item).pop("managedFields", None)
    return {"apiVersion": kind.api_version, "kind": kind.name, **item}
