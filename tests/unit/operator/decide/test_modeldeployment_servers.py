"""What keeps the servers of a ModelDeployment from answering, read off their pods and the Deployment."""

from typing import Any

import pytest

from anneal_api.conditions import Reason
from anneal_api.serve import Verified
from tests.factories import Object, exited, make_condition, waiting
from tests.unit.operator.decide.deployments import UNSCHEDULED, of_job, service_leads_to
from tests.unit.operator.decide.world import World


def pod_of(world: World, *, state: Object | None = None, last: Object | None = None,
           restarts: int = 0, conditions: tuple[Object, ...] = (), phase: str = "Running") -> Object:
    """A server pod of the newest revision, beside a Deployment that is not Ready."""
    deployment = world.of("Deployment")[-1]
    pod = world.add_pod(deployment)
    pod["metadata"]["labels"]["owner"] = deployment["metadata"]["name"]
    pod["status"] = {"phase": phase, "conditions": list(conditions), "containerStatuses": [{
        "name": "server", "image": "example.com/vllm:1", "restartCount": restarts,
        "state": state or {"running": {"startedAt": "2026-03-02T10:00:00Z"}}, "lastState": last or {}}]}
    return pod


DIFFERS = '{"message": "model.safetensors has sha256 x"}'
TROUBLE: dict[str, tuple[dict[str, Any], Reason, bool, str]] = {
    "checksums differ": (
        {"state": exited(12, DIFFERS)},
        Reason.ARTIFACT_INVALID, True, "sha256 x"),
    "checksums differed and the server waits": (
        {"state": waiting("CrashLoopBackOff"), "last": exited(12, DIFFERS)},
        Reason.ARTIFACT_INVALID, True, "sha256 x"),
    "the server is too large": (
        {"state": waiting("CrashLoopBackOff"), "last": exited(137, reason="OOMKilled"), "restarts": 1},
        Reason.OUT_OF_MEMORY, True, "4Gi"),
    "the server ends again and again": (
        {"state": waiting("CrashLoopBackOff"), "last": exited(1, "last words"), "restarts": 3},
        Reason.SERVER_CRASHED, True, "last words"),
    "no node has room": (
        {"phase": "Pending", "conditions": UNSCHEDULED}, Reason.UNSCHEDULABLE, False, "nvidia.com/gpu"),
    "the image cannot be pulled": (
        {"phase": "Pending", "state": waiting("ImagePullBackOff")}, Reason.IMAGE_PULL_FAILED, False, "vllm:1"),
    "one crash is no trouble yet": (
        {"state": waiting("CrashLoopBackOff"), "last": exited(1), "restarts": 1}, Reason.STARTING, False, "0/1"),
    "it takes too long": (
        {"conditions": (make_condition("PodScheduled", seconds=-1300),)}, Reason.SERVER_NOT_READY, True, "20 minutes"),
}


@pytest.mark.parametrize(("pod", "reason", "stalled", "word"), TROUBLE.values(), ids=TROUBLE)
def test_what_keeps_a_server_from_answering(pod: dict[str, Any], reason: Reason, stalled: bool, word: str) -> None:
    world = of_job()
    world.step()
    pod_of(world, **pod)
    world.step()
    ready = world.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", reason)
    assert word in ready["message"]
    assert bool(world.condition("Stalled")) is stalled
    assert world.last.requeue_after == 10
    if reason is not Reason.STARTING:
        assert [event.reason for event in world.events][-1] == reason


def test_what_was_broken_recovers_by_itself() -> None:
    world = of_job()
    world.step()
    pod = pod_of(world, state=waiting("CrashLoopBackOff"), last=exited(1), restarts=3)
    world.step()
    assert world.condition("Stalled")["reason"] == "ServerCrashed"
    del world.objects["Pod", pod["metadata"]["name"]]
    assert world.run().condition("Ready")["status"] == "True"
    assert world.condition("Stalled") == {}


def test_no_room_beside_the_revision_that_serves_has_its_own_reason() -> None:
    world = of_job().run()
    old = world.status["stable"]["hash"]
    world.spec(engine={"maxModelLen": 512})
    world.step()
    new = world.status["next"]["hash"]
    (deployment,) = [d for d in world.of("Deployment") if d["metadata"]["labels"]["anneal.dev/revision"] == new]
    pod = world.add_pod(deployment)
    pod["status"] = {"phase": "Pending", "conditions": list(UNSCHEDULED)}
    world.step()
    ready = world.condition("Ready")
    assert ready["reason"] == "InsufficientSurgeCapacity"
    assert old in ready["message"]
    assert world.condition("Available")["status"] == "True"
    assert service_leads_to(world) == old


def test_a_quota_that_forbids_pods_is_read_from_the_deployment() -> None:
    world = of_job()
    world.step()
    text = 'pods "x" is forbidden: exceeded quota: gpus'
    failure = make_condition("ReplicaFailure", "True", "FailedCreate", text)
    world.of("Deployment")[0]["status"] = {"conditions": [failure]}
    world.step()
    assert world.condition("Ready")["reason"] == "QuotaExceeded"


def test_the_log_of_a_server_that_ends_again_and_again_is_asked_for() -> None:
    world = of_job()
    world.step()
    pod = pod_of(world, state=waiting("CrashLoopBackOff"), last=exited(1), restarts=3)
    (request,) = world.needs().logs
    assert (request.pod, request.container, request.previous) == (pod["metadata"]["name"], "server", True)
    world.logs[request.pod, request.container] = "ValueError: max seq len"
    world.step()
    assert "ValueError: max seq len" in world.condition("Ready")["message"]


@pytest.mark.parametrize("last", [None, exited(12, DIFFERS)])
def test_a_server_that_starts_is_asked_whether_its_files_are_as_pinned(last: Object | None) -> None:
    world = of_job()
    world.step()
    pod = pod_of(world, last=last, restarts=int(last is not None))
    (request,) = world.needs().logs
    assert (request.pod, request.container, request.previous) == (pod["metadata"]["name"], "server", False)
    assert request.tail_lines is None, "it says so before all that the engine says"
    world.logs[request.pod, request.container] = Verified(seconds=1, time="2026-03-02T10:00:09Z").line() + "\nINFO x"
    world.step()
    verified = world.condition("ArtifactVerified")
    assert (verified["status"], verified["message"]) == ("True", "every file has the right checksum")
    assert world.condition("Ready")["reason"] == "Starting", "what was wrong before the restart is right now"
    assert world.status["timeline"][-1] == {"event": "weightsVerified", "time": "2026-03-02T10:00:09Z"}


def test_what_was_verified_does_not_flap_with_each_restart() -> None:
    world = of_job()
    world.step()
    pod = pod_of(world)
    world.logs[pod["metadata"]["name"], "server"] = Verified(seconds=1, time="2026-03-02T10:00:09Z").line()
    world.step()
    verified = world.condition("ArtifactVerified")
    assert verified["status"] == "True"
    world.logs.clear()
    (server,) = pod["status"]["containerStatuses"]
    server |= {"restartCount": 1, "state": waiting("CrashLoopBackOff"), "lastState": exited(1)}
    world.step()
    assert world.condition("ArtifactVerified") == verified, "it waits for its next start"
    server["state"] = {"running": {"startedAt": "2026-03-02T10:00:30Z"}}
    world.step()
    assert world.condition("ArtifactVerified") == verified, "it compares again"
    server |= {"restartCount": 2, "state": waiting("CrashLoopBackOff"), "lastState": exited(12, DIFFERS)}
    world.step()
    assert world.condition("ArtifactVerified")["status"] == "False"


def test_a_server_that_answers_is_asked_nothing() -> None:
    world = of_job().run()
    pod = pod_of(world, conditions=(make_condition("Ready"),))
    assert [request.pod for request in world.needs().logs] == [pod["metadata"]["name"]], "its start is to be told"
    world.step()
    assert "firstToken" in [entry["event"] for entry in world.status["timeline"]]
    assert world.needs().logs == ()


def test_events_of_pods_that_wait_are_asked_for() -> None:
    world = of_job()
    world.step()
    pod = pod_of(world, phase="Pending", state=waiting("ContainerCreating"))
    assert world.needs().events_of == (pod["metadata"]["name"],)
