"""F1: the operator is killed before or after each of its writes, for both kinds and through every phase of their lives.

Oracle E: the end state equals that of the undisturbed run. Oracle H: so does the number of created and deleted objects
per name; a write that was committed but not answered may be repeated by its retry, never doubled in effect.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.faults.conftest import MakeWorld
from tests.rig.world import Trace, World, finetunejob, modeldeployment

pytestmark = pytest.mark.apiserver

SIDE_BY_SIDE = 3
Scenario = Callable[[World], Awaitable[Trace]]


async def run_to_the_end(world: World) -> Trace:
    await world.api.create(finetunejob("run"), world.namespace)
    await world.until("FineTuneJob", "run", "True", "Published", 90)
    await world.gone("PersistentVolumeClaim", "anneal.dev/name=run")
    return await world.trace("FineTuneJob", "run")


async def suspend_and_resume(world: World) -> Trace:
    world.player.hold.add("train")
    await world.api.create(finetunejob("run"), world.namespace)
    await world.api.until("FineTuneJob", world.namespace, "run", _training, 60)
    await world.api.patch("FineTuneJob", world.namespace, "run", {"spec": {"suspend": True}})
    await world.until("FineTuneJob", "run", "False", "Suspended", 60)
    await world.gone("Job", "anneal.dev/stage=train")
    world.player.hold.discard("train")
    await world.api.patch("FineTuneJob", world.namespace, "run", {"spec": {"suspend": False}})
    await world.until("FineTuneJob", "run", "True", "Published", 90)
    await world.gone("PersistentVolumeClaim", "anneal.dev/name=run")
    await world.gone("PersistentVolumeClaim", "anneal.dev/name=run")
    return await world.trace("FineTuneJob", "run")


async def serve_and_change(world: World) -> Trace:
    await world.api.create(modeldeployment("serve"), world.namespace)
    await world.until("ModelDeployment", "serve", "True", "Serving", 90)
    await world.api.patch("ModelDeployment", world.namespace, "serve", {"spec": {"engine": {"maxModelLen": 512}}})
    serving = await world.until("ModelDeployment", "serve", "True", "Serving", 90)
    old = f"anneal.dev/revision,anneal.dev/revision!={serving['status']['stable']['hash']}"
    await world.gone("Deployment", old)
    await world.gone("ConfigMap", old)
    return await world.trace("ModelDeployment", "serve")


def _training(resource: dict[str, object]) -> bool:
    stages = resource.get("status", {}).get("stages", [])  # type: ignore[attr-defined]
    return any(stage["name"] == "train" and stage["state"] == "Running" for stage in stages)


SCENARIOS: dict[str, Scenario] = {
    "run": run_to_the_end,
    "suspend": suspend_and_resume,
    "serve": serve_and_change,
}


async def undisturbed(make_world: MakeWorld, scenario: Scenario) -> tuple[Trace, int]:
    async with make_world() as world:
        world.operator.start()
        trace = await scenario(world)
        assert world.invariants.violations == []
        return trace, max(write.number for write in world.proxy.writes)


async def killed_at(
    make_world: MakeWorld, scenario: Scenario, number: int, after: bool
) -> tuple[Trace | None, list[str]]:
    """The trace of a run with one kill, or None when the run had fewer writes."""
    async with make_world() as world:
        happened = world.kill_at(number, after=after)
        world.operator.start()
        trace = await scenario(world)
        return (trace if happened.is_set() else None), world.invariants.violations


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_kill_at_any_write_changes_nothing(make_world: MakeWorld, name: str) -> None:
    scenario = SCENARIOS[name]
    clean, writes = await undisturbed(make_world, scenario)
    gate = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(number: int, after: bool) -> str:
        async with gate:
            try:
                trace, violations = await killed_at(make_world, scenario, number, after)
            except TimeoutError as error:
                return f"killed {'after' if after else 'before'} write {number}: {error}"
        if trace is None:
            return ""
        return explain(clean, trace, violations, f"killed {'after' if after else 'before'} write {number}")

    found = await asyncio.gather(*(one(number, after) for number in range(1, writes + 1) for after in (False, True)))
    differences = [text for text in found if text]
    assert not differences, "\n\n".join(differences)


def explain(clean: Trace, trace: Trace, violations: list[str], what: str) -> str:
    """The differences in words; empty when there are none."""
    parts = list(violations)
    if trace.end != clean.end:
        parts.append(f"end state differs: {trace.end} instead of {clean.end}")
    if trace.created != clean.created:
        parts.append(f"created {trace.created - clean.created} too many, {clean.created - trace.created} too few")
    if trace.deleted != clean.deleted:
        parts.append(f"deleted {trace.deleted - clean.deleted} too many, {clean.deleted - trace.deleted} too few")
    return f"{what}: {'; '.join(parts)}" if parts else ""
