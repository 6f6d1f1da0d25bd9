"""The small part of the OpenAI API that a chat needs, over any connected socket."""

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

from anneal_cli.errors import CliError

Message = dict[str, str]
ANSWER_SECONDS = 600.0


class _Connection(http.client.HTTPConnection):
    """HTTP over a socket that is connected already."""

    def __init__(self, stream: socket.socket) -> None:
        super().__init__("localhost", timeout=ANSWER_SECONDS)
        stream.settimeout(ANSWER_SECONDS)
        self.sock = stream


def models(stream: socket.socket) -> list[str]:
    """Names of the models that the server has."""
    with _request(stream, "GET", "/v1/models") as response:
        return [str(model["id"]) for model in json.loads(response.read())["data"]]


def answer(stream: socket.socket, model: str, messages: list[Message], *, max_tokens: int,
           temperature: float) -> Iterator[str]:
    """The answer, piece by piece as the server makes it."""
    body = {"model": model, "messages": messages, "max_tokens": max_tokens, "temperature": temperature, "stream": True}
    with _request(stream, "POST", "/v1/chat/completions", body) as response:
        for line in response:
            data = line.decode("utf-8", "replace").strip().removeprefix("data:").strip()
            if data == "[DONE]":
                return
            if data:
                yield from _pieces(json.loads(data))


def _pieces(event: dict[str, Any]) -> Iterator[str]:
    if "error" in event:
        raise CliError(f"The server stopped in the middle of its answer: {_text_of(event)}.",
                       "See `anneal logs mdep/NAME`.")
    yield from (piece for choice in event.get("choices", []) if (piece := choice["delta"].get("content")))


def _request(stream: socket.socket, method: str, path: str, body: Any = None) -> http.client.HTTPResponse:
    connection = _Connection(stream)
    try:
        connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        response = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise CliError(f"The server's pod closed the connection: {error or type(error).__name__}.",
                       "See `anneal logs mdep/NAME` and try again.") from error
    if response.status >= 400:
        raise CliError(f"The server answered {response.status}: {_explain(response.read())}.")
    return response


def _explain(data: bytes) -> str:
    try:
        return _text_of(json.loads(data))
    except ValueError:
        return data.decode("utf-8", "replace").strip()[:300]


def _text_of(event: dict[str, Any]) -> str:
    """The message of an OpenAI error, which servers nest differently."""
    inner = event.get("error", event)
    return str(inner.get("message", inner) if isinstance(inner, dict) else inner).rstrip(".")
