"""F4: an API server that is overloaded."""

import asyncio
import itertools
import time

import pytest
from aiohttp import web

from tests.rig.lives import training
from tests.rig.proxy import refusal
from tests.rig.world import World, finetunejob

pytestmark = pytest.mark.apiserver

OVERLOAD_SECONDS = 15.0


async def test_an_api_server_that_is_overloaded_gets_less_to_do(world: World) -> None:
    """F4: nine of ten requests are answered 429, Retry-After: 5. Requests fall by at least 80 %, and no run fails."""
    runs = range(6)
    for number in runs:
        output = {"uri": f"pvc://models/out-{number}"}
        await world.api.create(finetunejob(f"run-{number}", output=output), world.namespace)
    asked, began = len(world.proxy.requests), time.monotonic()
    await world.api.until("FineTuneJob", world.namespace, "run-0", training, 60)
    usual = (len(world.proxy.requests) - asked) / (time.monotonic() - began)
    numbers = itertools.count()

    async def overloaded(request: web.Request) -> web.StreamResponse | None:
        lease = "/leases/" in request.path
        return None if lease or next(numbers) % 10 == 0 else refusal(429, "TooManyRequests", {"Retry-After": "5"})

    world.proxy.before_any = overloaded
    asked = len(world.proxy.requests)
    await asyncio.sleep(OVERLOAD_SECONDS)  # the length of the overload
    loaded = (len(world.proxy.requests) - asked) / OVERLOAD_SECONDS
    world.proxy.before_any = None
    for number in runs:
        published = await world.until("FineTuneJob", f"run-{number}", "True", "Published", 60)
        assert [s["failures"] for s in published["status"]["stages"]] == [0, 0, 0, 0]
    assert loaded <= 0.2 * usual, f"{loaded:.1f} requests a second instead of {usual:.1f}"
