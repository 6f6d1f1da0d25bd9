"""A small client for tests: raw JSON over a kubeconfig. It is not the operator's client, which it helps to test."""

import asyncio
import base64
import json
import socket
import ssl
import tempfile
import weakref
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

Object = dict[str, Any]

PATHS = {
    "FineTuneJob": "/apis/anneal.dev/v1alpha1/namespaces/{ns}/finetunejobs",
    "ModelDeployment": "/apis/anneal.dev/v1alpha1/namespaces/{ns}/modeldeployments",
    "Job": "/apis/batch/v1/namespaces/{ns}/jobs",
    "Deployment": "/apis/apps/v1/namespaces/{ns}/deployments",
    "ReplicaSet": "/apis/apps/v1/namespaces/{ns}/replicasets",
    "Pod": "/api/v1/namespaces/{ns}/pods",
    "PersistentVolumeClaim": "/api/v1/namespaces/{ns}/persistentvolumeclaims",
    "PersistentVolume": "/api/v1/persistentvolumes",
    "ConfigMap": "/api/v1/namespaces/{ns}/configmaps",
    "Secret": "/api/v1/namespaces/{ns}/secrets",
    "Service": "/api/v1/namespaces/{ns}/services",
    "Event": "/api/v1/namespaces/{ns}/events",
    "Namespace": "/api/v1/namespaces",
    "Node": "/api/v1/nodes",
    "ResourceQuota": "/api/v1/namespaces/{ns}/resourcequotas",
    "LimitRange": "/api/v1/namespaces/{ns}/limitranges",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/rolebindings",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "StorageClass": "/apis/storage.k8s.io/v1/storageclasses",
    "APIService": "/apis/apiregistration.k8s.io/v1/apiservices",
}


class ApiError(Exception):
    """The API server refused; `status` is the HTTP status."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body[:600]}")
        self.status = status
        self.body = body


def path_of(kind: str, namespace: str, name: str = "") -> str:
    """URL path of a collection or an object."""
    return PATHS[kind].format(ns=namespace) + (f"/{name}" if name else "")


def ssl_context(cluster: Object, user: Object) -> ssl.SSLContext:
    """TLS with the kubeconfig's authority and client certificate."""

    def data(source: Object, key: str) -> str:
        if f"{key}-data" in source:
            return base64.b64decode(source[f"{key}-data"]).decode()
        return Path(source[key]).read_text()

    context = ssl.create_default_context(cadata=data(cluster, "certificate-authority"))
    with tempfile.NamedTemporaryFile("w") as cert, tempfile.NamedTemporaryFile("w") as key:
        cert.write(data(user, "client-certificate"))
        key.write(data(user, "client-key"))
        cert.flush()
        key.flush()
        context.load_cert_chain(cert.name, key.name)
    return context


class Api:
    """Requests against one API server; used as an async context manager."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.url: str = cluster["server"]
        self.tls = ssl_context(cluster, user) if self.url.startswith("https") else None
        self._session: aiohttp.ClientSession | None = None
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def _socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, _ = address
        made = socket.socket(family, kind, protocol)
        self._sockets.add(made)
        return made

    async def __aenter__(self) -> "Api":
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=self.tls if self.tls else False, limit=0, socket_factory=self._socket
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session
        await self._session.close()
        # A request that was cancelled says goodbye by TLS, which nobody waits for: the loop must last as long.
        async with asyncio.timeout(10):
            while any(made.fileno() >= 0 for made in self._sockets):
                await asyncio.sleep(0.01)

    def request(self, method: str, path: str, **kwargs: Any) -> Any:
        """The raw request, for streams."""
        assert self._session
        return self._session.request(method, self.url + path, **kwargs)

    @asynccontextmanager
    async def stream(self, path: str, **kwargs: Any) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        """A GET whose answer does not end by itself."""
        async with self.request("GET", path, **kwargs) as answer:
            connection = answer.connection
            try:
                yield answer
            finally:
                # TLS takes its time to close in order, longer than the loop of a short test lasts.
                if connection and connection.transport:
                    connection.transport.abort()

    async def call(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        content_type: str = "application/json",
        **params: str,
    ) -> Object:
        """One JSON request. Raises ApiError."""
        data = None if body is None else json.dumps(body)
        async with self.request(
            method, path, data=data, params=params, headers={"Content-Type": content_type}
        ) as answer:
            text = await answer.text()
            if answer.status >= 400:
                raise ApiError(answer.status, text)
            result: Object = json.loads(text)
            return result

    async def get(self, kind: str, namespace: str, name: str) -> Object:
        return await self.call("GET", path_of(kind, namespace, name))

    async def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object, or None."""
        try:
            return await self.get(kind, namespace, name)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def list(self, kind: str, namespace: str, selector: str = "") -> list[Object]:
        found = await self.call("GET", path_of(kind, namespace), labelSelector=selector)
        return [*found["items"]]

    async def create(self, manifest: Object, namespace: str = "") -> Object:
        namespace = namespace or manifest["metadata"].get("namespace", "default")
        return await self.call("POST", path_of(manifest["kind"], namespace), manifest, fieldValidation="Strict")

    async def patch(self, kind: str, namespace: str, name: str, body: Object, subresource: str = "") -> Object:
        """JSON merge patch."""
        path = path_of(kind, namespace, name) + (f"/{subresource}" if subresource else "")
        return await self.call("PATCH", path, body, content_type="application/merge-patch+json")

    async def delete(self, kind: str, namespace: str, name: str, **options: Any) -> None:
        """Delete; an object that is already gone is fine."""
        try:
            await self.call(
                "DELETE", path_of(kind, namespace, name), {"kind": "DeleteOptions", "apiVersion": "v1", **options}
            )
        except ApiError as error:
            if error.status != 404:
                raise

    async def watch(self, path: str, version: str = "", **params: str) -> AsyncGenerator[Object, None]:
        """Watch events of a collection, until the server ends the stream."""
        query = {"watch": "true", "resourceVersion": version, **params}
        async with self.stream(path, params=query) as answer:
            async for line in answer.content:
                yield json.loads(line)

    async def until(self, kind: str, namespace: str, name: str, true: Any, timeout: float = 30) -> Object:
        """The object once `true(object)` holds; `object` is {} while it does not exist. Follows a watch, never sleeps.

        Raises TimeoutError with the last object seen.
        """
        last: Object = {}

        async def follow() -> Object:
            nonlocal last
            while True:
                last = await self.find(kind, namespace, name) or {}
                if true(last):
                    return last
                version = (await self.call("GET", path_of(kind, namespace), limit="1"))["metadata"]["resourceVersion"]
                last = await self.find(kind, namespace, name) or {}
                if true(last):
                    return last
                watch = self.watch(
                    path_of(kind, namespace), version, fieldSelector=f"metadata.name={name}", timeoutSeconds="60"
                )
                # Left to the garbage collector, the connection would outlive the loop.
                async with aclosing(watch) as events:
                    async for event in events:
                        last = {} if event["type"] == "DELETED" else event["object"]
                        if true(last):
                            return last

        try:
            return await asyncio.wait_for(follow(), timeout)
        except TimeoutError:
            raise TimeoutError(
                f"{kind} {namespace}/{name} after {timeout} s: {json.dumps(last.get('status', last))[:3000]}"
            ) from None


def condition(resource: Object, kind: str) -> Object:
    """The condition of this type, or {}."""
    found: list[Object] = [c for c in resource.get("status", {}).get("conditions", []) if c["type"] == kind]
    return found[0] if found else {}
