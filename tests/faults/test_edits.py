"""F14, F15: edits while a run is under way, of the resource and of what it was made from."""

import json
from typing import Any

import pytest

from anneal_api.crd import KINDS, schema
from anneal_api.finetunejob import RUN_FIELDS
from tests.rig.api import ApiError, Object
from tests.rig.lives import train
from tests.rig.proxy import Write
from tests.rig.world import World, finetunejob

pytestmark = pytest.mark.apiserver

OTHER: dict[str, Any] = {
    "model": {"uri": "pvc://models/other"}, "template": {"source": "builtin"},
    "dataset": {"uri": "pvc://data/other.jsonl"}, "method": {"lora": {"rank": 4}}, "training": {"epochs": 1},
    "evaluation": {"maxNewTokens": 7}, "output": {"uri": "pvc://models/elsewhere"}, "runId": "again",
}
"""Another value for every field that shapes the result."""
FREE: dict[str, Any] = {
    "retry": {"failures": 1}, "deadline": "2h", "stallTimeout": "2h",
    "scheduling": {"nodeSelector": {"kubernetes.io/hostname": "sim-0"}},
    "resources": {"memory": "2Gi"}, "workspace": {"retain": "Always"}, "suspend": False,
}
"""Another value for every other field."""


def test_every_field_is_in_one_of_the_two() -> None:
    kind = next(kind for kind in KINDS if kind.kind == "FineTuneJob")
    assert set(schema(kind)["properties"]["spec"]["properties"]) == {*OTHER, *FREE}
    assert set(OTHER) == set(RUN_FIELDS)


async def test_a_run_under_way_is_not_reshaped_and_the_rest_may_change(world: World) -> None:
    """F14: each field is refused by its name, or taken without disturbing the pod that runs."""
    before = await train(world)
    for field, value in OTHER.items():
        with pytest.raises(ApiError, match=f"spec.{field} is fixed while the run is under way"):
            await world.api.patch("FineTuneJob", world.namespace, "run", {"spec": {field: value}})
    pods = await _pods(world)
    for field, value in FREE.items():
        await world.api.patch("FineTuneJob", world.namespace, "run", {"spec": {field: value}})
    seen = await world.api.until("FineTuneJob", world.namespace, "run", _seen, 30)
    assert seen["status"]["run"]["id"] == before["status"]["run"]["id"]
    assert await _pods(world) == pods
    await world.player.release(world.namespace, "train")
    await world.until("FineTuneJob", "run", "True", "Published", 60)


async def test_an_edit_in_the_moment_before_a_run_is_told_makes_another_run_and_leaves_nothing(world: World) -> None:
    """The first Job is made before the status says so. Until it does, every field may change."""
    edited: list[Object] = []

    async def edit(write: Write) -> None:
        if (write.method, write.resource, write.status) == ("POST", "jobs", 201) and not edited:
            made = write.answer["metadata"]["labels"]["anneal.dev/run"]
            changes = {"spec": {"training": {"epochs": 1}}}
            edited.append({"run": made, **await world.api.patch("FineTuneJob", world.namespace, "run", changes)})

    world.proxy.after.append(edit)
    killed = world.kill_at(lambda write: (write.method, write.resource) == ("POST", "jobs"), after=True)
    await world.api.create(finetunejob("run"), world.namespace)
    done = await world.until("FineTuneJob", "run", "True", "Published", 60)
    assert killed.seconds_to_resume() < 30
    run = done["status"]["run"]["id"]
    assert (run != edited[0]["run"], done["status"]["run"]["generation"]) == (True, 2)
    for kind in ("Job", "ConfigMap", "PersistentVolumeClaim"):
        left = await world.api.list(kind, world.namespace, f"anneal.dev/uid={done['metadata']['uid']}")
        assert {child["metadata"]["labels"]["anneal.dev/run"] for child in left} <= {run}


async def _pods(world: World) -> list[str]:
    return [pod["metadata"]["uid"] for pod in await world.api.list("Pod", world.namespace, "anneal.dev/stage=train")]


def _seen(resource: Object) -> bool:
    return bool(resource["status"]["observedGeneration"] == resource["metadata"]["generation"])


async def test_what_a_run_was_made_from_may_change_under_it(world: World) -> None:
    """F15: the template's ConfigMap is edited and then removed; the next attempt uses the snapshot of the first."""
    template: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "chat"}, "data": {"t": "{{ x }}"}}
    await world.api.create(template, world.namespace)
    source = {"source": "configMap", "configMapRef": {"name": "chat", "key": "t"}}
    await train(world, template=source)
    frozen = await _frozen(world)
    await world.api.patch("ConfigMap", world.namespace, "chat", {"data": {"t": "changed"}})
    await world.api.delete("ConfigMap", world.namespace, "chat")
    # The attempt is lost; another one follows.
    await world.api.patch("FineTuneJob", world.namespace, "run", {"spec": {"suspend": True}})
    await world.until("FineTuneJob", "run", "False", "Suspended", 30)
    world.player.hold.clear()
    await world.api.patch("FineTuneJob", world.namespace, "run", {"spec": {"suspend": False}})
    await world.until("FineTuneJob", "run", "True", "Published", 60)
    assert await _frozen(world) == frozen
    (again,) = await world.api.list("Job", world.namespace, "anneal.dev/stage=train")
    mounted = [v["configMap"]["name"] for v in again["spec"]["template"]["spec"]["volumes"] if "configMap" in v]
    assert frozen["name"] in mounted


async def _frozen(world: World) -> Object:
    (found,) = [c for c in await world.api.list("ConfigMap", world.namespace, "anneal.dev/run")
                if "run.json" in c["data"]]
    about = found["metadata"]
    return {"name": about["name"], "uid": about["uid"], "run": json.loads(found["data"]["run.json"])}
