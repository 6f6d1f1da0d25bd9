"""Talking to the serving engine beside the evaluate container, over its OpenAI-compatible HTTP API."""

import http.client
import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from anneal_trainer.errors import EngineFailed
from anneal_trainer.rows import Message

log = logging.getLogger(__name__)

READY_SECONDS = 1200
"""A large model on a slow disk takes minutes to load; longer than this it hangs."""
REQUEST_SECONDS = 600
_POLL_SECONDS = 1.0
_TRIES = 3


@dataclass(frozen=True)
class Engine:
    """A served model: where, and under which name."""

    url: str
    model: str

    def answer(self, messages: Sequence[Message], max_tokens: int) -> str:
        """The greedy answer to a conversation."""
        reply = _post(
            f"{self.url}/v1/chat/completions",
            {
                "model": self.model,
                "messages": [turn.as_dict() for turn in messages],
                "temperature": 0,
                "max_tokens": max_tokens,
            },
        )
        return str(reply["choices"][0]["message"]["content"] or "")

    def token_log_probabilities(self, ids: Sequence[int]) -> list[float | None]:
        """Natural log-probability of each token after those before it; None for the first.

        One token has to be generated because the engine will not do less; it is thrown away.
        """
        reply = _post(
            f"{self.url}/v1/completions",
            {"model": self.model, "prompt": list(ids), "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0},
        )
        found = reply["choices"][0]["prompt_logprobs"]
        if len(found) != len(ids):
            raise EngineFailed(
                f"{self.url} scored {len(found)} of {len(ids)} tokens. Fix: report this with the engine's version."
            )
        return [
            None if entry is None else float(entry[str(token)]["logprob"])
            for token, entry in zip(ids, found, strict=True)
        ]

    def version(self) -> str:
        """The engine and its version, for the record."""
        try:
            return f"vllm {_get(f'{self.url}/version')['version']}"
        except (OSError, KeyError, ValueError):
            return "vllm"


def find_engines(first_url: str, names: Sequence[str], wait_seconds: float = READY_SECONDS) -> dict[str, Engine]:
    """Wait until every name is served, by the server at the URL or by one on the next ports."""
    parts = urlsplit(first_url)
    urls = [f"{parts.scheme}://{parts.hostname}:{(parts.port or 80) + offset}" for offset in range(len(names))]
    deadline = time.monotonic() + wait_seconds
    while True:
        found = {name: Engine(url, name) for url in reversed(urls) for name in _served(url) if name in names}
        if len(found) == len(names):
            return found
        if time.monotonic() > deadline:
            missing = sorted(set(names) - set(found))
            raise EngineFailed(
                f"no engine at {', '.join(urls)} served {' and '.join(missing)} within {wait_seconds:.0f} s. "
                "Fix: look at the log of the engine container of this pod."
            )
        time.sleep(_POLL_SECONDS)


def _served(url: str) -> list[str]:
    """Names of the models that the server has ready; none while it starts."""
    try:
        return [str(model["id"]) for model in _get(f"{url}/v1/models")["data"]]
    except (OSError, http.client.HTTPException, KeyError, ValueError):
        return []


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as reply:
        return json.load(reply)


def _post(url: str, body: dict[str, Any]) -> Any:
    """Ask, and ask again when the connection breaks; a refusal by the engine is final."""
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    for left in reversed(range(_TRIES)):
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            if error.code < 500 or not left:
                detail = error.read(2000).decode(errors="replace")
                raise EngineFailed(
                    f"{url} answered {error.code}: {detail}. Fix: look at the log of the engine container."
                ) from None
        except (OSError, http.client.HTTPException) as error:
            if not left:
                raise EngineFailed(
                    f"{url} does not answer: {error}. Fix: look at the log of the engine container."
                ) from None
        log.warning("%s failed, asking again", url)
        time.sleep(_POLL_SECONDS)
    raise AssertionError("unreachable")
