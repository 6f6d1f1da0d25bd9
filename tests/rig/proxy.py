"""A proxy between the operator and the API server that logs every write and injects faults.

The operator reaches it by a kubeconfig with a plain http server address; the proxy talks TLS to the real API server.
A fault is a hook: `before(write)` may return a response instead of forwarding, `after(write)` runs when the API server
has committed and before the operator is answered, `on_event` may hold back or drop what a watch tells. Watches can be
cut, frozen, or fed an in-stream error; reads can be answered from earlier ones; the whole server can be away.
"""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import yaml
from aiohttp import ClientError, web

from tests.rig.api import Api, Object

WRITES = ("POST", "PUT", "PATCH", "DELETE")
DROPPED = {"Host", "Content-Length", "Transfer-Encoding", "Connection", "Content-Encoding"}
_KIND = re.compile(r"/(?:api/v1|apis/[^/]+/[^/]+)(?:/namespaces/([^/]+))?/([^/]+)(?:/([^/]+))?(?:/([^/]+))?$")


@dataclass
class Write:
    """One write of the operator's; `status` is None until the API server has answered."""

    number: int
    """Counts from 1; Lease renewals are not counted and have number 0."""
    method: str
    path: str
    body: Object
    writer: str = ""
    """Identity of the operator that writes."""
    at: float = field(default_factory=time.monotonic)
    status: int | None = None
    answer: Object = field(default_factory=dict)

    @property
    def resource(self) -> str:
        """Plural of the kind, with "/status" and the like for subresources."""
        found = _KIND.search(self.path)
        assert found, self.path
        return found.group(2) + (f"/{found.group(4)}" if found.group(4) else "")

    def __str__(self) -> str:
        return f"{self.number} {self.method} {self.path} -> {self.status}"


Before = Callable[[Write], Awaitable[web.StreamResponse | None]]
After = Callable[[Write], Awaitable[None]]
OnEvent = Callable[[str, Object], Awaitable[bool]]
"""Given the plural and the watch event; returns whether to pass it on, and may take its time."""


def refusal(
    status: int, reason: str = "Injected", headers: dict[str, str] | None = None, message: str = ""
) -> web.Response:
    """An error in the API server's form; give its words where the operator tells causes apart by them."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "code": status,
        "message": message or f"injected {status} {reason}",
    }
    return web.json_response(body, status=status, headers=headers)


class FaultProxy:
    """Serves on 127.0.0.1; used as an async context manager."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.writes: list[Write] = []
        self.requests: list[tuple[str, str]] = []
        """(method, path) of everything, for counting."""
        self.before: list[Before] = []
        self.after: list[After] = []
        self.before_read: Callable[[web.Request], Awaitable[web.StreamResponse | None]] | None = None
        self.before_any: Callable[[web.Request], Awaitable[web.StreamResponse | None]] | None = None
        """May answer any request, watches and Lease renewals included."""
        self.on_event: OnEvent | None = None
        self.down = False
        """Every connection is dropped, as when the API server is away."""
        self.ahead_seconds = 0.0
        """How far the API server's clock, as its answers tell it, is ahead of the times in its objects."""
        self.headers: dict[str, str] = {}
        """Added to every request, to impersonate somebody with fewer rights."""
        self._lists: dict[str, Object] = {}
        self._old: dict[str, Object] = {}
        self._watches: set[asyncio.Task[Any]] = set()
        self._silent: set[asyncio.Task[Any]] = set()
        self._frozen = asyncio.Event()
        self._frozen.set()
        self._errors: dict[str, Object] = {}
        self._number = 0

    async def __aenter__(self) -> "FaultProxy":
        app = web.Application(client_max_size=8 << 20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._frozen.set()
        self.cut_watches()
        await self._runner.cleanup()

    def kubeconfig(self, folder: Path, identity: str = "unnamed") -> Path:
        """A kubeconfig that leads through the proxy; the token tells who writes."""
        path = folder / f"proxy-kubeconfig-{identity}"
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "proxy",
                    "clusters": [{"name": "proxy", "cluster": {"server": self.url}}],
                    "users": [{"name": "proxy", "user": {"token": identity}}],
                    "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
                }
            )
        )
        return path

    def cut_watches(self) -> int:
        """Close every watch connection; returns how many there were."""
        watches = list(self._watches)
        for task in watches:
            task.cancel()
        return len(watches)

    def freeze_watches(self) -> None:
        """Stop forwarding bytes of watches; connections stay open."""
        self._frozen.clear()

    def thaw_watches(self) -> None:
        """Forward again."""
        self._frozen.set()

    def silence_watches(self) -> None:
        """Watches that are open now stay open and bring nothing more; new ones work."""
        self._silent |= self._watches

    def fail_watches(self, plural: str, code: int, reason: str) -> None:
        """Send an ERROR event into the next event of the watches of a resource, then end them."""
        self._errors[plural] = {
            "type": "ERROR",
            "object": {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "code": code,
                "reason": reason,
                "message": f"injected {reason}",
            },
        }
        self.cut_watches()

    def turn_back(self) -> None:
        """Answer reads as they were last answered, like an API server that lags behind."""
        self._old = dict(self._lists)

    def catch_up(self) -> None:
        """Answer reads truly again."""
        self._old = {}

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self.down:
            if request.transport:
                request.transport.abort()
            return web.Response(status=503)
        self.requests.append((request.method, request.path))
        if self.before_any and (answer := await self.before_any(request)):
            return answer
        if request.method in WRITES:
            return await self._write(request)
        if self.before_read and (answer := await self.before_read(request)):
            return answer
        if request.query.get("watch") in ("true", "1"):
            return await self._watch(request)
        if self._old and (old := self._read_old(request)) is not None:
            return old
        answer = await self._forward(request, None)
        if "limit" in request.query and answer.status == 200 and isinstance(answer.body, bytes):
            self._lists[request.path_qs] = json.loads(answer.body)
        return answer

    def _read_old(self, request: web.Request) -> web.Response | None:
        if request.path_qs in self._old:
            return web.json_response(self._old[request.path_qs])
        collection, _, name = request.path.rpartition("/")
        for path, listed in self._old.items():
            if path.partition("?")[0] == collection:
                found = [item for item in listed["items"] if item["metadata"]["name"] == name]
                # Items of a list carry neither; an object read by its name does.
                kind = {"apiVersion": listed["apiVersion"], "kind": listed["kind"].removesuffix("List")}
                return web.json_response({**kind, **found[0]}) if found else None
        return None

    async def _write(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        lease = "/leases" in request.path
        self._number += not lease
        write = Write(
            0 if lease else self._number,
            request.method,
            request.path,
            json.loads(raw or b"{}"),
            request.headers.get("Authorization", "").removeprefix("Bearer "),
        )
        if lease:
            return await self._forward(request, raw)
        self.writes.append(write)
        for hook in list(self.before):
            if (answer := await hook(write)) is not None:
                write.status = answer.status
                return answer
        answer = await self._forward(request, raw)
        write.status = answer.status
        if isinstance(answer, web.Response) and isinstance(answer.body, bytes):
            write.answer = json.loads(answer.body or b"{}")
        for after in list(self.after):
            await after(write)
        return answer

    async def _forward(self, request: web.Request, raw: bytes | None) -> web.Response:
        async with self.api.request(request.method, request.path_qs, data=raw, headers=self._sent(request)) as answer:
            body = await answer.read()
            kept = {k: v for k, v in answer.headers.items() if k not in DROPPED}
            if self.ahead_seconds:
                kept["Date"] = formatdate(time.time() + self.ahead_seconds, usegmt=True)
            return web.Response(status=answer.status, body=body, headers=kept)

    def _sent(self, request: web.Request) -> dict[str, str]:
        kept = {k: v for k, v in request.headers.items() if k not in DROPPED and k != "Authorization"}
        return kept | self.headers

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task
        self._watches.add(task)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        try:
            async with self.api.stream(request.path_qs, headers=self._sent(request)) as answer:
                response.set_status(answer.status)
                await response.prepare(request)
                plural = request.path.rsplit("/", 1)[-1]
                if plural in self._errors:
                    await response.write(json.dumps(self._errors.pop(plural)).encode() + b"\n")
                    return response
                async for line in answer.content:
                    await self._frozen.wait()
                    if task in self._silent:
                        continue
                    if self.on_event is None or await self.on_event(plural, json.loads(line)):
                        await response.write(line)
        except (asyncio.CancelledError, ClientError, ConnectionError):
            if request.transport:
                request.transport.abort()
        finally:
            self._watches.discard(task)
        return response
