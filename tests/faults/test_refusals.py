"""The API server refuses, or somebody else is in the way: one reason in status, and the run goes on by itself."""

import asyncio

import pytest
from aiohttp import web

from tests.rig.proxy import Write, refusal
from tests.rig.world import World, finetunejob

pytestmark = pytest.mark.apiserver


async def test_conflicts_on_every_second_write_are_retried(world: World) -> None:
    """F9."""

    async def conflict(write: Write) -> web.StreamResponse | None:
        return refusal(409, "Conflict") if write.number % 2 == 0 and write.method != "POST" else None

    world.proxy.before.append(conflict)
    await world.api.create(finetunejob("run"), world.namespace)
    await world.until("FineTuneJob", "run", "True", "Published", 60)
    assert any(write.status == 409 for write in world.proxy.writes)


FORBIDDEN = {
    "PermissionDenied": 'jobs.batch is forbidden: User "operator" cannot create resource "jobs" in API group "batch"',
    "QuotaExceeded": "exceeded quota: team, requested: count/jobs.batch=1, used: count/jobs.batch=2, limited: 2",
    "PodRejected": "admission webhook denied the request",
}


@pytest.mark.parametrize("reason", FORBIDDEN)
async def test_a_refused_job_is_explained_and_made_once_it_is_allowed(world: World, reason: str) -> None:
    """F26, F27: one 403 has several causes; none of them ends the run."""

    async def forbid(write: Write) -> web.StreamResponse | None:
        wanted = (write.method, write.resource) == ("POST", "jobs")
        return refusal(403, "Forbidden", message=FORBIDDEN[reason]) if wanted else None

    world.proxy.before.append(forbid)
    await world.api.create(finetunejob("run"), world.namespace)
    await world.until("FineTuneJob", "run", "False", reason, 30)
    world.proxy.before.remove(forbid)
    await world.until("FineTuneJob", "run", "True", "Published", 90)


async def test_a_restart_with_everything_settled_writes_nothing(world: World) -> None:
    """I8: what is settled stays untouched; a run made afterwards proves that the new operator was at work."""
    await world.api.create(finetunejob("settled"), world.namespace)
    await world.until("FineTuneJob", "settled", "True", "Published", 60)
    await world.gone("PersistentVolumeClaim", "anneal.dev/name=settled")
    world.operator.kill()
    before = len(world.proxy.writes)
    world.operator.start()
    await world.api.create(finetunejob("later", output={"uri": "pvc://models/later"}), world.namespace)
    await world.until("FineTuneJob", "later", "True", "Published", 60)
    late = [str(write) for write in world.proxy.writes[before:] if "settled" in f"{write.path} {write.body}"]
    assert late == []


async def test_cut_watches_lose_nothing(world: World) -> None:
    """F3: every watch is cut at each of the first five writes of a run."""
    cuts: list[int] = []

    async def cut(write: Write) -> None:
        if len(cuts) < 5:
            asyncio.get_running_loop().call_soon(lambda: cuts.append(world.proxy.cut_watches()))

    world.proxy.after.append(cut)
    await world.api.create(finetunejob("run"), world.namespace)
    await world.until("FineTuneJob", "run", "True", "Published", 60)
    assert sum(cuts) > 0
