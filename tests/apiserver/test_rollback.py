"""The real operator on a real API server: a broken revision is rolled back, and `anneal rollback` goes back further."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from anneal_cli.__main__ import main
from tests.rig.api import Api, Object, condition
from tests.rig.player import Player
from tests.rig.world import World, modeldeployment

pytestmark = pytest.mark.apiserver
NAME = "serve"
_numbers = count()


@pytest.fixture
async def world(api: Api, kubeconfig: Path, tmp_path: Path) -> AsyncIterator[World]:
    """A namespace with an operator, a node, and a ModelDeployment that serves."""
    space = f"rollback-{next(_numbers)}"
    async with Player(api, (), nodes=1).playing(), World(kubeconfig, space, tmp_path) as made:
        made.operator.start()
        await api.create(modeldeployment(NAME), made.namespace)
        await made.until("ModelDeployment", NAME, "True", "Serving", 60)
        yield made
        assert "Traceback" not in made.operator.text()


async def edit(world: World, length: int) -> None:
    await world.api.patch("ModelDeployment", world.namespace, NAME, {"spec": {"engine": {"maxModelLen": length}}})


async def anneal_rollback(world: World, kubeconfig: Path) -> None:
    argv = ["rollback", NAME, "--kubeconfig", str(kubeconfig), "-n", world.namespace]
    assert await asyncio.to_thread(main, argv) == 0


async def serves(world: World, revision: str) -> Object:
    """The resource once it is Serving this revision, alone and with the traffic."""
    def holds(found: Object) -> bool:
        status = found.get("status", {})
        return (status.get("stable", {}).get("hash") == revision and "failed" not in status and "next" not in status
                and condition(found, "Ready").get("reason") == "Serving")

    found = await world.api.until("ModelDeployment", world.namespace, NAME, holds, 60)
    service = await world.api.get("Service", world.namespace, NAME)
    assert service["spec"]["selector"]["anneal.dev/revision"] == revision
    await world.gone("Deployment", f"anneal.dev/revision,anneal.dev/revision!={revision}")
    return found


async def test_a_broken_revision_is_rolled_back_and_stays_so_until_the_spec_changes(
    world: World, kubeconfig: Path,
) -> None:
    before = await world.api.get("ModelDeployment", world.namespace, NAME)
    old = before["status"]["stable"]["hash"]
    world.player.crashing = lambda pod: pod["metadata"]["labels"].get("anneal.dev/revision", old) != old
    await edit(world, 512)
    found = await world.until("ModelDeployment", NAME, "True", "RolledBack", 60)
    why, failed = condition(found, "RolledBack"), found["status"]["failed"]
    assert (why["status"], why["reason"], failed["reason"]) == ("True", "ServerCrashed", "ServerCrashed")
    assert "bad weights" in why["message"]
    assert found["status"]["stable"]["hash"] == old
    service = await world.api.get("Service", world.namespace, NAME)
    assert service["spec"]["selector"]["anneal.dev/revision"] == old
    await world.gone("Deployment", f"anneal.dev/revision={failed['hash']}")

    # An operator that starts anew knows it from the status.
    made = [w for w in world.proxy.writes if w.method == "POST"]
    world.operator.kill()
    world.operator.start()
    await world.api.patch("ModelDeployment", world.namespace, NAME, {"metadata": {"labels": {"looked": "at"}}})
    await world.until("ModelDeployment", NAME, "True", "RolledBack")
    assert [w.resource for w in world.proxy.writes if w.method == "POST"][len(made):] in ([], ["leases"], ["events"])

    await anneal_rollback(world, kubeconfig)
    back = await serves(world, old)
    assert back["spec"] == before["spec"]
    assert condition(back, "RolledBack") == {}


async def test_rollback_goes_back_to_the_revision_before(world: World, kubeconfig: Path) -> None:
    before = await world.api.get("ModelDeployment", world.namespace, NAME)
    await edit(world, 512)
    changed = await world.until("ModelDeployment", NAME, "True", "Serving", 60)
    assert changed["status"]["previous"]["hash"] == before["status"]["stable"]["hash"]
    await anneal_rollback(world, kubeconfig)
    found = await serves(world, before["status"]["stable"]["hash"])
    assert found["spec"] == before["spec"]
    assert found["status"]["previous"]["hash"] == changed["status"]["stable"]["hash"]
