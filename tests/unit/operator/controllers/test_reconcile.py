"""One pass around a brain that the test provides, against the API server in memory."""


import pytest

from anneal_operator.controllers.health import WatchHealth
from anneal_operator.controllers.intake import Intake
from anneal_operator.controllers.queue import Retry, WorkQueue
from anneal_operator.controllers.reconcile import OUTAGE_BACKOFF, STRAIGHT_ON
from anneal_operator.controllers.store import Key
from anneal_operator.decide.facts import Facts, LogRequest, Needs
from anneal_operator.decide.plan import Event, Plan
from anneal_operator.kube import errors
from anneal_operator.kube.kinds import EVENT, FINETUNEJOB, JOB, MODELDEPLOYMENT, POD, meta
from tests.unit.operator.controllers.scene import KEY, Scene


async def test_a_resource_that_is_gone_needs_nothing(scene: Scene) -> None:
    assert await scene.reconciler.handle(KEY) is None
    assert scene.facts == []


async def test_the_brain_says_when_to_look_again(scene: Scene) -> None:
    scene.resource()
    scene.decide = lambda facts: Plan(requeue_after=10.0)
    assert await scene.reconciler.handle(KEY) == 10.0


async def test_a_settled_resource_costs_no_request(scene: Scene) -> None:
    scene.resource(status={"phase": "Succeeded"})
    scene.decide = lambda facts: Plan(status=dict(facts.resource["status"]))
    assert await scene.reconciler.handle(KEY) is None
    assert scene.kube.calls == []


async def test_what_the_brain_needs_is_read(scene: Scene) -> None:
    scene.resource()
    scene.kube.add({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
                    "metadata": {"name": "data", "namespace": "team"}})
    scene.kube.add({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "template", "namespace": "team"}})
    scene.kube.add({"apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": "FailedMount",
                    "metadata": {"name": "e1", "namespace": "team"}, "involvedObject": {"name": "stuck"}})
    scene.kube.add({"apiVersion": "v1", "kind": "Event", "type": "Normal", "reason": "Pulled",
                    "metadata": {"name": "e2", "namespace": "team"}, "involvedObject": {"name": "stuck"}})
    scene.kube.logs["pod", "train"] = "step 1"
    scene.needs = Needs(claims=("data", "missing"), config_maps=("template",), events_of=("stuck",),
                        logs=(LogRequest("pod", "train"), LogRequest("pod", "starting")))
    await scene.reconciler.handle(KEY)
    found = scene.facts[0].found
    assert set(found.claims) == {"data"}
    assert set(found.config_maps) == {"template"}
    assert [event["reason"] for event in found.events] == ["FailedMount"]
    assert found.logs == {("pod", "train"): "step 1"}


async def test_a_node_that_does_not_answer_for_a_log_keeps_nothing_from_being_reconciled(scene: Scene) -> None:
    scene.resource()
    scene.needs = Needs(logs=(LogRequest("pod", "train"),))
    scene.kube.fail("log", POD, errors.Unavailable("dial tcp: no route to host", status=500))
    await scene.reconciler.handle(KEY)
    assert scene.facts[0].found.logs == {}


async def test_an_api_server_that_does_not_answer_for_a_log_ends_the_pass(scene: Scene) -> None:
    scene.resource()
    scene.needs = Needs(logs=(LogRequest("pod", "train"),))
    scene.kube.fail("log", POD, errors.Unavailable("no answer", status=0))
    with pytest.raises(Retry):
        await scene.reconciler.handle(KEY)
    assert scene.facts == []


async def test_a_referred_job_comes_from_the_store_and_only_its_absence_is_asked_about(scene: Scene) -> None:
    scene.resource(MODELDEPLOYMENT)
    scene.needs = Needs(fine_tune_job="support")
    key = Key("ModelDeployment", "team", "support")
    await scene.reconciler.handle(key)
    assert scene.facts[-1].found.fine_tune_job is None
    assert scene.kube.count() == {"get": 1}
    job = scene.resource()
    await scene.reconciler.handle(key)
    assert scene.facts[-1].found.fine_tune_job == job
    assert scene.kube.count() == {"get": 1}


async def test_what_is_due_at_once_does_not_wait_for_its_turn(scene: Scene) -> None:
    scene.resource()
    answers = iter([0.0, 0.0, 30.0])
    scene.decide = lambda facts: Plan(requeue_after=next(answers))
    assert await scene.reconciler.handle(KEY) == 30.0
    assert len(scene.facts) == 3


async def test_what_is_always_due_at_once_lets_others_have_their_turn(scene: Scene) -> None:
    scene.resource()
    scene.decide = lambda facts: Plan(requeue_after=0.0)
    assert await scene.reconciler.handle(KEY) == 0.0
    assert len(scene.facts) == STRAIGHT_ON


async def test_whatever_makes_children_reads_their_owner_first(scene: Scene) -> None:
    resource = scene.resource()
    scene.decide = lambda facts: Plan(creates=(scene.job_of(resource),), status={"phase": "Running"})
    await scene.reconciler.handle(KEY)
    assert [f"{call.verb} {call.kind}" for call in scene.kube.calls] == [
        "get FineTuneJob", "create Job", "patch FineTuneJob"]


async def test_a_claim_that_is_there_is_asked_for_once_and_a_missing_one_each_time(scene: Scene) -> None:
    scene.resource()
    scene.kube.add({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
                    "metadata": {"name": "data", "namespace": "team"}})
    scene.needs = Needs(claims=("data", "missing"))
    for _ in range(3):
        await scene.reconciler.handle(KEY)
    assert [set(facts.found.claims) for facts in scene.facts] == [{"data"}] * 3
    assert scene.kube.count() == {"get": 1 + 3}


async def test_a_refusal_is_a_fact_of_the_next_pass_until_it_is_over(scene: Scene) -> None:
    resource = scene.resource()
    scene.decide = lambda facts: Plan(creates=(scene.job_of(resource),) if not facts.children.jobs else ())
    scene.kube.fail("create", JOB, errors.Forbidden("exceeded quota", status=403), times=2)
    with pytest.raises(Retry):
        await scene.reconciler.handle(KEY)  # two passes: after the first nobody has told the user yet
    assert await scene.reconciler.handle(KEY) is None
    assert await scene.reconciler.handle(KEY) is None
    assert [[e.reason for e in facts.write_errors] for facts in scene.facts] == [
        [], ["Forbidden"], ["Forbidden"], []]


async def test_a_resource_made_anew_does_not_inherit_refusals(scene: Scene) -> None:
    resource = scene.resource()
    scene.decide = lambda facts: Plan(creates=(scene.job_of(resource),))
    scene.kube.fail("create", JOB, errors.Forbidden("exceeded quota", status=403))
    await scene.reconciler.handle(KEY)
    scene.kube.remove(FINETUNEJOB, "team", "support")
    scene.intake.event(FINETUNEJOB, True, resource)
    scene.decide = lambda facts: Plan()
    scene.resource()
    await scene.reconciler.handle(KEY)
    assert scene.facts[-1].write_errors == ()


async def test_a_status_that_somebody_else_changed_is_decided_anew(scene: Scene) -> None:
    scene.resource()
    scene.kube.edit(FINETUNEJOB, "team", "support", {"spec": {"suspend": True}})  # its event is late
    scene.decide = lambda facts: Plan(status={"phase": "Pending"})
    with pytest.raises(Retry):
        await scene.reconciler.handle(KEY)
    assert scene.failures("Conflict") == 1
    await scene.reconciler.handle(KEY)
    assert scene.facts[-1].resource["spec"] == {"suspend": True}
    assert scene.kube.objects(FINETUNEJOB)[0]["status"] == {"phase": "Pending"}


async def test_a_ghost_is_dropped_when_it_is_written_to(scene: Scene) -> None:
    scene.resource()
    scene.kube.remove(FINETUNEJOB, "team", "support")
    scene.decide = lambda facts: Plan(status={"phase": "Pending"})
    with pytest.raises(Retry):
        await scene.reconciler.handle(KEY)
    assert scene.store.resource(KEY) is None
    assert await scene.reconciler.handle(KEY) is None


async def test_an_outage_changes_nothing_and_obeys_the_server(scene: Scene) -> None:
    scene.resource()
    scene.decide = lambda facts: Plan(status={"phase": "Pending"}, events=(Event("Normal", "Accepted", "x"),))
    scene.kube.fail("patch", FINETUNEJOB, errors.Unavailable("slow down", status=429, retry_after=17.0))
    with pytest.raises(Retry) as caught:
        await scene.reconciler.handle(KEY)
    assert (caught.value.after, caught.value.longest) == (17.0, OUTAGE_BACKOFF)
    assert "status" not in scene.kube.objects(FINETUNEJOB)[0]
    assert scene.kube.objects(EVENT) == []


async def test_a_bug_in_deciding_fails_one_pass_only(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.resource()

    def fail(facts: Facts) -> Plan:
        raise ZeroDivisionError("a bug")

    scene.decide = fail
    with pytest.raises(Retry):
        await scene.reconciler.handle(KEY)
    assert "please report it" in caplog.text
    assert scene.failures("ZeroDivisionError") == 1


async def test_an_event_of_a_child_brings_its_owner_into_the_queue(scene: Scene) -> None:
    resource = scene.resource()
    before = scene.queue.depth
    scene.intake.event(JOB, False, scene.kube.add(scene.job_of(resource)))
    assert (before, scene.queue.depth) == (1, 1)
    assert len(scene.store.children(meta(resource)["uid"]).jobs) == 1


async def test_the_echo_of_an_own_write_brings_nothing_into_the_queue(scene: Scene) -> None:
    resource = scene.resource()
    scene.decide = lambda facts: Plan(status={"phase": "Pending"}, creates=(scene.job_of(resource),))
    await scene.reconciler.handle(KEY)
    fresh: WorkQueue[Key] = WorkQueue()
    echo = Intake(scene.kube, scene.store, fresh, WatchHealth(), scene.metrics, (), scene.reconciler.forget)
    echo.event(FINETUNEJOB, False, scene.kube.objects(FINETUNEJOB)[0])
    echo.event(JOB, False, scene.kube.objects(JOB)[0])
    assert fresh.depth == 0
