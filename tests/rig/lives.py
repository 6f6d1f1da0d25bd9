"""Whole lives of both kinds, from creation to a settled end, and what each wrote when nothing disturbed it."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.rig.api import Object
from tests.rig.world import Trace, World, finetunejob, modeldeployment

GOLDEN = Path(__file__).parents[1] / "golden" / "writes"
STATUS = ("PATCH finetunejobs/status", "PATCH modeldeployments/status")
MOST_STATUS = 2.0
"""Status is written when a pass sees news, and one pass may see two changes at once: their number varies, within this
factor of the fewest."""

Life = Callable[[World], Awaitable[Trace]]


async def run_to_the_end(world: World) -> Trace:
    await world.api.create(finetunejob("run"), world.namespace)
    return await _published(world)


async def _published(world: World) -> Trace:
    await world.until("FineTuneJob", "run", "True", "Published", 90)
    await world.gone("PersistentVolumeClaim", "anneal.dev/name=run")
    return await world.trace("FineTuneJob", "run")


async def suspend_and_resume(world: World) -> Trace:
    await train(world)
    await world.api.patch("FineTuneJob", world.namespace, "run", {"spec": {"suspend": True}})
    await world.until("FineTuneJob", "run", "False", "Suspended", 60)
    await world.gone("Job", "anneal.dev/stage=train")
    world.player.hold.discard("train")
    await world.api.patch("FineTuneJob", world.namespace, "run", {"spec": {"suspend": False}})
    return await _published(world)


async def train(world: World, **changes: Any) -> Object:
    """A run whose training does not end."""
    world.player.hold.add("train")
    await world.api.create(finetunejob("run", **changes), world.namespace)
    return await world.api.until("FineTuneJob", world.namespace, "run", training, 60)


async def delete_while_training(world: World) -> Trace:
    await train(world)
    return await _deleted(world, "FineTuneJob", "run")


async def _deleted(world: World, kind: str, name: str) -> Trace:
    uid = (await world.api.get(kind, world.namespace, name))["metadata"]["uid"]
    await world.api.delete(kind, world.namespace, name)
    await world.nothing_left(uid)
    return await world.trace(kind, name)


async def serve(world: World, **changes: Any) -> Object:
    """A model that serves."""
    await world.api.create(modeldeployment("serve", **changes), world.namespace)
    return await world.until("ModelDeployment", "serve", "True", "Serving", 90)


async def serve_and_change(world: World) -> Trace:
    await serve(world)
    await world.api.patch("ModelDeployment", world.namespace, "serve", {"spec": {"engine": {"maxModelLen": 512}}})
    serving = await world.until("ModelDeployment", "serve", "True", "Serving", 90)
    old = f"anneal.dev/revision,anneal.dev/revision!={serving['status']['stable']['hash']}"
    await world.gone("Deployment", old)
    await world.gone("ConfigMap", old)
    return await world.trace("ModelDeployment", "serve")


async def serve_and_break(world: World) -> Trace:
    """The servers of the second revision crash; the first one serves on."""
    first = (await serve(world))["status"]["stable"]["hash"]
    world.player.crashing = lambda pod: pod["metadata"]["labels"].get("anneal.dev/revision", first) != first
    await world.api.patch("ModelDeployment", world.namespace, "serve", {"spec": {"engine": {"maxModelLen": 512}}})
    await world.until("ModelDeployment", "serve", "True", "RolledBack", 90)
    for kind in ("Deployment", "ConfigMap"):
        await world.gone(kind, f"anneal.dev/revision,anneal.dev/revision!={first}")
    return await world.trace("ModelDeployment", "serve")


async def delete_while_serving(world: World) -> Trace:
    await serve(world)
    for kind in ("Job", "ConfigMap"):
        await world.gone(kind, "anneal.dev/stage=resolve")
    return await _deleted(world, "ModelDeployment", "serve")


def training(resource: Object) -> bool:
    """Has the train stage a Job?"""
    stages = resource.get("status", {}).get("stages", [])
    return any(stage["name"] == "train" and stage["state"] == "Running" for stage in stages)


LIVES: dict[str, Life] = {
    "run": run_to_the_end,
    "suspend": suspend_and_resume,
    "delete-run": delete_while_training,
    "serve": serve_and_change,
    "serve-broken": serve_and_break,
    "delete-serve": delete_while_serving,
}


@dataclass(frozen=True)
class Golden:
    """An undisturbed life: every write but those of status, whose number varies."""

    created: dict[str, int]
    deleted: dict[str, int]
    writes: dict[str, int]
    fewest_status_patches: int

    @staticmethod
    def of(trace: Trace) -> "Golden":
        counts: dict[str, int] = {what: trace.writes.count(what) for what in sorted(set(trace.writes))}
        status = sum(counts.pop(what, 0) for what in STATUS)
        return Golden(dict(sorted(trace.created.items())), dict(sorted(trace.deleted.items())), counts,
                      status)

    @staticmethod
    def read(life: str) -> "Golden":
        return Golden(**json.loads((GOLDEN / f"{life}.json").read_text()))

    def write(self, life: str) -> None:
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / f"{life}.json").write_text(json.dumps(self.__dict__, indent=2, sort_keys=True) + "\n")

    @property
    def most_status_patches(self) -> int:
        return int(self.fewest_status_patches * MOST_STATUS)


def differences(mine: Trace, its: Trace) -> list[str]:
    """Oracles E (the same end) and H (as many objects made and deleted by each name), in words."""
    found: list[str] = []
    wanted: tuple[tuple[str, Any, Any], ...] = (
        ("end", mine.end, its.end), ("created", mine.created, its.created), ("deleted", mine.deleted, its.deleted))
    for what, expected, seen in wanted:
        found += [f"{what} {key}: {seen.get(key)} instead of {expected.get(key)}"
                  for key in sorted({*expected, *seen}) if expected.get(key) != seen.get(key)]
    return found
