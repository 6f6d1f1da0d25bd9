"""F3, F5-F8: watches that are cut, broken, silent or behind, and an API server that is away or lags."""

import asyncio
import time

import pytest

from tests.rig.api import Object
from tests.rig.lives import serve, train
from tests.rig.proxy import Write
from tests.rig.world import World, finetunejob

pytestmark = pytest.mark.apiserver

RECONNECT_SECONDS = 30
SILENT_SECONDS = 75
OUTAGES = [pytest.param(10.0), pytest.param(60.0, marks=pytest.mark.exhaustive)]


async def test_cut_watches_lose_nothing(world: World) -> None:
    """F3: every watch is cut at each of the first five writes of a run."""
    cuts: list[int] = []

    async def cut(_: Write) -> None:
        if len(cuts) < 5:
            asyncio.get_running_loop().call_soon(lambda: cuts.append(world.proxy.cut_watches()))

    world.proxy.after.append(cut)
    await world.api.create(finetunejob("run"), world.namespace)
    await world.until("FineTuneJob", "run", "True", "Published", 60)
    assert sum(cuts) > 0


@pytest.mark.parametrize(("code", "reason"), [(410, "Expired"), (500, "InternalError")])
@pytest.mark.parametrize("resources", [True, False])
async def test_a_watch_that_ends_in_an_error_is_replaced(
    world: World, code: int, reason: str, resources: bool,
) -> None:
    """F3, F5: 410 is listed again, and a watch of children begins again; Kopf gives its own up on 500, and the parent
    starts a new process."""
    world.may_end = resources and code == 500
    await train(world)
    for plural in ("jobs", "pods", *(["finetunejobs"] if resources else [])):
        world.proxy.fail_watches(plural, code, reason)
    began = time.monotonic()
    await world.player.release(world.namespace, "train")
    await world.until("FineTuneJob", "run", "True", "Published", RECONNECT_SECONDS + 30)
    first = min(write.at for write in world.proxy.writes if write.at > began)
    assert first - began < RECONNECT_SECONDS


@pytest.mark.parametrize("seconds", OUTAGES)
async def test_an_api_server_that_is_away_changes_no_state(world: World, seconds: float) -> None:
    """F3: longer than the Lease lasts. Nothing fails, and work goes on within 30 s of its return."""
    before = await train(world)
    world.proxy.down = True
    world.proxy.cut_watches()
    await world.player.release(world.namespace, "train")
    await asyncio.sleep(seconds)  # this is the length of the outage
    world.proxy.down = False
    back = time.monotonic()
    published = await world.until("FineTuneJob", "run", "True", "Published", RECONNECT_SECONDS + 30)
    assert min(write.at for write in world.proxy.writes if write.at > back) - back < RECONNECT_SECONDS
    assert published["status"]["run"]["id"] == before["status"]["run"]["id"]
    assert [s["failures"] for s in published["status"]["stages"]] == [0, 0, 0, 0]


async def test_what_vanished_while_a_watch_was_away_is_forgotten(world: World) -> None:
    """F5: a resource and its pods go while no watch tells; after 410 nothing is written about them any more."""
    ghost = await train(world)
    world.proxy.freeze_watches()
    await world.api.delete("FineTuneJob", world.namespace, "run")
    await world.nothing_left(ghost["metadata"]["uid"])
    before = len(world.proxy.writes)
    for plural in ("finetunejobs", "jobs", "pods"):
        world.proxy.fail_watches(plural, 410, "Expired")
    world.proxy.thaw_watches()
    world.player.hold.clear()
    await world.api.create(finetunejob("later"), world.namespace)
    await world.until("FineTuneJob", "later", "True", "Published", RECONNECT_SECONDS + 30)
    about = [str(w) for w in world.proxy.writes[before:] if ghost["metadata"]["uid"] in f"{w.path} {w.body}"]
    assert about == []


@pytest.mark.exhaustive
async def test_a_silent_watch_is_replaced(world: World) -> None:
    """F6: connections stay open and bring nothing."""
    await train(world)
    world.proxy.silence_watches()
    began = time.monotonic()
    await world.player.release(world.namespace, "train")
    await world.until("FineTuneJob", "run", "True", "Published", SILENT_SECONDS + 60)
    assert min(write.at for write in world.proxy.writes if write.at > began) - began < SILENT_SECONDS


async def test_a_lagging_api_server_mixes_up_no_namesakes(world: World) -> None:
    """F7: the resource was deleted and made anew, while every read and watch shows the old one."""
    world.operator.kill()
    world.operator = world.new_operator("pod-a", ANNEAL_RESYNC_SECONDS="1")
    world.operator.start()
    old = await train(world)
    await world.resynced()
    world.proxy.turn_back()
    world.proxy.freeze_watches()
    await world.api.delete("FineTuneJob", world.namespace, "run")
    new = await world.api.create(finetunejob("run"), world.namespace)
    await world.nothing_left(old["metadata"]["uid"])
    world.operator.kill()
    world.operator.start()
    await world.resynced()
    world.proxy.catch_up()
    world.proxy.thaw_watches()
    await world.player.release(world.namespace, "train")
    published = await world.until("FineTuneJob", "run", "True", "Published", 90)
    assert published["metadata"]["uid"] == new["metadata"]["uid"]
    uids = [w.answer["metadata"]["labels"]["anneal.dev/uid"] for w in world.proxy.writes
            if (w.method, w.resource, w.status) == ("POST", "jobs", 201)]
    assert uids.count(new["metadata"]["uid"]) == 4
    await world.nothing_left(old["metadata"]["uid"])


async def test_a_change_that_no_watch_told_of_is_not_missed(world: World) -> None:
    """F8: replicas go 1, 3, 1, 2, and only the last is told."""
    await serve(world)
    told = asyncio.Event()

    async def hide(plural: str, _: Object) -> bool:
        return plural != "modeldeployments" or told.is_set()

    world.proxy.on_event = hide
    for replicas in (3, 1):
        await world.api.patch("ModelDeployment", world.namespace, "serve", {"spec": {"replicas": replicas}})
    told.set()
    await world.api.patch("ModelDeployment", world.namespace, "serve", {"spec": {"replicas": 2}})
    served = await world.until("ModelDeployment", "serve", "True", "Serving", RECONNECT_SECONDS)
    assert served["status"]["replicas"] == "2/2"


async def test_late_echoes_of_our_own_writes_do_no_harm(world: World) -> None:
    """F7: every event comes a second late, so each pass sees the world before its last write."""
    async def late(_: str, __: Object) -> bool:
        await asyncio.sleep(1)  # the delay is the fault
        return True

    world.proxy.on_event = late
    await world.api.create(finetunejob("run"), world.namespace)
    await world.until("FineTuneJob", "run", "True", "Published", 120)
    made = [w.path for w in world.proxy.writes if (w.method, w.resource, w.status) == ("POST", "jobs", 201)]
    assert len(made) == 4


async def test_a_lost_echo_of_our_own_writes_does_no_harm(world: World) -> None:
    """F7, F8: no event ever tells of the resource what we wrote; the answers to our writes do."""
    async def hide(plural: str, event: Object) -> bool:
        return plural != "finetunejobs" or event["type"] != "MODIFIED"

    world.proxy.on_event = hide
    await world.api.create(finetunejob("run"), world.namespace)
    await world.until("FineTuneJob", "run", "True", "Published", 60)
