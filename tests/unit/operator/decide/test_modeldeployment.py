"""Lives of a ModelDeployment: pinned, started, switched when all of it is Ready, and honest about what is wrong."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from anneal_api.conditions import timestamp
from anneal_api.serve import Verified
from anneal_operator.decide.facts import WriteError
from tests.factories import (
    ARTIFACT,
    DIGEST,
    SETTINGS,
    Object,
    at,
    make_condition,
    make_modeldeployment,
)
from tests.unit.operator.decide.deployments import OTHER, of_folder, of_job, published, service_leads_to, settled
from tests.unit.operator.decide.world import End, World


def test_the_artifact_of_a_job_is_pinned_and_served() -> None:
    world = of_job().run()
    status = world.status
    assert status["stable"]["artifact"]["digest"] == DIGEST
    assert status["stable"]["readyReplicas"] == 1
    assert (status["url"], status["servedName"], status["replicas"]) == ("http://support.team.svc/v1", "support", "1/1")
    assert {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]} == {
        "Ready": ("True", "Serving"), "Available": ("True", "Serving"), "ArtifactVerified": ("True", "Serving")}
    assert service_leads_to(world) == status["stable"]["hash"]
    assert [entry["event"] for entry in status["timeline"]] == ["created", "resolved", "started", "ready"]
    assert "next" not in status
    settled(world)


def test_a_revision_that_was_replaced_claims_no_pods() -> None:
    world = of_job().run()
    before = world.status["stable"]
    world.spec(engine={"maxModelLen": 512})
    world.run()
    assert world.status["previous"]["hash"] == before["hash"]
    assert world.status["previous"].get("readyReplicas", 0) == 0
    settled(world)


def test_the_timeline_goes_on_to_the_first_token_by_the_kubelets_clock() -> None:
    world = of_job()
    world.run(until=lambda now: bool(now.of("Deployment")))
    revision, (deployment,) = service_leads_to(world), world.of("Deployment")
    world.objects["Pod", "server"] = {
        "apiVersion": "v1", "kind": "Pod", "spec": {}, "metadata": {
            "name": "server", "uid": "uid-server", "creationTimestamp": at(1),
            "labels": {"anneal.dev/revision": revision, "owner": deployment["metadata"]["name"]}},
        "status": {"phase": "Running", "conditions": [make_condition("Ready", seconds=9)],
                   "containerStatuses": [{"name": "server", "state": {"running": {"startedAt": at(4)}}}]}}
    world.logs["server", "server"] = Verified(seconds=1, time=at(5)).line()
    world.run()
    times = {entry["event"]: entry["time"] for entry in world.status["timeline"]}
    assert list(times) == ["created", "resolved", "started", "serverStarted", "weightsVerified", "firstToken", "ready"]
    assert [times[event] for event in list(times)[3:6]] == [at(4), at(5), at(9)]


def test_a_clock_that_is_behind_turns_no_time_around() -> None:
    """The API server's clock says when a resource was made, ours when its artifact was found."""
    world = of_job()
    made = timestamp(world.now + timedelta(seconds=2))
    world.resource["metadata"]["creationTimestamp"] = made
    world.step()
    assert {entry["event"]: entry["time"] for entry in world.status["timeline"]} == {
        "created": made, "resolved": made, "started": made}


def test_a_folder_is_resolved_by_a_job_that_is_removed_afterwards() -> None:
    world = of_folder().run()
    assert world.status["stable"]["artifact"] == ARTIFACT
    assert world.of("Job") == []
    assert [c["metadata"]["name"] for c in world.of("ConfigMap")] == [world.status["stable"]["name"]]
    settled(world)


def test_a_job_that_does_not_exist_is_waited_for() -> None:
    world = World(make_modeldeployment())
    world.step()
    assert world.condition("Ready")["reason"] == "FineTuneJobNotFound"
    assert "'support'" in world.condition("Ready")["message"]
    assert world.condition("Reconciling")["status"] == "True"
    assert world.created == []
    world.fine_tune_job = published()
    assert world.run().condition("Ready")["status"] == "True"


@pytest.mark.parametrize("job", [published(None, "Running"), published(ARTIFACT, "Running")])
def test_a_job_that_has_not_published_is_waited_for(job: Object) -> None:
    world = World(make_modeldeployment(), fine_tune_job=job)
    world.step()
    assert world.condition("Ready")["reason"] == "FineTuneJobNotPublished"
    assert "Running" in world.condition("Ready")["message"]
    assert world.created == []


@pytest.mark.parametrize("later", [None, published(None, "Running"), published(None, "Failed")])
def test_the_pin_outlives_what_it_came_from(later: Object | None) -> None:
    world = of_job().run()
    before = world.status
    world.fine_tune_job = later
    world.run()
    assert world.status == before
    settled(world)


def test_a_newer_artifact_is_a_new_revision_that_gets_traffic_when_it_is_ready() -> None:
    world = of_job().run()
    old = world.status["stable"]["hash"]
    world.fine_tune_job = published(OTHER)
    world.step()
    new = world.status["next"]["hash"]
    assert new != old
    assert service_leads_to(world) == old
    assert world.condition("Available")["status"] == "True"
    assert (world.condition("Ready")["status"], world.status["replicas"]) == ("False", "0/1")
    assert len(world.of("Deployment")) == 2
    world.run()
    assert service_leads_to(world) == new
    assert world.status["stable"]["artifact"] == OTHER
    assert [d["metadata"]["labels"]["anneal.dev/revision"] for d in world.of("Deployment")] == [new]
    assert len(world.of("ConfigMap")) == 1
    settled(world)


def test_traffic_moves_only_when_all_replicas_are_ready() -> None:
    world = of_job(replicas=2).run()
    old = world.status["stable"]["hash"]
    world.fine_tune_job = published(OTHER)
    world.step()
    (new,) = [d for d in world.of("Deployment") if d["metadata"]["labels"]["anneal.dev/revision"] != old]
    new["status"] = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 1}
    world.step()
    assert service_leads_to(world) == old
    assert world.status["replicas"] == "1/2"
    new["status"] = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}
    world.step()
    assert service_leads_to(world) == new["metadata"]["labels"]["anneal.dev/revision"]


def test_going_back_before_the_switch_drops_the_new_revision() -> None:
    world = of_job().run()
    old = world.status["stable"]
    world.spec(engine={"maxModelLen": 512})
    world.step()
    world.spec(engine={"maxModelLen": 2048})
    world.run()
    assert world.status["stable"] == old
    assert len(world.of("Deployment")) == 1
    settled(world)


@pytest.mark.parametrize("changes", [
    {"engine": {"maxModelLen": 512}}, {"resources": {"cpu": "2", "memory": "4Gi"}}, {"servedName": "other"},
    {"scheduling": {"nodeSelector": {"a": "b"}}}], ids=str)
def test_what_serving_depends_on_makes_a_new_revision(changes: dict[str, Any]) -> None:
    world = of_job().run()
    old = world.status["stable"]["hash"]
    world.spec(**changes)
    world.run()
    assert world.status["stable"]["hash"] != old
    settled(world)


def test_scaling_makes_no_new_revision() -> None:
    world = of_job().run()
    old = world.status["stable"]["hash"]
    world.spec(replicas=3)
    world.run()
    assert (world.status["stable"]["hash"], world.status["replicas"]) == (old, "3/3")
    world.spec(replicas=0)
    world.run()
    assert (world.condition("Ready")["status"], world.condition("Ready")["reason"]) == ("True", "ScaledToZero")
    assert (world.condition("Available")["status"], world.status["phase"]) == ("False", "Stopped")
    settled(world)


def test_a_newer_operator_restarts_nothing() -> None:
    world = of_job().run()
    (before,) = world.of("Deployment")
    config = world.of("ConfigMap")[0]["data"]["deployment.json"]
    (frozen,) = [m for m in world.decide().applies if m["kind"] == "Deployment"]
    assert {**json.loads(config)["spec"], "replicas": 1} == frozen["spec"] == before["spec"]
    changed = json.loads(config)
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "example.com/vllm:old"
    world.of("ConfigMap")[0]["data"]["deployment.json"] = json.dumps(changed)
    (applied,) = [m for m in world.decide().applies if m["kind"] == "Deployment"]
    assert applied["spec"]["template"]["spec"]["containers"][0]["image"] == "example.com/vllm:old"


def test_a_lost_deployment_comes_back_as_it_was() -> None:
    world = of_job().run()
    (before,) = world.of("Deployment")
    world.lose("Deployment", before["metadata"]["name"])
    world.run()
    assert world.of("Deployment")[0]["spec"] == before["spec"]
    settled(world)


def test_a_folder_that_is_no_model_is_refused_until_the_spec_changes() -> None:
    said = json.dumps({"message": "/mnt/pvc/models/out has no config.json"})
    world = of_folder()
    world.script = lambda stage, attempt: End(0, said)
    world.run()
    assert world.condition("Stalled")["reason"] == "ArtifactInvalid"
    assert "config.json" in world.condition("Ready")["message"]
    assert world.condition("ArtifactVerified")["status"] == "False"
    world.script = lambda stage, attempt: End(0, json.dumps({"artifact": ARTIFACT}))
    world.spec(model={"uri": "pvc://models/other"})
    assert world.run().condition("Ready")["status"] == "True"


def test_a_resolve_job_that_crashes_is_made_again() -> None:
    world = of_folder()
    ends = iter([End(1), End(0, json.dumps({"artifact": ARTIFACT}))])
    world.script = lambda stage, attempt: next(ends)
    world.run()
    assert world.condition("Ready")["status"] == "True"
    assert len([name for name in world.created if name.endswith("-1")]) == 3


def test_a_foreign_service_of_the_name_is_named() -> None:
    world = of_job()
    world.refuse = lambda m: WriteError("Service", "support", 409, "NameTaken", "Service support exists") \
        if m["kind"] == "Service" else None
    for _ in range(3):
        world.step()
    assert world.condition("Stalled")["reason"] == "NameTaken"


def test_a_switch_that_is_refused_leaves_the_old_revision_in_place() -> None:
    world = of_job().run()
    old = world.status["stable"]["hash"]
    world.refuse = lambda m: WriteError("Service", "support", 403, "Forbidden", 'User "x" cannot patch resource') \
        if m["kind"] == "Service" and m["spec"]["selector"]["anneal.dev/revision"] != old else None
    world.fine_tune_job = published(OTHER)
    for _ in range(5):
        world.step()
        world.play()
    assert world.condition("Ready")["reason"] == "PermissionDenied"
    assert (world.status["stable"]["hash"], service_leads_to(world)) == (old, old)
    assert len(world.of("Deployment")) == 2
    world.refuse = lambda m: None
    world.run()
    assert service_leads_to(world) == world.status["stable"]["hash"] != old
    settled(world)


def test_deleting_the_resource_makes_nothing() -> None:
    world = World(make_modeldeployment(deleting=True), fine_tune_job=published())
    plan = world.step()
    assert (plan.creates, plan.applies, plan.status) == ((), (), None)


def test_an_unknown_field_is_named_and_what_serves_goes_on() -> None:
    world = of_job().run()
    made = list(world.created)
    world.spec(strategy="canary")
    world.step()
    assert world.condition("Stalled")["reason"] == "UnsupportedSpec"
    assert "spec.strategy" in world.condition("Stalled")["message"]
    assert (world.created, world.deleted) == (made, [])


def test_an_engine_that_the_chart_gave_no_image_for_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator that is newer than the chart that installed it."""
    monkeypatch.setattr("tests.unit.operator.decide.world.SETTINGS", replace(SETTINGS, transformers_image=""))
    world = of_job()
    world.spec(engine={"type": "transformers"})
    plan = world.step()
    assert world.condition("Stalled")["reason"] == "UnsupportedSpec"
    assert "no image for transformers" in world.condition("Stalled")["message"]
    assert (plan.creates, plan.applies) == ((), ())
