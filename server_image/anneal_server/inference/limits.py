"""The outermost layer: bounded bodies, counted answers, and what nobody foresaw in the log."""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from anneal_server.inference import metrics
from anneal_server.inference.errors import response

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
LOG = logging.getLogger("anneal_server")


class TooLargeError(Exception):
    """The body is longer than the limit."""


class Gate:
    """ASGI middleware."""

    def __init__(self, app: App, max_body: int) -> None:
        self._app, self._max_body = app, max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with its whole body read."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        async def watch(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                # The route, not the path: a counter has one line for each, and paths are without number.
                route = scope.get("route")
                metrics.REQUESTS.labels(getattr(route, "path", "other"), str(message["status"])).inc()
            await send(message)

        try:
            await self._app(scope, await self._read(receive), watch)
        except TooLargeError:
            await response(413, f"the body is longer than {self._max_body} bytes")(scope, receive, watch)
        except Exception:
            # The client has its 500 by now (errors.install), or the beginning of a stream.
            LOG.exception("%s %s failed", scope["method"], scope["path"])

    async def _read(self, receive: Receive) -> Receive:
        """The body at once, so that it is bounded before anybody parses it."""
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                break
            parts.append(message.get("body", b""))
            size, more = size + len(parts[-1]), bool(message.get("more_body"))
            if size > self._max_body:
                raise TooLargeError
        waiting = [{"type": "http.request", "body": b"".join(parts), "more_body": False}]

        async def replay() -> MutableMapping[str, Any]:
            return waiting.pop() if waiting else await receive()

        return replay
