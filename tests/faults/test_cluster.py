"""F40-F42: a cluster that is broken elsewhere, loses our kinds, or is full of trouble of one resource's making."""

import asyncio
import time

import pytest
from aiohttp import web

from tests.faults.conftest import MakeWorld
from tests.rig.api import Object
from tests.rig.lives import train
from tests.rig.proxy import Write, refusal
from tests.rig.world import World, finetunejob

pytestmark = pytest.mark.apiserver

REPAIR_SECONDS = 60
BROKEN: Object = {
    "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1.broken.example.com"},
    "spec": {"group": "broken.example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 100,
             "insecureSkipTLSVerify": True, "service": {"name": "nobody", "namespace": "default"}},
}


async def test_a_broken_aggregated_api_is_none_of_our_business(world: World) -> None:
    """F40: discovery of the whole cluster fails."""
    await world.api.create(BROKEN)
    try:
        world.operator.kill()
        world.operator.start()
        await world.api.create(finetunejob("run"), world.namespace)
        await world.until("FineTuneJob", "run", "True", "Published", 60)
    finally:
        await world.api.delete("APIService", "", BROKEN["metadata"]["name"])


async def test_a_kind_that_is_removed_and_installed_again(world: World) -> None:
    """F41: the CRD goes and with it every resource; once it is back, so is the operator.

    What was made for the old resources is not looked at: the garbage collector cannot ask for owners of a kind that is
    gone, and takes its time.
    """
    world.may_end = True
    await train(world)
    crd = await world.api.get("CustomResourceDefinition", "", "finetunejobs.anneal.dev")
    await world.api.delete("CustomResourceDefinition", "", "finetunejobs.anneal.dev")
    try:
        await world.api.until("CustomResourceDefinition", "", "finetunejobs.anneal.dev", lambda found: not found)
    finally:
        crd["metadata"] = {"name": crd["metadata"]["name"]}
        await world.api.create({**crd, "status": {}})
        await world.api.until("CustomResourceDefinition", "", "finetunejobs.anneal.dev", _established)
    world.player.hold.clear()
    began = time.monotonic()
    await world.api.create(finetunejob("later"), world.namespace)
    await world.api.until("FineTuneJob", world.namespace, "later", lambda run: bool(run.get("status")), REPAIR_SECONDS)
    await world.until("FineTuneJob", "later", "True", "Published", REPAIR_SECONDS)
    assert time.monotonic() - began < REPAIR_SECONDS + 30


def _established(crd: Object) -> bool:
    conditions = crd.get("status", {}).get("conditions") or []
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


CROWD = 5


async def seconds_for_a_crowd(world: World) -> float:
    began = time.monotonic()
    for number in range(CROWD):
        output = {"uri": f"pvc://models/out-{number}"}
        await world.api.create(finetunejob(f"good-{number}", output=output), world.namespace)
    await asyncio.gather(*(world.until("FineTuneJob", f"good-{number}", "True", "Published", 120)
                           for number in range(CROWD)))
    return time.monotonic() - began


async def test_one_poisonous_resource_delays_no_other(make_world: MakeWorld) -> None:
    """F42: no write about it ever succeeds, and it is edited without pause; others take at most twice their time."""
    async with make_world() as world:
        world.operator.start()
        alone = await seconds_for_a_crowd(world)
    async with make_world() as world:
        world.proxy.before.append(_refuse_poison)
        world.operator.start()
        await world.api.create(finetunejob("poison"), world.namespace)
        stirring = asyncio.create_task(_stir(world))
        beside = await seconds_for_a_crowd(world)
        stirring.cancel()
        refused = [w for w in world.proxy.writes if w.status == 500]
        assert refused
        assert world.invariants.violations == []
    assert beside < 2 * alone + 2


async def _refuse_poison(write: Write) -> web.StreamResponse | None:
    return refusal(500, "InternalError") if "poison" in f"{write.path} {write.body}" else None


async def _stir(world: World) -> None:
    number = 0
    while True:
        number += 1
        await world.api.patch("FineTuneJob", world.namespace, "poison", {"spec": {"deadline": f"{number}h"}})
        await asyncio.sleep(0.02)  # fifty edits a second
