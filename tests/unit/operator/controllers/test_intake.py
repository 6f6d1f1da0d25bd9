"""What an event or a resync puts into the queue, and when resyncs come."""

import asyncio
from collections.abc import AsyncGenerator, Collection

import pytest

from anneal_operator.controllers.health import PATIENCE, WatchHealth
from anneal_operator.controllers.intake import RESYNC_SHARE, Intake
from anneal_operator.controllers.metrics import Metrics
from anneal_operator.controllers.queue import WorkQueue
from anneal_operator.controllers.store import Key, Store
from anneal_operator.decide.facts import Object
from anneal_operator.kube.client import Listing
from anneal_operator.kube.errors import Expired, Unavailable
from anneal_operator.kube.kinds import CLAIM, CONFIG_MAP, FINETUNEJOB, JOB, MODELDEPLOYMENT, WATCHED, Kind, meta
from tests.fakes import FakeKube
from tests.unit.operator.controllers.scene import Scene
from tests.unit.operator.virtual_time import run

JOB_KEY = Key("FineTuneJob", "team", "support")
DEPLOYMENT_KEY = Key("ModelDeployment", "team", "serve")


def resource(kind: Kind, name: str, version: int, **spec: object) -> Object:
    return {"apiVersion": kind.api_version, "kind": kind.name, "spec": spec,
            "metadata": {"name": name, "namespace": "team", "uid": f"uid-{name}", "resourceVersion": str(version)}}


class Noted(WorkQueue[Key]):
    """Notes what is put into it."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: set[Key] = set()

    def add(self, key: Key, *, urgent: bool = False) -> None:
        self.noted.add(key)
        super().add(key, urgent=urgent)


def rig() -> tuple[Intake, Store, Noted]:
    store, queue = Store(), Noted()
    store.put(MODELDEPLOYMENT, resource(MODELDEPLOYMENT, "serve", 1, model={"fineTuneJobRef": {"name": "support"}}))
    return Intake(FakeKube(), store, queue, WatchHealth(), Metrics(), (), lambda uid: None), store, queue


async def test_news_of_a_job_is_news_to_the_deployment_that_refers_to_it() -> None:
    intake, _, queue = rig()
    intake.event(FINETUNEJOB, False, resource(FINETUNEJOB, "support", 5))
    assert queue.noted == {JOB_KEY, DEPLOYMENT_KEY}


async def test_what_we_wrote_ourselves_is_news_only_to_those_that_refer_to_it() -> None:
    intake, store, queue = rig()
    written = resource(FINETUNEJOB, "support", 5)
    store.put(FINETUNEJOB, written)
    intake.event(FINETUNEJOB, False, written)
    assert queue.noted == {DEPLOYMENT_KEY}


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def worked_on(queue: WorkQueue[Key]) -> list[str]:
    """Names, in the order in which one worker takes them."""
    names: list[str] = []

    async def work(key: Key) -> None:
        names.append(key.name)

    queue.start(1, work)
    while not queue.idle:
        await asyncio.sleep(0)
    await queue.stop(1)
    return names


async def test_after_the_first_list_what_nobody_has_looked_at_comes_first() -> None:
    kube, store, queue = FakeKube(), Store(), Noted()
    for name, phase in (("done", "Succeeded"), ("new", "")):
        kube.add({"apiVersion": FINETUNEJOB.api_version, "kind": FINETUNEJOB.name, "spec": {},
                  "metadata": {"name": name, "namespace": "team"}, "status": {"phase": phase}})
    await Intake(kube, store, queue, WatchHealth(), Metrics(), (), lambda uid: None).fill()
    assert await worked_on(queue) == ["new", "done"]


async def test_what_nobody_has_looked_at_overtakes_what_waits() -> None:
    intake, _, queue = rig()
    for number, (name, status) in enumerate([("old", {"phase": "Training"}), ("new", {})]):
        intake.event(FINETUNEJOB, False, {**resource(FINETUNEJOB, name, number + 5), "status": status})
    assert await worked_on(queue) == ["new", "old"]


@pytest.mark.parametrize(("listed", "deaf"), [(("a", "b", "c"), True), ((), False)])
async def test_a_list_is_read_to_its_last_page_and_what_it_lacks_is_gone(listed: tuple[str, ...], deaf: bool) -> None:
    """A watch is deaf that has not told what a LIST shows; what a LIST no longer shows proves nothing."""
    kube, store, queue, clock = FakeKube(), Store(), Noted(), Clock()
    health = WatchHealth(clock)
    intake = Intake(kube, store, queue, health, Metrics(), (), lambda uid: None)
    for name in listed:
        kube.add({"apiVersion": FINETUNEJOB.api_version, "kind": FINETUNEJOB.name,
                  "metadata": {"name": name, "namespace": "team"}, "spec": {}})
    store.put(FINETUNEJOB, resource(FINETUNEJOB, "ghost", 0))
    await intake.resync()
    assert [name for name in ("a", "b", "c", "ghost") if store.get(FINETUNEJOB, "team", name)] == list(listed)
    assert queue.noted == {Key("FineTuneJob", "team", name) for name in (*listed, "ghost")}
    clock.now += PATIENCE + 1
    assert bool(health.deaf()) == deaf


async def test_a_resync_drops_ghosts_and_brings_what_differs_into_the_queue(scene: Scene) -> None:
    resource = scene.resource()
    ghost = scene.kube.add(scene.job_of(resource))
    scene.intake.event(JOB, False, ghost)
    scene.kube.remove(JOB, "team", "child")
    scene.kube.add({"apiVersion": FINETUNEJOB.api_version, "kind": "FineTuneJob",
                    "metadata": {"name": "unseen", "namespace": "team"}})
    scene.kube.add({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
                    "metadata": {"name": "of-a-stranger", "namespace": "team"}})
    await scene.intake.resync()
    assert scene.store.children(meta(resource)["uid"]).jobs == ()
    assert scene.store.resource(Key("FineTuneJob", "team", "unseen")) is not None
    assert (scene.store.phases(CLAIM), scene.store.phases(CONFIG_MAP)) == ({}, {})
    assert scene.queue.depth == 2


def test_resyncs_come_regularly_and_the_resources_are_looked_at_whenever_kopf_has_read_a_list() -> None:
    async def course() -> list[tuple[float, int]]:
        made, loop, looks = Scene(), asyncio.get_running_loop(), []

        async def note(kinds: Collection[Kind]) -> None:
            looks.append((loop.time(), len(kinds)))

        await made.intake.fill()
        made.intake.resync = note  # type: ignore[assignment]
        for _ in range(100):
            loop.call_later(1000, made.intake.relisted)
        running = asyncio.create_task(made.intake.run(800))
        await asyncio.sleep(1300)
        running.cancel()
        return looks

    looks = run(course())
    assert [kinds for _, kinds in looks] == [2, 2, 8, 2]
    assert [at for at, _ in looks] == [5, 35, pytest.approx(800, rel=0.11), 1001]


def test_a_resync_leaves_most_of_its_time_to_others() -> None:
    """Here a page takes its time until it comes: at most a fifth of a resync is spent on pages."""

    class Slow(FakeKube):
        async def pages(self, kind: Kind, namespace: str | None, *, labels: str = "", fields: str = "",
                        ) -> AsyncGenerator[Listing, None]:
            for number in range(3):
                await asyncio.sleep(2)
                yield Listing((), number)

    async def course() -> tuple[float, float]:
        intake = Intake(Slow(), Store(), Noted(), WatchHealth(), Metrics(), (), lambda uid: None)
        loop = asyncio.get_running_loop()
        await intake.fill()
        filled = loop.time()
        await intake.resync([JOB])
        return filled, loop.time() - filled

    filled, resynced = run(course())
    assert filled == len(WATCHED) * 3 * 2, "at the start nothing else is to be done"
    assert resynced == pytest.approx(3 * 2 / RESYNC_SHARE)


class Watched:
    """An operator whose watches run, on a cluster with one resource; nothing compares with LISTs meanwhile."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.kube, self.store = scene, scene.kube, scene.store
        self.uid = meta(scene.resource())["uid"]

    async def __aenter__(self) -> "Watched":
        await self.scene.intake.fill()
        self._running = asyncio.create_task(self.scene.intake.run(10_000))
        await asyncio.sleep(40)  # past the looks behind Kopf
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await asyncio.wait({self._running})

    def add(self, name: str) -> None:
        """A Job of the resource's."""
        job = self.scene.job_of({"metadata": {"name": "support", "namespace": "team", "uid": self.uid}})
        self.kube.add({**job, "metadata": {**job["metadata"], "name": name}})

    @property
    def jobs(self) -> list[str]:
        """Those that the operator knows."""
        return [meta(job)["name"] for job in self.store.children(self.uid).jobs]

    def count(self, verb: str) -> int:
        """Requests about Jobs."""
        return sum(call.verb == verb and call.kind == "Job" for call in self.kube.calls)


def test_children_are_watched_from_where_the_first_list_ended() -> None:
    async def course() -> None:
        async with Watched(Scene()) as watched:
            watched.add("a")
            watched.add("b")
            await asyncio.sleep(0.1)
            assert watched.jobs == ["a", "b"]
            watched.kube.remove(JOB, "team", "a")
            await asyncio.sleep(0.1)
            assert watched.jobs == ["b"]
            assert watched.count("list") == 1

    run(course())


def test_a_watch_that_ends_goes_on_where_it_ended() -> None:
    async def course() -> None:
        async with Watched(Scene()) as watched:
            watched.add("a")
            await asyncio.sleep(0.1)
            watched.kube.cut_watches()
            watched.add("b")
            watched.kube.remove(JOB, "team", "a")
            await asyncio.sleep(1)
            assert watched.jobs == ["b"]
            assert (watched.count("list"), watched.count("watch")) == (1, 2)

    run(course())


def test_after_a_watch_that_expired_comes_a_list_and_what_it_lacks_is_gone() -> None:
    async def course() -> None:
        async with Watched(Scene()) as watched:
            watched.add("a")
            await asyncio.sleep(0.1)
            watched.kube.fail("watch", JOB, Expired("too old", status=410))
            watched.kube.cut_watches()
            watched.kube.remove(JOB, "team", "a")
            watched.add("b")
            await asyncio.sleep(1)
            assert watched.jobs == ["b"]
            assert (watched.count("list"), watched.count("watch")) == (2, 3)
            assert watched.scene.queue.depth == 1

    run(course())


def test_watches_that_fail_are_tried_again_less_and_less_often() -> None:
    """A hundred failures in a row; then one that works, after which the next failure is tried again at once."""
    async def course() -> None:
        async with Watched(Scene()) as watched:
            watched.kube.fail("watch", JOB, Unavailable("away"), times=100)
            watched.kube.cut_watches()
            await asyncio.sleep(60)
            assert 8 < watched.count("watch") < 16
            await asyncio.sleep(1100)
            watched.add("a")
            await asyncio.sleep(0.1)
            assert watched.jobs == ["a"]
            watched.kube.cut_watches()
            watched.add("b")
            await asyncio.sleep(0.2)
            assert watched.jobs == ["a", "b"]

    run(course())
