"""What the engine does at its limits and at its end."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import ENVIRONMENT, started
from tests.contract.model import serve_spec
from tests.rig.operator import free_port

pytestmark = pytest.mark.torch
BODY = {"model": "base", "prompt": "The tent", "temperature": 0}


class Slow:
    """A model whose every step waits to be let go: it stands for one that takes long."""

    def __init__(self, weights: Any) -> None:
        self.gate = threading.Event()
        self._step = weights.network.forward
        weights.network.forward = self.forward

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        assert self.gate.wait(60)
        return self._step(*args, **kwargs)


@pytest.fixture(scope="module")
def weights(models: Path) -> Any:
    """The real model, in this process."""
    from anneal_server.inference.weights import Weights

    return Weights(options(models))


def options(models: Path, **limits: int) -> Any:
    from anneal_server.inference.options import Options

    return Options(model=models / "base", name="base", tokenizer=models / "support", max_model_len=256, threads=1,
                   port=free_port(), **limits)


class Small:
    """An engine with small limits, in a thread of this process, and its slow model."""

    def __init__(self, weights: Any, chosen: Any) -> None:
        import uvicorn

        from anneal_server.inference.app import Api
        from anneal_server.inference.engine import Engine
        from anneal_server.inference.limits import Gate

        self.slow, self.engine = Slow(weights), Engine(chosen, weights)
        config = uvicorn.Config(Gate(Api(self.engine).app(), chosen.max_body), port=chosen.port, log_level="warning")
        self.server = uvicorn.Server(config)
        self.url = f"http://127.0.0.1:{chosen.port}"
        self._thread = threading.Thread(target=self.server.run)
        self._thread.start()

    def stop(self) -> None:
        self.slow.gate.set()
        self.server.should_exit = True
        self._thread.join()

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.01)  # the server is a thread of its own; nothing of it can be awaited


@pytest.fixture
def small(weights: Any, models: Path) -> Iterator[Small]:
    forward = weights.network.forward
    made = Small(weights, options(models, running=1, waiting=1, max_body=2000))
    yield made
    made.stop()
    weights.network.forward = forward


async def test_a_full_queue_is_429_with_a_time_to_come_back_and_health_still_answers(small: Small) -> None:
    import httpx2 as httpx

    slots = small.engine.slots
    async with httpx.AsyncClient(base_url=small.url, timeout=60) as client:
        await small.until(lambda: small.server.started)
        first = asyncio.create_task(client.post("/v1/completions", json=BODY))
        await small.until(lambda: slots.running == 1)
        second = asyncio.create_task(client.post("/v1/completions", json=BODY))
        await small.until(lambda: slots.waiting == 1)
        for stream in (False, True):
            refused = await client.post("/v1/completions", json={**BODY, "stream": stream})
            assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
            assert refused.json()["error"]["type"] == "RateLimitError"
        assert (await client.get("/health")).status_code == 200
        metrics = (await client.get("/metrics")).text
        assert "anneal_engine_running_requests 1.0" in metrics
        assert "anneal_engine_waiting_requests 1.0" in metrics
        small.slow.gate.set()
        assert [answer.status_code for answer in await asyncio.gather(first, second)] == [200, 200]
        assert (slots.running, slots.waiting) == (0, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_away_frees_its_place(small: Small, stream: bool) -> None:
    import httpx2 as httpx

    slots = small.engine.slots
    async with httpx.AsyncClient(base_url=small.url, timeout=60) as client:
        await small.until(lambda: small.server.started)
        gone = asyncio.create_task(client.post("/v1/completions", json={**BODY, "max_tokens": 200, "stream": stream}))
        await small.until(lambda: slots.running == 1)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
    small.slow.gate.set()
    await small.until(lambda: slots.running == 0)


async def test_a_body_that_is_too_long_is_413(small: Small) -> None:
    import httpx2 as httpx

    async with httpx.AsyncClient(base_url=small.url, timeout=60) as client:
        await small.until(lambda: small.server.started)
        answer = await client.post("/v1/completions", json={**BODY, "prompt": "x" * 3000})
        assert answer.status_code == 413
        assert answer.json()["error"]["message"] == "the body is longer than 2000 bytes"


async def test_a_server_that_shuts_down_says_503(small: Small) -> None:
    import httpx2 as httpx

    async with httpx.AsyncClient(base_url=small.url, timeout=60) as client:
        await small.until(lambda: small.server.started)
        small.engine.slots.draining = True
        answer = await client.post("/v1/completions", json=BODY)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert (await client.get("/health")).status_code == 503


async def test_what_nobody_foresaw_is_a_500_in_the_same_shape(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx2 as httpx

    monkeypatch.setattr(small.engine.weights, "text_ids", lambda prompt: 1 / 0)
    async with httpx.AsyncClient(base_url=small.url, timeout=60) as client:
        await small.until(lambda: small.server.started)
        answer = await client.post("/v1/completions", json=BODY)
        assert (answer.status_code, answer.json()["error"]["type"]) == (500, "InternalServerError")
        assert "division" not in answer.text


def test_sigterm_ends_a_server_that_still_loads(tmp_path: Path, models: Path) -> None:
    spec = tmp_path / "serve.json"
    spec.write_text(serve_spec(models, free_port()))
    process = subprocess.Popen([sys.executable, "-m", "anneal_server", "serve", "--spec", str(spec)], env=ENVIRONMENT,
                               stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not _handles_sigterm(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)  # a process tells nobody which signals it handles
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143


def _handles_sigterm(pid: int) -> bool:
    """By the kernel's own list of the signals that a process handles."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


async def test_sigterm_lets_an_answer_under_way_finish(tmp_path: Path, models: Path) -> None:
    import httpx2 as httpx

    with started(tmp_path, models) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            body = {**BODY, "max_tokens": 200, "stream": True}
            async with client.stream("POST", "/v1/completions", json=body) as answer:
                lines = answer.aiter_lines()
                first = json.loads((await anext(lines)).removeprefix("data: "))
                assert first["choices"][0].get("finish_reason") is None
                server.process.send_signal(signal.SIGTERM)
                rest = [line async for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        assert json.loads(rest[-2].removeprefix("data: "))["choices"][0]["finish_reason"] in ("length", "stop")
        begun = time.monotonic()
        assert server.process.wait(30) == 0
        assert time.monotonic() - begun < 30
