"""F12, F13: deletion at any moment leaves nothing behind, and nothing of anybody else is touched."""

import asyncio

import pytest

from tests.faults.test_kill import points
from tests.rig.api import Object
from tests.rig.lives import serve, train
from tests.rig.proxy import Write
from tests.rig.world import World, finetunejob, modeldeployment

pytestmark = pytest.mark.apiserver

GONE_SECONDS = 60
EVERY = 6
RESOURCES = {"run": finetunejob("run"), "delete-serve": modeldeployment("serve")}


def moments() -> list[object]:
    """After each write of both kinds' lives, in the background and in the foreground by turns."""
    every = [(life, *point) for life in RESOURCES for point in points(life)]
    return [pytest.param(*moment, ("Background", "Foreground")[number % 2],
                         marks=() if number % EVERY == 0 else pytest.mark.exhaustive)
            for number, moment in enumerate(every)]


@pytest.mark.parametrize(("life", "what", "nth", "propagation"), moments())
async def test_a_resource_deleted_after_any_write_leaves_nothing(
    world: World, life: str, what: str, nth: int, propagation: str,
) -> None:
    resource, deleted = RESOURCES[life], asyncio.Event()
    kind, name = resource["kind"], resource["metadata"]["name"]

    async def delete(write: Write) -> None:
        if f"{write.method} {write.resource}" == what and world.number_of(write) == nth and not deleted.is_set():
            await world.api.delete(kind, world.namespace, name, propagationPolicy=propagation)
            deleted.set()

    world.proxy.after.append(delete)
    uid = (await world.api.create(resource, world.namespace))["metadata"]["uid"]
    await asyncio.wait_for(deleted.wait(), 60)
    await world.nothing_left(uid, GONE_SECONDS)
    assert await world.api.find(kind, world.namespace, name) is None


async def test_without_an_operator_a_deletion_ends_all_the_same(world: World) -> None:
    """F13: no finalizer of ours, so nobody waits for us."""
    run, served = await train(world), await serve(world)
    world.operator.kill()
    before = len(world.proxy.writes)
    await world.api.delete("FineTuneJob", world.namespace, "run")
    await world.api.delete("ModelDeployment", world.namespace, "serve")
    await world.nothing_left(run["metadata"]["uid"], GONE_SECONDS)
    await world.nothing_left(served["metadata"]["uid"], GONE_SECONDS)
    world.operator.start()
    world.player.hold.discard("train")
    await world.api.create(finetunejob("later"), world.namespace)
    await world.until("FineTuneJob", "later", "True", "Published", 60)
    late = [str(write) for write in world.proxy.writes[before:] if "later" not in f"{write.path} {write.body}"]
    assert late == []


async def test_a_namespace_can_be_deleted(world: World) -> None:
    """F41: nothing is made in a namespace that is ending, and nobody waits for us."""
    await train(world)
    await serve(world)
    before = len(world.proxy.writes)
    await world.api.delete("Namespace", "", world.namespace)
    await world.api.until("Namespace", "", world.namespace, lambda found: not found, GONE_SECONDS)
    made = [str(write) for write in world.proxy.writes[before:] if write.status == 201]
    assert made == []


async def test_a_resource_made_anew_under_its_name_is_another(world: World) -> None:
    """The children of the first go, those of the second are its own."""
    first = await train(world)
    await world.api.delete("FineTuneJob", world.namespace, "run")
    second = await world.api.create(finetunejob("run"), world.namespace)
    await world.api.until("FineTuneJob", world.namespace, "run", _has_a_run)
    await world.nothing_left(first["metadata"]["uid"], GONE_SECONDS)
    await world.player.release(world.namespace, "train")
    published = await world.until("FineTuneJob", "run", "True", "Published", 60)
    assert published["metadata"]["uid"] == second["metadata"]["uid"]
    made = [w.answer["metadata"]["labels"]["anneal.dev/uid"] for w in world.proxy.writes
            if (w.method, w.resource, w.status) == ("POST", "jobs", 201)]
    assert made == [first["metadata"]["uid"]] * 2 + [second["metadata"]["uid"]] * 4


def _has_a_run(resource: Object) -> bool:
    return bool(resource.get("status", {}).get("run"))


FOREIGN = {
    "PersistentVolumeClaim": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    "ConfigMap": {},
}


@pytest.mark.parametrize("kind", FOREIGN)
async def test_a_stranger_s_object_under_a_name_of_ours_is_left_alone(world: World, kind: str) -> None:
    placed: list[Object] = []

    async def take(write: Write) -> None:
        """The stranger comes just before us."""
        if write.body.get("kind") == kind and not placed:
            manifest: Object = {"apiVersion": "v1", "kind": kind, "metadata": {"name": write.body["metadata"]["name"]}}
            if spec := FOREIGN[kind]:
                manifest["spec"] = spec
            placed.append(await world.api.create(manifest, world.namespace))

    world.proxy.before.append(take)
    await world.api.create(finetunejob("run"), world.namespace)
    await world.until("FineTuneJob", "run", "False", "NameTaken", 30)
    await world.api.delete("FineTuneJob", world.namespace, "run")
    await world.api.until("FineTuneJob", world.namespace, "run", lambda found: not found, 30)
    left = await world.api.get(kind, world.namespace, placed[0]["metadata"]["name"])
    assert (left["metadata"]["uid"], left["metadata"].get("labels")) == (placed[0]["metadata"]["uid"], None)


async def test_a_stranger_s_service_under_our_name_is_left_alone(world: World) -> None:
    ports = [{"port": 80}]
    service: Object = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "serve"}, "spec": {"ports": ports}}
    foreign = await world.api.create(service, world.namespace)
    await world.api.create(modeldeployment("serve"), world.namespace)
    await world.until("ModelDeployment", "serve", "False", "NameTaken", 30)
    await world.api.delete("ModelDeployment", world.namespace, "serve")
    await world.api.until("ModelDeployment", world.namespace, "serve", lambda found: not found, 30)
    left = await world.api.get("Service", world.namespace, "serve")
    assert left["metadata"]["resourceVersion"] == foreign["metadata"]["resourceVersion"]
