"""The client, against a real HTTP server that answers as told and remembers what it was asked."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import kube_config

from anneal_operator.decide.facts import LogRequest
from anneal_operator.kube import aio_client, errors
from anneal_operator.kube.aio_client import AioKubeClient
from anneal_operator.kube.client import Change
from anneal_operator.kube.kinds import CONFIG_MAP, EVENT, FINETUNEJOB, JOB, POD, SERVICE

Response = web.Response


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


class Server:
    """Answers with what was queued, in order."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: list[Response] = []
        self.silent = False
        """Watches tell nothing."""

    def will(self, body: Any, status: int = 200, **headers: str) -> None:
        self.answers.append(web.json_response(body, status=status, headers=headers))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        self.asked.append(Asked(request.method, request.path, dict(request.query), dict(request.headers),
                                json.loads(text) if text else None))
        if self.silent and "watch" in request.query:
            await (response := web.StreamResponse()).prepare(request)
            await asyncio.Event().wait()
            return response
        return self.answers.pop(0)


class Rig:
    """A server, a client of it, what the client reported, and what the Lease says."""

    def __init__(self, url: str, server: Server) -> None:
        self.server = server
        self.seen: list[tuple[str, str, int]] = []
        self.lease: Exception | float = 60.0
        self.configuration = Configuration(host=url)
        self.client = AioKubeClient(self.configuration, self.may_write,
                                    lambda *request: self.seen.append(request))

    def may_write(self) -> float:
        if isinstance(self.lease, Exception):
            raise self.lease
        return self.lease


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made = Rig(f"http://127.0.0.1:{runner.addresses[0][1]}", server)
    yield made
    await made.client.close()
    await runner.cleanup()


def job(**metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a", "namespace": "team", **metadata}}


def status(code: int, reason: str, message: str) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}


async def test_get_leaves_managed_fields_behind(rig: Rig) -> None:
    rig.server.will(job(managedFields=[{"manager": "x"}]))
    assert await rig.client.get(JOB, "team", "a") == job()
    assert rig.server.asked[0].path == "/apis/batch/v1/namespaces/team/jobs/a"
    assert rig.seen == [("get", "Job", 200)]


async def test_a_list_comes_page_by_page_and_the_kind_of_each_item_is_named(rig: Rig) -> None:
    rig.server.will({"metadata": {"continue": "t0k&n", "resourceVersion": "7"}, "items": [{"metadata": {"name": "a"}}]})
    rig.server.will({"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "b"}}]})
    pages = [page async for page in rig.client.pages(POD, None, labels="x=y,z", fields="status.phase=Running")]
    assert [page.version for page in pages] == [7, 7]
    named = [[(item["kind"], item["apiVersion"], item["metadata"]["name"]) for item in page.items] for page in pages]
    assert named == [[("Pod", "v1", "a")], [("Pod", "v1", "b")]]
    assert [asked.path for asked in rig.server.asked] == ["/api/v1/pods", "/api/v1/pods"]
    assert rig.server.asked[0].query == {
        "limit": "500", "labelSelector": "x=y,z", "fieldSelector": "status.phase=Running"}
    assert rig.server.asked[1].query["continue"] == "t0k&n"


async def test_the_next_page_is_asked_for_while_one_is_looked_at_and_given_up_with_the_list(rig: Rig) -> None:
    for name in "abc":
        rig.server.will({"metadata": {"continue": name}, "items": [{"metadata": {"name": name}}]})
    async with aclosing(rig.client.pages(POD, None)) as pages:
        await anext(pages)
        async with asyncio.timeout(5):
            while len(rig.server.asked) < 2:
                await asyncio.sleep(0)
        await anext(pages)
    assert [asked.query.get("continue") for asked in rig.server.asked][:2] == [None, "a"]
    assert not [task for task in asyncio.all_tasks() if "AioKubeClient._page" in repr(task.get_coro())]


async def test_a_list_that_expires_between_two_pages_says_so(rig: Rig) -> None:
    rig.server.will({"metadata": {"continue": "t"}, "items": [{"metadata": {"name": "stale"}}]})
    rig.server.will(status(410, "Expired", "too old"), 410)
    pages = rig.client.pages(POD, "team")
    await anext(pages)
    with pytest.raises(errors.Expired, match="too old"):
        await anext(pages)


def lines(*told: dict[str, Any]) -> Response:
    return web.Response(body=b"".join(json.dumps(one).encode() + b"\n" for one in told))


async def test_a_watch_tells_changes_and_how_far_it_got_and_ends_with_the_connection(rig: Rig) -> None:
    rig.server.answers.append(lines(
        {"type": "MODIFIED", "object": {"metadata": {"name": "a", "resourceVersion": "8", "managedFields": [1]}}},
        {"type": "DELETED", "object": {"metadata": {"name": "b", "resourceVersion": "9"}}},
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "12"}}}))
    told = [change async for change in rig.client.watch(POD, "team", 7, labels="x=y")]
    named = {"apiVersion": "v1", "kind": "Pod"}
    assert told == [Change(8, {**named, "metadata": {"name": "a", "resourceVersion": "8"}}),
                    Change(9, {**named, "metadata": {"name": "b", "resourceVersion": "9"}}, deleted=True),
                    Change(12)]
    asked = rig.server.asked[0]
    assert asked.path == "/api/v1/namespaces/team/pods"
    assert 300 <= int(asked.query.pop("timeoutSeconds")) <= 600
    assert asked.query == {
        "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": "7", "labelSelector": "x=y"}
    assert rig.seen == [("watch", "Pod", 200)]


@pytest.mark.parametrize("code", [410, 500])
@pytest.mark.parametrize("under_way", [False, True])
async def test_a_watch_that_fails_says_how(rig: Rig, code: int, under_way: bool) -> None:
    said = status(code, "Why", "because")
    rig.server.answers.append(
        lines({"type": "ERROR", "object": said}) if under_way else web.json_response(said, status=code))
    with pytest.raises(errors.Expired if code == 410 else errors.Unavailable, match=r"watch Pod .*: because"):
        await anext(rig.client.watch(POD, None, 7))


async def test_a_watch_that_ends_within_a_line_is_one_that_failed(rig: Rig) -> None:
    rig.server.answers.append(web.Response(body=b'{"type": "MODIFIED", "obj'))
    with pytest.raises(errors.Unavailable, match="watch Pod"):
        await anext(rig.client.watch(POD, None, 7))


async def test_a_watch_that_is_silent_is_given_up(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aio_client, "SILENCE", 0.05)
    rig.server.silent = True
    with pytest.raises(errors.Unavailable, match="no answer"):
        await anext(rig.client.watch(POD, None, 7))
    assert rig.seen == [("watch", "Pod", 200), ("watch", "Pod", 0)]


async def test_watches_of_many_namespaces_leave_room_for_requests(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    named = {"name": "x", "context": {"cluster": "x", "user": "x"}}
    (tmp_path / "config").write_text(json.dumps({
        "current-context": "x", "contexts": [named], "users": [{"name": "x", "user": {}}],
        "clusters": [{"name": "x", "cluster": {"server": rig.configuration.host}}]}))
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "config"))
    client = AioKubeClient(await aio_client.load_configuration(), rig.may_write)
    rig.server.silent = True
    rig.server.will(job())
    watches = [asyncio.create_task(anext(client.watch(POD, f"team-{n}", 7))) for n in range(150)]
    async with asyncio.timeout(10):
        while len(rig.server.asked) < len(watches):
            await asyncio.sleep(0)
        assert await client.get(JOB, "team", "a") == job()
    for watch in watches:
        watch.cancel()
    await asyncio.wait(watches)
    await client.close()


async def test_create(rig: Rig) -> None:
    rig.server.will(job(uid="1"), 201)
    await rig.client.create(JOB, job())
    asked = rig.server.asked[0]
    assert (asked.method, asked.path, asked.body) == ("POST", "/apis/batch/v1/namespaces/team/jobs", job())
    assert asked.query == {"fieldManager": "anneal"}


async def test_apply_is_server_side_and_never_forced(rig: Rig) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "team"}}
    rig.server.will(service)
    await rig.client.apply(SERVICE, service)
    asked = rig.server.asked[0]
    assert (asked.method, asked.path) == ("PATCH", "/api/v1/namespaces/team/services/a")
    assert asked.headers["Content-Type"] == "application/apply-patch+yaml"
    assert asked.query == {"fieldManager": "anneal", "force": "false"}


async def test_a_status_patch_removes_vanished_keys_and_holds_only_for_what_was_read(rig: Rig) -> None:
    current = {"metadata": {"name": "a", "namespace": "team", "uid": "u", "resourceVersion": "5"},
               "status": {"phase": "Training", "progress": {"step": 1, "loss": 2.5}, "run": {"id": "1"},
                          "conditions": [1]}}
    rig.server.will(current)
    await rig.client.patch_status(FINETUNEJOB, current, {
        "phase": "Failed", "progress": {"step": 2}, "conditions": [1, 2]})
    asked = rig.server.asked[0]
    assert asked.path == "/apis/anneal.dev/v1alpha1/namespaces/team/finetunejobs/a/status"
    assert asked.headers["Content-Type"] == "application/merge-patch+json"
    assert asked.body == {
        "metadata": {"resourceVersion": "5", "uid": "u"},
        "status": {"phase": "Failed", "progress": {"step": 2, "loss": None}, "run": None, "conditions": [1, 2]}}


async def test_delete_names_the_uid_and_leaves_children_to_the_background(rig: Rig) -> None:
    ending = job(uid="u", deletionTimestamp="2026-01-01T00:00:00Z")
    rig.server.will(ending)
    rig.server.will({"kind": "Status", "status": "Success"})
    rig.server.will(status(404, "NotFound", "gone"), 404)
    assert await rig.client.delete(JOB, "team", "a", "u") == ending
    assert await rig.client.delete(JOB, "team", "a", "u") is None
    assert await rig.client.delete(JOB, "team", "a", "u") is None
    assert rig.server.asked[0].method == "DELETE"
    assert rig.server.asked[0].body == {"preconditions": {"uid": "u"}, "propagationPolicy": "Background"}


async def test_a_log_is_bounded(rig: Rig) -> None:
    rig.server.answers.append(web.Response(body=b"step 1\n\xff"))
    text = await rig.client.pod_log("team", LogRequest("p", "train", previous=True, tail_lines=9, limit_bytes=99))
    assert text == "step 1\n\N{REPLACEMENT CHARACTER}"
    assert rig.server.asked[0].path == "/api/v1/namespaces/team/pods/p/log"
    assert rig.server.asked[0].query == {
        "container": "train", "previous": "true", "tailLines": "9", "limitBytes": "99"}


async def test_a_log_is_read_from_its_beginning_too(rig: Rig) -> None:
    rig.server.answers.append(web.Response(body=b"first"))
    await rig.client.pod_log("team", LogRequest("p", "server", tail_lines=None, limit_bytes=99))
    assert rig.server.asked[0].query == {"container": "server", "previous": "false", "limitBytes": "99"}


async def test_an_event_is_merged_into(rig: Rig) -> None:
    rig.server.will({"kind": "Event", "metadata": {"name": "e"}})
    await rig.client.patch_event("team", "e", {"count": 2})
    assert rig.server.asked[0].path == EVENT.path("team", "e")
    assert rig.server.asked[0].headers["Content-Type"] == "application/merge-patch+json"


@pytest.mark.parametrize(("code", "kind"), [
    (400, errors.Invalid), (401, errors.Unavailable), (403, errors.Forbidden), (404, errors.NotFound),
    (409, errors.Conflict), (410, errors.Expired), (422, errors.Invalid), (429, errors.Unavailable),
    (500, errors.Unavailable), (503, errors.Unavailable), (504, errors.Unavailable),
])
async def test_each_status_is_one_kind_of_error(rig: Rig, code: int, kind: type[errors.KubeError]) -> None:
    rig.server.will(status(code, "Why", "because"), code)
    with pytest.raises(errors.KubeError) as caught:
        await rig.client.get(JOB, "team", "a")
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.reason) == (code, "Why")
    assert caught.value.message == "get Job /apis/batch/v1/namespaces/team/jobs/a: because"


async def test_long_texts_of_the_server_are_cut(rig: Rig) -> None:
    rig.server.answers.append(web.Response(status=500, body=b"x" * 100_000))
    with pytest.raises(errors.Unavailable) as caught:
        await rig.client.get(JOB, "team", "a")
    assert len(caught.value.message) <= errors.MAX_TEXT


async def test_no_answer_is_unavailable(rig: Rig) -> None:
    rig.configuration.host = "http://127.0.0.1:1"
    with pytest.raises(errors.Unavailable) as caught:
        await rig.client.get(JOB, "team", "a")
    assert caught.value.status == 0
    assert rig.seen == [("get", "Job", 0)]


async def test_a_pause_that_the_server_asks_for_holds_for_all_requests(rig: Rig) -> None:
    rig.server.will(status(429, "TooManyRequests", "slow down"), 429, **{"Retry-After": "30"})
    with pytest.raises(errors.Unavailable) as first:
        await rig.client.get(JOB, "team", "a")
    with pytest.raises(errors.Unavailable) as second:
        await anext(rig.client.pages(POD, None))
    assert first.value.retry_after == 30
    assert second.value.retry_after == pytest.approx(30, abs=1)
    assert len(rig.server.asked) == 1


async def test_nothing_is_written_without_the_lease_but_reading_goes_on(rig: Rig) -> None:
    rig.lease = errors.LeaseLost("frozen for a minute")
    for write in (rig.client.create(JOB, job()), rig.client.apply(JOB, job()), rig.client.delete(JOB, "team", "a", "u"),
                  rig.client.patch_status(JOB, job(resourceVersion="1", uid="u"), {}),
                  rig.client.patch_event("team", "e", {})):
        with pytest.raises(errors.LeaseLost):
            await write
    assert rig.server.asked == []
    rig.server.will(job())
    assert await rig.client.get(JOB, "team", "a") == job()


async def test_a_write_does_not_outlive_the_lease(rig: Rig) -> None:
    rig.lease = 0.05
    blocked = web.Application()

    async def never(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    blocked.router.add_route("*", "/{path:.*}", never)
    runner = web.AppRunner(blocked, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    rig.configuration.host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    with pytest.raises(errors.Unavailable):
        await rig.client.create(CONFIG_MAP, job())
    await runner.cleanup()


async def test_the_token_is_read_anew(rig: Rig) -> None:
    """The kubelet replaces a service account's token; the client's hook reads it before each request."""
    tokens = iter(["bearer one", "bearer two"])

    def refresh(configuration: Configuration) -> None:
        configuration.api_key["BearerToken"] = next(tokens)

    rig.configuration.api_key["BearerToken"] = "bearer zero"
    rig.configuration.refresh_api_key_hook = refresh  # type: ignore[assignment]
    for _ in range(2):
        rig.server.will(job())
        await rig.client.get(JOB, "team", "a")
    assert [asked.headers["Authorization"] for asked in rig.server.asked] == ["bearer one", "bearer two"]


async def test_a_webhook_that_does_not_answer_refuses_an_object_and_is_no_outage(rig: Rig) -> None:
    said = 'Internal error occurred: failed calling webhook "x": failed to call webhook: connection refused'
    rig.server.will(status(500, "InternalError", said), 500)
    with pytest.raises(errors.Forbidden, match="failed calling webhook"):
        await rig.client.create(JOB, job())
