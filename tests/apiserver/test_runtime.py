"""What the runtime promises, on a real API server: one writer, no wasted request, nothing left on a resource."""

import asyncio
import itertools
import signal
import time

import aiohttp
import pytest
from aiohttp import web

from tests.apiserver.conftest import LittleOperator, Place, phase_is
from tests.rig.api import Object
from tests.rig.proxy import FaultProxy, Write, refusal

pytestmark = pytest.mark.apiserver

NO_RESYNC = {"ANNEAL_RESYNC_SECONDS": "3600"}


async def page(operator: LittleOperator, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{operator.port}{path}") as answer:
        return answer.status, await answer.text()


async def healthy(operator: LittleOperator) -> str:
    """/metrics, once the operator answers on /healthz."""
    async with asyncio.timeout(30):
        while True:
            try:
                assert await page(operator, "/healthz") == (200, "ok")
                return (await page(operator, "/metrics"))[1]
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.1)  # nothing tells when a port opens


async def until_ready_says(operator: LittleOperator, status: int, text: str) -> None:
    """Wait for an answer of /readyz."""
    await healthy(operator)
    async with asyncio.timeout(20):
        while await page(operator, "/readyz") != (status, text):
            await asyncio.sleep(0.1)  # a page can only be polled


def about(proxy: FaultProxy, name: str) -> list[tuple[str, str]]:
    return [(method, path) for method, path in proxy.requests if name in path]


@pytest.mark.parametrize("kind", ["FineTuneJob", "ModelDeployment"])
async def test_a_resource_that_passes_through_carries_nothing_of_ours(place: Place, kind: str) -> None:
    place.operator(await place.proxy(), "pod-a")
    created = await place.create(kind, "support")
    settled = await place.settled(kind, "support")
    for transient in ("resourceVersion", "managedFields"):
        created["metadata"].pop(transient)
        settled["metadata"].pop(transient)
    assert settled["metadata"] == created["metadata"]
    assert {"annotations", "finalizers"}.isdisjoint(settled["metadata"])
    assert settled["spec"] == created["spec"]


async def test_a_settled_resource_costs_no_request(place: Place) -> None:
    proxy = await place.proxy()
    place.operator(proxy, "pod-a", **NO_RESYNC)
    await place.create("FineTuneJob", "first")
    await place.settled("FineTuneJob", "first")
    event = await place.api.until("Event", place.namespace, (await _event(place))["metadata"]["name"], bool)
    assert event["count"] == 1
    proxy.requests.clear()
    # The echoes of what was written for the first have passed the queue when a later resource has.
    await place.create("FineTuneJob", "second")
    await place.settled("FineTuneJob", "second")
    assert about(proxy, "first") == []
    assert about(proxy, "second") != []


async def _event(place: Place) -> Object:
    """The Event that says that the resource has settled; it is written after the status."""
    async with asyncio.timeout(10):
        while not (found := await place.api.list("Event", place.namespace)):
            await asyncio.sleep(0.05)  # its name is not known before it exists, so it cannot be watched for
    return found[0]


async def test_a_resync_writes_nothing_for_what_is_settled(place: Place) -> None:
    proxy = await place.proxy()
    operator = place.operator(proxy, "pod-a", ANNEAL_RESYNC_SECONDS="1")
    await place.create("FineTuneJob", "support")
    await place.settled("FineTuneJob", "support")
    await _event(place)
    written = len(proxy.writes)
    async with asyncio.timeout(20):
        while "anneal_resync_total 4.0" not in await healthy(operator):
            await asyncio.sleep(0.2)  # a counter can only be polled
    assert len(proxy.writes) == written


async def test_of_two_operators_one_writes_and_the_other_takes_over_when_it_is_killed(place: Place) -> None:
    proxy_a, proxy_b = await place.proxy(), await place.proxy()
    a = place.operator(proxy_a, "pod-a")
    await place.create("FineTuneJob", "first")
    await place.settled("FineTuneJob", "first")
    b = place.operator(proxy_b, "pod-b")
    assert "anneal_lease_held 0.0" in await healthy(b)
    await until_ready_says(b, 503, "waiting for the Lease")
    await place.create("FineTuneJob", "second")
    await place.settled("FineTuneJob", "second")
    assert proxy_b.writes == []
    a.kill()
    await place.create("FineTuneJob", "third")
    await place.settled("FineTuneJob", "third")
    assert about(proxy_a, "third") == []
    assert await page(b, "/readyz") == (200, "ok")


async def test_a_frozen_operator_writes_nothing_when_it_wakes_and_ends(place: Place) -> None:
    proxy_a, proxy_b = await place.proxy(), await place.proxy()
    a = place.operator(proxy_a, "pod-a")
    await place.create("FineTuneJob", "first")
    await place.settled("FineTuneJob", "first")
    await _event(place)
    a.signal(signal.SIGSTOP)
    place.operator(proxy_b, "pod-b")
    await place.create("FineTuneJob", "second")
    await place.settled("FineTuneJob", "second")
    proxy_a.writes.clear()
    a.signal(signal.SIGCONT)
    assert a.process is not None
    assert await asyncio.to_thread(a.process.wait, 20) == 75
    assert proxy_a.writes == []


async def test_a_killed_operator_goes_on_where_it_was(place: Place) -> None:
    proxy = await place.proxy()
    killed = place.operator(proxy, "pod-a")
    await place.create("FineTuneJob", "first")
    await place.settled("FineTuneJob", "first")
    killed.kill()
    await place.create("FineTuneJob", "second")
    proxy.writes.clear()
    killed.start()
    await place.settled("FineTuneJob", "second")
    assert [write.resource for write in proxy.writes if "first" in str(write)] == []


async def test_sigterm_ends_the_process_in_time_and_gives_the_lease_back(place: Place) -> None:
    operator = place.operator(await place.proxy(), "pod-a")
    await place.create("FineTuneJob", "support")
    await place.settled("FineTuneJob", "support")
    began = time.monotonic()
    assert await asyncio.to_thread(operator.stop) == 0
    assert time.monotonic() - began < 10
    lease = await place.api.get("Lease", place.namespace, "anneal-operator")
    assert lease["spec"]["holderIdentity"] == ""


async def test_sigterm_ends_a_standby_too(place: Place) -> None:
    proxy = await place.proxy()
    place.operator(proxy, "pod-a")
    await place.create("FineTuneJob", "support")
    await place.settled("FineTuneJob", "support")
    standby = place.operator(proxy, "pod-b")
    await healthy(standby)
    assert await asyncio.to_thread(standby.stop) == 0
    lease = await place.api.get("Lease", place.namespace, "anneal-operator")
    assert lease["spec"]["holderIdentity"] == "pod-a"


async def test_a_child_that_vanished_unseen_is_found_missing_by_the_resync(place: Place) -> None:
    proxy = await place.proxy()
    place.operator(proxy, "pod-a", ANNEAL_RESYNC_SECONDS="1")
    await place.create("FineTuneJob", "support")
    await place.settled("FineTuneJob", "support")
    child = await _child(place)
    proxy.freeze_watches()
    await place.api.delete("ConfigMap", place.namespace, child["metadata"]["name"])
    again = await place.api.until("ConfigMap", place.namespace, child["metadata"]["name"], bool)
    assert again["metadata"]["uid"] != child["metadata"]["uid"]


async def test_a_child_that_vanishes_before_its_watch_begins_is_found_missing(place: Place) -> None:
    proxy = await place.proxy()
    operator = place.operator(proxy, "pod-a", **NO_RESYNC)
    await place.create("FineTuneJob", "support")
    await place.settled("FineTuneJob", "support")
    child = await _child(place)
    operator.kill()
    watches = itertools.count(1)

    async def delete_before_the_first_watch(request: web.Request) -> web.StreamResponse | None:
        if request.path.endswith("/configmaps") and "watch" in request.query and next(watches) == 1:
            await place.api.delete("ConfigMap", place.namespace, child["metadata"]["name"])
        return None

    proxy.before_read = delete_before_the_first_watch
    operator.start()
    again = await place.api.until("ConfigMap", place.namespace, child["metadata"]["name"],
                                  lambda obj: obj and obj["metadata"]["uid"] != child["metadata"]["uid"])
    assert again["metadata"]["labels"] == child["metadata"]["labels"]


async def test_a_resource_that_vanishes_between_our_list_and_kopf_s_is_forgotten(place: Place) -> None:
    proxy = await place.proxy()
    operator = place.operator(proxy, "pod-a", **NO_RESYNC)
    await place.create("FineTuneJob", "support")
    await place.settled("FineTuneJob", "support")
    operator.kill()
    lists = itertools.count(1)

    async def delete_before_kopf_lists(request: web.Request) -> web.StreamResponse | None:
        # The first one only asks whether the kind is there, the second one fills the store.
        if request.path.endswith("/finetunejobs") and "watch" not in request.query and next(lists) == 3:
            await place.api.delete("FineTuneJob", place.namespace, "support")
        return None

    proxy.before_read = delete_before_kopf_lists
    operator.start()
    await place.api.until("FineTuneJob", place.namespace, "support", lambda obj: not obj)
    known = 'anneal_resources{kind="FineTuneJob"'
    async with asyncio.timeout(20):
        while known in (text := await healthy(operator)) or "anneal_reconcile_total" not in text:
            await asyncio.sleep(0.1)  # a page can only be polled


async def _child(place: Place) -> Object:
    (child,) = await place.api.list("ConfigMap", place.namespace, "app.kubernetes.io/managed-by=anneal")
    return child


async def test_a_deleted_resource_is_followed_by_its_children(place: Place) -> None:
    place.operator(await place.proxy(), "pod-a")
    await place.create("FineTuneJob", "support")
    await place.settled("FineTuneJob", "support")
    child = await _child(place)
    await place.api.delete("FineTuneJob", place.namespace, "support")
    await place.api.until("ConfigMap", place.namespace, child["metadata"]["name"], lambda obj: not obj)


async def test_cut_watches_are_opened_again(place: Place) -> None:
    proxy = await place.proxy()
    place.operator(proxy, "pod-a", **NO_RESYNC)
    for name in ("in-the-first-list", "by-the-first-watch"):
        await place.create("FineTuneJob", name)
        await place.settled("FineTuneJob", name)
    assert proxy.cut_watches() > 0
    await place.create("FineTuneJob", "by-the-next-watch")
    await place.settled("FineTuneJob", "by-the-next-watch")


async def test_a_watch_that_expires_is_started_again(place: Place) -> None:
    proxy = await place.proxy()
    place.operator(proxy, "pod-a", **NO_RESYNC)
    await place.create("FineTuneJob", "first")
    await place.settled("FineTuneJob", "first")
    proxy.fail_watches("finetunejobs", 410, "Expired")
    await place.create("FineTuneJob", "second")
    await place.settled("FineTuneJob", "second")


async def test_a_watch_that_breaks_ends_the_process_for_the_parent_to_start_it_anew(place: Place) -> None:
    """Kopf gives such a watch up; a process that stayed would be deaf."""
    proxy = await place.proxy()
    operator = place.operator(proxy, "pod-a", **NO_RESYNC)
    await place.create("FineTuneJob", "first")
    await place.settled("FineTuneJob", "first")
    proxy.fail_watches("finetunejobs", 500, "InternalError")
    assert operator.process is not None
    assert await asyncio.to_thread(operator.process.wait, 60) == 1
    assert "the operator process cannot go on" in operator.text()


async def test_refused_and_failing_writes_end_where_an_undisturbed_run_ends(place: Place) -> None:
    """Every second write is answered 503, 429 with a pause, 409 or 500 before it reaches the API server."""
    proxy = await place.proxy()
    codes = itertools.cycle([503, 429, 409, 500])

    async def refuse(write: Write) -> web.StreamResponse | None:
        return refusal(next(codes), headers={"Retry-After": "1"}) if write.number % 2 else None

    proxy.before.append(refuse)
    place.operator(proxy, "pod-a", **NO_RESYNC)
    await place.create("FineTuneJob", "support")
    await place.settled("FineTuneJob", "support")
    assert len(await place.api.list("ConfigMap", place.namespace, "app.kubernetes.io/managed-by=anneal")) == 1


async def test_an_operator_waits_for_its_kinds(place: Place) -> None:
    """Kopf never watches a kind that was missing when it started, so nothing else may begin before they are there."""
    proxy = await place.proxy()
    missing = asyncio.Event()

    async def hide(request: web.Request) -> web.StreamResponse | None:
        if "/finetunejobs" in request.path and not missing.is_set():
            return refusal(404, "NotFound")
        return None

    proxy.before_read = hide
    operator = place.operator(proxy, "pod-a")
    await place.create("FineTuneJob", "support")
    assert "anneal_lease_held 0.0" in await healthy(operator)
    assert await page(operator, "/readyz") == (503, "waiting for the CRDs of Anneal")
    assert proxy.writes == []
    missing.set()
    resource = await place.api.until("FineTuneJob", place.namespace, "support", phase_is("Settled"))
    assert resource["status"]["observedGeneration"] == 1
