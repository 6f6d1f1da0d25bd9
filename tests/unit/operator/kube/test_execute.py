"""Carrying a plan out, against the API server in memory."""

from datetime import UTC, datetime
from typing import Any

import pytest

from anneal_operator.controllers.store import Store
from anneal_operator.decide.facts import Children, Facts, WriteError
from anneal_operator.decide.plan import Delete, Event, Plan
from anneal_operator.desired import names
from anneal_operator.kube import errors
from anneal_operator.kube.events import Recorder
from anneal_operator.kube.execute import Executor, Outcome, covers
from anneal_operator.kube.kinds import CONFIG_MAP, EVENT, FINETUNEJOB, JOB, SERVICE, Kind, meta
from tests.fakes import FakeKube

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DONE = Event("Normal", "Accepted", "accepted")


class Scene:
    """A resource, and what executes plans about it."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.store = Store()
        self.executor = Executor(self.kube, self.store, Recorder(self.kube, "pod-a"))
        self.resource = self.kube.add({"apiVersion": FINETUNEJOB.api_version, "kind": FINETUNEJOB.name,
                                       "metadata": {"name": "support", "namespace": "team"}, "spec": {}})
        self.uid = meta(self.resource)["uid"]

    def manifest(self, kind: Kind, name: str, owner: str | None = None, **body: Any) -> dict[str, Any]:
        return {"apiVersion": kind.api_version, "kind": kind.name, **body,
                "metadata": {"name": name, "namespace": "team",
                             "labels": names.labels(FINETUNEJOB.name, "support", owner or self.uid)}}

    def have(self, kind: Kind, name: str, **more: Any) -> dict[str, Any]:
        obj = self.kube.add(self.manifest(kind, name, **more))
        self.store.put(kind, obj)
        return obj

    async def execute(self, plan: Plan, known: tuple[WriteError, ...] = ()) -> Outcome:
        self.kube.calls.clear()
        return await self.executor.execute(Facts(self.resource, Children(), write_errors=known), plan, NOW)

    def verbs(self) -> list[str]:
        return [f"{call.verb} {call.kind}" for call in self.kube.writes()]


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_the_order_is_deletes_creates_applies_status_events(scene: Scene) -> None:
    old = scene.have(JOB, "old")
    plan = Plan(deletes=(Delete("batch/v1", "Job", "old", meta(old)["uid"]),), creates=(scene.manifest(JOB, "new"),),
                applies=(scene.manifest(SERVICE, "svc"),), status={"phase": "Pending"}, events=(DONE,))
    assert await scene.execute(plan) == Outcome()
    assert scene.verbs() == ["delete Job", "create Job", "apply Service", "patch FineTuneJob", "create Event"]


async def test_the_answers_are_in_the_store_at_once(scene: Scene) -> None:
    old = scene.have(JOB, "old")
    await scene.execute(Plan(deletes=(Delete("batch/v1", "Job", "old", meta(old)["uid"]),),
                             creates=(scene.manifest(JOB, "new"),), status={"phase": "Pending"}))
    assert [meta(job)["name"] for job in scene.store.children(scene.uid).jobs] == ["new"]
    stored = scene.store.get(FINETUNEJOB, "team", "support")
    assert stored is not None
    assert stored["status"] == {"phase": "Pending"}


async def test_an_empty_plan_makes_no_request(scene: Scene) -> None:
    await scene.execute(Plan())
    assert scene.kube.calls == []


async def test_a_status_that_is_there_already_is_not_written(scene: Scene) -> None:
    await scene.execute(Plan(status={"phase": "Pending"}))
    scene.resource = scene.store.get(FINETUNEJOB, "team", "support")  # type: ignore[assignment]
    await scene.execute(Plan(status={"phase": "Pending"}))
    assert scene.kube.calls == []


async def test_keys_that_vanished_from_the_status_are_removed(scene: Scene) -> None:
    await scene.execute(Plan(status={"phase": "Training", "progress": {"step": 1, "loss": 2.0}}))
    scene.resource = scene.store.get(FINETUNEJOB, "team", "support")  # type: ignore[assignment]
    await scene.execute(Plan(status={"phase": "Failed"}))
    assert scene.kube.objects(FINETUNEJOB)[0]["status"] == {"phase": "Failed"}


async def test_what_is_applied_already_is_not_applied_again(scene: Scene) -> None:
    scene.have(SERVICE, "svc", spec={"ports": [{"port": 80, "protocol": "TCP"}], "clusterIP": "10.0.0.1"})
    await scene.execute(Plan(applies=(scene.manifest(SERVICE, "svc", spec={"ports": [{"port": 80}]}),)))
    assert scene.kube.calls == []
    await scene.execute(Plan(applies=(scene.manifest(SERVICE, "svc", spec={"ports": [{"port": 81}]}),)))
    assert scene.verbs() == ["apply Service"]


async def test_creating_what_we_have_made_already_is_fine(scene: Scene) -> None:
    scene.kube.add(scene.manifest(JOB, "new"))  # made by a pass that ended before it saw the answer
    plan = Plan(creates=(scene.manifest(JOB, "new"),), status={"phase": "Pending"})
    assert await scene.execute(plan) == Outcome()
    assert [meta(job)["name"] for job in scene.store.children(scene.uid).jobs] == ["new"]


@pytest.mark.parametrize("how", ["creates", "applies"])
async def test_a_foreign_object_of_that_name_is_not_touched(scene: Scene, how: str) -> None:
    scene.kube.add(scene.manifest(SERVICE, "svc", owner="somebody-else"))
    ours = (scene.manifest(SERVICE, "svc", spec={"a": 1}),)
    outcome = await scene.execute(Plan(creates=ours) if how == "creates" else Plan(applies=ours))
    assert [(e.kind, e.name, e.reason) for e in outcome.refused] == [("Service", "svc", "NameTaken")]
    assert "apply Service" not in scene.verbs()
    assert "spec" not in scene.kube.objects(SERVICE)[0]


async def test_only_the_object_with_that_uid_is_deleted(scene: Scene) -> None:
    old = scene.have(JOB, "job")
    scene.kube.remove(JOB, "team", "job")
    scene.kube.add(scene.manifest(JOB, "job"))
    await scene.execute(Plan(deletes=(Delete("batch/v1", "Job", "job", meta(old)["uid"]),)))
    assert scene.verbs() == []
    assert scene.store.get(JOB, "team", "job") is None


async def test_a_foreign_object_is_never_deleted(scene: Scene) -> None:
    foreign = scene.kube.add(scene.manifest(CONFIG_MAP, "theirs", owner="somebody-else"))
    outcome = await scene.execute(Plan(deletes=(Delete("v1", "ConfigMap", "theirs", meta(foreign)["uid"]),)))
    assert [error.reason for error in outcome.refused] == ["NameTaken"]
    assert len(scene.kube.objects(CONFIG_MAP)) == 1


async def test_a_child_that_is_ending_is_not_deleted_again(scene: Scene) -> None:
    job = scene.have(JOB, "job")
    scene.kube.edit(JOB, "team", "job", {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
    await scene.execute(Plan(deletes=(Delete("batch/v1", "Job", "job", meta(job)["uid"]),)))
    assert scene.verbs() == []


async def test_no_child_is_made_for_a_resource_that_was_made_anew(scene: Scene) -> None:
    scene.kube.remove(FINETUNEJOB, "team", "support")
    scene.kube.add({"apiVersion": FINETUNEJOB.api_version, "kind": FINETUNEJOB.name,
                    "metadata": {"name": "support", "namespace": "team"}})
    with pytest.raises(errors.Conflict):
        await scene.execute(Plan(creates=(scene.manifest(JOB, "new"),)))
    assert scene.kube.objects(JOB) == []


async def test_no_child_is_made_for_a_resource_that_is_being_deleted(scene: Scene) -> None:
    scene.kube.edit(FINETUNEJOB, "team", "support", {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
    with pytest.raises(errors.Conflict):
        await scene.execute(Plan(creates=(scene.manifest(JOB, "new"),)))
    assert scene.kube.objects(JOB) == []


QUOTA = errors.Forbidden("exceeded quota: small", status=403, reason="Forbidden")


async def test_a_refusal_nobody_knew_of_keeps_status_and_events_back(scene: Scene) -> None:
    scene.kube.fail("create", JOB, QUOTA)
    outcome = await scene.execute(Plan(creates=(scene.manifest(JOB, "new"),), status={"phase": "Training"},
                                       events=(DONE,)))
    assert outcome.news
    assert [(e.kind, e.name, e.status, e.reason) for e in outcome.refused] == [("Job", "new", 403, "Forbidden")]
    assert "exceeded quota" in outcome.refused[0].message
    assert scene.verbs() == ["create Job"]


async def test_a_refusal_that_the_decision_knew_of_does_not(scene: Scene) -> None:
    scene.kube.fail("create", JOB, QUOTA)
    known = (WriteError("Job", "new", 403, "Forbidden", "exceeded quota: small, used 9"),)
    outcome = await scene.execute(Plan(creates=(scene.manifest(JOB, "new"),), status={"phase": "Pending"},
                                       events=(DONE,)), known)
    assert not outcome.news
    assert scene.verbs() == ["create Job", "patch FineTuneJob", "create Event"]


async def test_one_refusal_does_not_keep_the_other_children_from_being_made(scene: Scene) -> None:
    scene.kube.fail("create", JOB, QUOTA)
    await scene.execute(Plan(creates=(scene.manifest(JOB, "new"), scene.manifest(CONFIG_MAP, "run"))))
    assert [meta(obj)["name"] for obj in scene.kube.objects(CONFIG_MAP)] == ["run"]


async def test_an_outage_is_no_refusal(scene: Scene) -> None:
    scene.kube.fail("create", JOB, errors.Unavailable("etcd is away", status=503))
    with pytest.raises(errors.Unavailable):
        await scene.execute(Plan(creates=(scene.manifest(JOB, "new"),), status={"phase": "Training"}))
    assert scene.verbs() == ["create Job"]


async def test_somebody_elses_field_is_not_forced(scene: Scene) -> None:
    scene.have(SERVICE, "svc", spec={"port": 80})
    scene.kube.owned_by("kubectl", SERVICE, "team", "svc", {"spec": {"port": 80}})
    outcome = await scene.execute(Plan(applies=(scene.manifest(SERVICE, "svc", spec={"port": 81}),)))
    assert [error.reason for error in outcome.refused] == ["Conflict"]


async def test_events_follow_only_a_status_that_was_written(scene: Scene) -> None:
    scene.kube.edit(FINETUNEJOB, "team", "support", {"spec": {"suspend": True}})
    with pytest.raises(errors.Conflict):
        await scene.execute(Plan(status={"phase": "Pending"}, events=(DONE,)))
    assert scene.kube.objects(EVENT) == []


async def test_saying_the_same_again_raises_the_count_of_one_event(scene: Scene) -> None:
    for _ in range(3):
        await scene.execute(Plan(events=(DONE,)))
    (event,) = scene.kube.objects(EVENT)
    assert event["count"] == 3
    assert event["involvedObject"]["uid"] == scene.uid


async def test_an_event_that_cannot_be_written_fails_nothing(scene: Scene) -> None:
    scene.kube.fail("create", EVENT, QUOTA)
    assert await scene.execute(Plan(events=(DONE,))) == Outcome()


async def test_an_event_is_small(scene: Scene) -> None:
    await scene.execute(Plan(events=(Event("Warning", "Crashed", "ä" * 5000),)))
    assert len(scene.kube.objects(EVENT)[0]["message"].encode()) <= 1000


@pytest.mark.parametrize(("live", "wanted", "expected"), [
    pytest.param({"a": 1, "b": 2}, {"a": 1}, True, id="more fields are fine"),
    pytest.param({"a": 1}, {"a": 1, "b": 2}, False, id="a missing field is not"),
    pytest.param({"a": {"b": 1}}, {"a": {"b": 2}}, False, id="nested difference"),
    pytest.param([{"n": 1, "d": 0}], [{"n": 1}], True, id="defaults inside a list"),
    pytest.param([1, 2], [1], False, id="a longer list is different"),
    pytest.param("x", {"a": 1}, False, id="another type"),
])
def test_covers(live: Any, wanted: Any, expected: bool) -> None:
    assert covers(live, wanted) is expected
