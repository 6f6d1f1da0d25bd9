"""Faults against a real API server: kill, refuse, cut, freeze and replay, with invariants checked at each write."""

import asyncio
import fcntl
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from itertools import count
from pathlib import Path

import pytest

from tests.rig.api import Api
from tests.rig.kinds import api_server
from tests.rig.lives import LIVES
from tests.rig.player import Player
from tests.rig.world import Trace, World

ROOT = Path(__file__).parents[2]
CANARY = "canary-9f2c4e"
"""A token that no write may hold (I7)."""
MakeWorld = Callable[[], AbstractAsyncContextManager[World]]
Undisturbed = Callable[[str], Awaitable[Trace]]


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A control plane with our CRDs and one played node."""
    with api_server(tmp_path_factory.mktemp("control-plane")) as kubeconfig:
        yield kubeconfig


@pytest.fixture
async def node(kubeconfig: Path) -> AsyncIterator[None]:
    """One node, kept alive while a test runs."""
    async with Api(kubeconfig) as api, Player(api, (), nodes=1).playing():
        yield


_numbers = count()


@pytest.fixture
async def make_world(kubeconfig: Path, node: None, tmp_path: Path) -> MakeWorld:
    """Makes worlds; each has a namespace of its own."""

    def make() -> World:
        number = next(_numbers)
        folder = tmp_path / f"world-{number}"
        folder.mkdir()
        return World(kubeconfig, f"world-{number}", folder, secrets=(CANARY,))

    return make


@pytest.fixture
async def world(make_world: MakeWorld) -> AsyncIterator[World]:
    """One world with its operator started; its invariants must hold at the end."""
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(make_world())
        made.operator.start()
        yield made
        assert made.invariants.violations == []
        assert "in a way nobody thought of" not in made.operator.text()
        assert made.may_end or "Traceback" not in made.operator.text()


@pytest.fixture
def undisturbed(make_world: MakeWorld, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """How a life goes that nothing disturbs; lived once, and remembered for all workers of this run."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    async def trace(life: str) -> Trace:
        with (folder / f"{life}.lock").open("w") as lock:
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            known = folder / f"{life}.json"
            if not known.exists():
                known.write_text(json.dumps((await _live(make_world, life)).__dict__))
            return Trace(**json.loads(known.read_text()))

    return trace


async def _live(make_world: MakeWorld, life: str) -> Trace:
    async with make_world() as world:
        world.operator.start()
        trace = await LIVES[life](world)
        assert world.invariants.violations == []
        return trace
