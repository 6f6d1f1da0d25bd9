"""The HTTP API."""

import time
from collections.abc import AsyncGenerator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from anneal_api.serve import HEALTH_PATH
from anneal_server.inference import errors, metrics
from anneal_server.inference import protocol as api
from anneal_server.inference.answers import Writer
from anneal_server.inference.engine import Engine, Piece

FAILURES: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": api.ErrorBody, "description": "Refused; error.message says why"},
    "5XX": {"model": api.ErrorBody, "description": "Not now; Retry-After says when"},
}
EVENTS = {"text/event-stream": {"schema": {"type": "object", "properties": {"data": {"type": "string"}}}}}


class Api:
    """The routes and what they share."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.started = int(time.time())

    def app(self) -> FastAPI:
        """The application, without the outermost layer."""
        app = FastAPI(title="Anneal transformers engine", version="1", docs_url=None, redoc_url=None)
        errors.install(app)
        app.add_api_route(HEALTH_PATH, self.health, methods=["GET"], responses=FAILURES, response_model=None)
        app.add_api_route("/metrics", self.metrics, methods=["GET"], response_class=Response, include_in_schema=False)
        app.add_api_route("/v1/models", self.models, methods=["GET"], response_model=api.ModelList)
        app.add_api_route("/v1/models/{name}", self.model, methods=["GET"], response_model=api.ModelCard,
                          responses=FAILURES)
        for path, run, answer in (("/v1/chat/completions", self.chat, api.ChatAnswer),
                                  ("/v1/completions", self.complete, api.CompletionAnswer)):
            success = {"model": answer, "description": "The answer; events with stream", "content": EVENTS}
            responses: dict[int | str, dict[str, Any]] = {200: success, **FAILURES}
            app.add_api_route(path, run, methods=["POST"], response_model=None, responses=responses)
        return app

    async def health(self) -> JSONResponse:
        """Whether requests are taken."""
        if self.engine.slots.draining:
            return errors.response(503, "this server is shutting down")
        return JSONResponse({})

    async def metrics(self) -> Response:
        """For Prometheus."""
        metrics.RUNNING.set(self.engine.slots.running)
        metrics.WAITING.set(self.engine.slots.waiting)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    async def models(self) -> api.ModelList:
        """Every name that requests may ask for."""
        return api.ModelList(data=[self._card(name) for name in self.engine.names])

    async def model(self, name: str) -> api.ModelCard:
        """One of them."""
        if name not in self.engine.names:
            raise errors.ApiError(404, f"there is no model {name!r}; there are {', '.join(self.engine.names)}", "model")
        return self._card(name)

    def _card(self, name: str) -> api.ModelCard:
        options = self.engine.options
        adapter = options.adapters.get(name)
        return api.ModelCard(id=name, created=self.started, root=str(adapter or options.model),
                             parent=options.name if adapter else None, max_model_len=options.max_model_len)

    async def chat(self, body: api.ChatRequest, request: Request) -> Response:
        """Answer a conversation."""
        return await self._answer(body, request)

    async def complete(self, body: api.CompletionRequest, request: Request) -> Response:
        """Continue a text."""
        return await self._answer(body, request)

    async def _answer(self, body: api.ChatRequest | api.CompletionRequest, request: Request) -> Response:
        writer = Writer(self.engine.weights, body, await self.engine.ask(body))
        pieces = self.engine.pieces(writer.ask)
        if body.stream:
            events = writer.stream(pieces)
            # Once the first event is there, the request had its turn: what can be refused has been.
            return StreamingResponse(_after(await anext(events), events), media_type="text/event-stream")
        found = await writer.whole(_while_wanted(pieces, request))
        return Response(found.model_dump_json(exclude_none=True), media_type="application/json")


async def _after(first: str, rest: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    try:
        yield first
        async for event in rest:
            yield event
    finally:
        await rest.aclose()


async def _while_wanted(pieces: AsyncGenerator[Piece, None], request: Request) -> AsyncGenerator[Piece, None]:
    """End early when the client has gone: nobody reads the rest."""
    try:
        async for piece in pieces:
            yield piece
            if await request.is_disconnected():
                raise errors.ApiError(499, "the client has gone")
    finally:
        await pieces.aclose()
