"""A revision that never becomes Ready: the one before goes on serving, and the status says what happened."""

import json
from datetime import timedelta
from typing import Any

import pytest

from anneal_api.conditions import Reason
from anneal_operator.decide.facts import WriteError
from tests.factories import ARTIFACT, Object, exited, make_condition, waiting
from tests.unit.operator.decide.deployments import (
    OTHER,
    UNSCHEDULED,
    of_folder,
    of_job,
    published,
    service_leads_to,
    settled,
)
from tests.unit.operator.decide.world import End, World

CRASHES = {"state": waiting("CrashLoopBackOff"), "last": exited(1, "bad weights"), "restarts": 3}
BROKEN: dict[str, tuple[dict[str, Any], Reason, str]] = {
    "it ends again and again": (CRASHES, Reason.SERVER_CRASHED, "bad weights"),
    "it is too large": ({"state": waiting("CrashLoopBackOff"), "last": exited(137, reason="OOMKilled"), "restarts": 1},
                        Reason.OUT_OF_MEMORY, "4Gi"),
    "its files differ": ({"state": exited(12, '{"message": "sha256 x"}')},
                         Reason.ARTIFACT_INVALID, "sha256 x"),
}
WAITING: dict[str, tuple[dict[str, Any], Reason, str]] = {
    "it only starts": ({}, Reason.SERVER_NOT_READY, "spec.rollout.progressDeadline"),
    "there is no room": ({"phase": "Pending", "conditions": UNSCHEDULED}, Reason.INSUFFICIENT_SURGE_CAPACITY, "gpu"),
    "there is no image": ({"phase": "Pending", "state": waiting("ImagePullBackOff")}, Reason.IMAGE_PULL_FAILED, "vllm"),
}


def rolling(world: World | None = None) -> World:
    """One revision serves, another is being started."""
    world = (world or of_job()).run()
    world.spec(engine={"maxModelLen": 512})
    world.step()
    assert world.status["next"]["hash"] != world.status["stable"]["hash"]
    return world


def play_next(world: World, *, state: Object | None = None, last: Object | None = None,
              restarts: int = 0, conditions: tuple[Object, ...] = (), phase: str = "Running") -> None:
    """A pod of the revision that is being started."""
    pod = world.add_pod(next(d for d in world.of("Deployment")
                             if d["metadata"]["name"] == world.status["next"]["name"]))
    pod["status"] = {"phase": phase, "conditions": list(conditions), "containerStatuses": [{
        "name": "server", "image": "example.com/vllm:1", "restartCount": restarts,
        "state": state or {"running": {"startedAt": "2026-03-02T10:00:00Z"}}, "lastState": last or {}}]}


def wait(world: World, seconds: float) -> None:
    world.now += timedelta(seconds=seconds)


def rolled_back(world: World, reason: Reason, word: str) -> None:
    """Everything that must hold after a rollback."""
    stable, failed = world.status["stable"], world.status["failed"]
    ready, why = world.condition("Ready"), world.condition("RolledBack")
    assert (ready["status"], ready["reason"]) == ("True", "RolledBack")
    assert failed["hash"] in ready["message"]
    assert stable["hash"] in ready["message"]
    assert (why["status"], why["reason"], failed["reason"]) == ("True", reason, reason)
    assert word in why["message"]
    assert world.condition("Available")["status"] == "True"
    assert (world.condition("Stalled"), world.condition("Reconciling")) == ({}, {})
    assert (world.status["phase"], world.status["replicas"]) == ("RolledBack", "1/1")
    assert "next" not in world.status
    assert service_leads_to(world) == stable["hash"]
    assert [d["metadata"]["name"] for d in world.of("Deployment")] == [stable["name"]]
    assert [c["metadata"]["name"] for c in world.of("ConfigMap")] == [stable["name"]]
    settled(world)


@pytest.mark.parametrize(("pod", "reason", "word"), BROKEN.values(), ids=BROKEN)
def test_a_revision_that_waiting_cannot_help_is_rolled_back_at_once(
    pod: dict[str, Any], reason: Reason, word: str,
) -> None:
    world = rolling()
    play_next(world, **pod)
    world.step()
    assert len(world.of("Deployment")) == 2, "it is removed when the status says why"
    world.step()
    rolled_back(world, reason, word)
    assert [(e.type, e.reason) for e in world.events][-1] == ("Warning", "RolledBack")


@pytest.mark.parametrize(("pod", "reason", "word"), WAITING.values(), ids=WAITING)
def test_a_revision_that_is_not_ready_in_time_is_rolled_back(pod: dict[str, Any], reason: Reason, word: str) -> None:
    world = rolling(of_job(rollout={"progressDeadline": "5m"}))
    play_next(world, **pod)
    wait(world, 299)
    world.step()
    assert "failed" not in world.status
    wait(world, 1)
    world.step()
    world.step()
    rolled_back(world, reason, word)
    assert "5m" in world.condition("RolledBack")["message"]


def test_the_time_counts_from_the_start_of_the_revision_whatever_else_is_edited() -> None:
    world = rolling()
    began = world.status["next"]["startTime"]
    wait(world, 600)
    world.spec(rollout={"progressDeadline": "20m"})
    world.step()
    assert (world.status["next"]["startTime"], "failed" in world.status) == (began, False)
    wait(world, 601)
    world.step()
    assert world.status["failed"]["reason"] == "ServerNotReady"


def test_what_was_rolled_back_is_not_tried_again_before_the_spec_changes() -> None:
    world = rolling()
    play_next(world, **CRASHES)
    world.step()
    made = len(world.created)
    for _ in range(5):
        wait(world, 3600)
        world.step()
    assert len(world.created) == made
    world.spec(resources={"cpu": "2", "memory": "8Gi"})
    world.step()
    assert ("failed" in world.status, world.condition("RolledBack")) == (False, {})
    assert world.run().condition("Ready")["reason"] == "Serving"
    settled(world)


def test_any_edit_tries_the_same_revision_again() -> None:
    world = rolling()
    failed = world.status["next"]["hash"]
    play_next(world, **CRASHES)
    world.step()
    world.step()
    world.spec(rollout={"progressDeadline": "30m"})
    world.run()
    assert (world.status["stable"]["hash"], world.condition("Ready")["reason"]) == (failed, "Serving")


def test_going_back_to_the_old_spec_is_serving_as_before() -> None:
    world = rolling()
    play_next(world, **CRASHES)
    world.step()
    world.spec(engine={"maxModelLen": 2048})
    world.run()
    assert world.condition("Ready")["reason"] == "Serving"
    assert "failed" not in world.status
    settled(world)


def test_a_new_artifact_of_the_job_is_tried_after_one_that_failed() -> None:
    world = of_job().run()
    world.fine_tune_job = published(OTHER)
    world.step()
    play_next(world, **CRASHES)
    world.step()
    world.step()
    rolled_back(world, Reason.SERVER_CRASHED, "bad weights")
    newest = {**ARTIFACT, "digest": "sha256:" + "ef" * 32}
    world.fine_tune_job = published(newest)
    assert world.run().status["stable"]["artifact"] == newest


def test_a_folder_that_was_rolled_back_is_read_again_only_after_an_edit() -> None:
    world = of_folder().run()
    world.script = lambda stage, attempt: End(0, json.dumps({"artifact": OTHER}))
    world.spec(model={"uri": "pvc://models/other"})
    world.run(until=lambda w: "next" in w.status)
    play_next(world, **CRASHES)
    world.step()
    world.step()
    rolled_back(world, Reason.SERVER_CRASHED, "bad weights")
    assert world.of("Job") == []
    world.spec(replicas=1, rollout={"progressDeadline": "16m"})
    world.step()
    assert len(world.of("Job")) == 1


def test_without_a_revision_that_serves_there_is_nothing_to_go_back_to() -> None:
    world = of_job(rollout={"progressDeadline": "1s"})
    world.step()
    play_next(world, **CRASHES)
    wait(world, 5)
    world.step()
    assert "failed" not in world.status
    assert world.condition("Stalled")["reason"] == "ServerCrashed"
    assert len(world.of("Deployment")) == 1


def test_trouble_of_the_revision_that_serves_is_not_hidden_by_a_rollback() -> None:
    world = rolling()
    play_next(world, **CRASHES)
    world.step()
    world.step()
    (deployment,) = world.of("Deployment")
    deployment["status"]["readyReplicas"] = 0
    world.step()
    assert (world.condition("Ready")["status"], world.condition("Available")["status"]) == ("False", "False")
    assert world.condition("RolledBack")["status"] == "True"


def test_a_revision_that_is_ready_but_may_not_get_the_traffic_is_kept() -> None:
    """It is the permission that is missing, and the revision goes on as soon as it is back."""
    world = rolling()
    old = world.status["stable"]["hash"]
    world.refuse = lambda m: WriteError("Service", "support", 403, "Forbidden", 'User "x" cannot patch resource') \
        if m["kind"] == "Service" and m["spec"]["selector"]["anneal.dev/revision"] != old else None
    world.play()
    for _ in range(5):
        wait(world, 3600)
        world.step()
    assert (world.condition("Ready")["reason"], "failed" in world.status) == ("PermissionDenied", False)
    world.refuse = lambda m: None
    assert world.run().status["stable"]["hash"] != old


def test_the_revision_before_is_remembered_with_what_made_it() -> None:
    world = rolling()
    old = world.status["stable"]
    world.run()
    previous = world.status["previous"]
    assert (previous["hash"], previous["artifact"]) == (old["hash"], old["artifact"])
    assert json.loads(previous["settings"])["engine"] == {"type": "vllm", "maxModelLen": 2048}
    # What `anneal rollback` writes leads back to it, without another look at the folder.
    world.spec(**json.loads(previous["settings"]),
               model={"uri": previous["artifact"]["uri"], "digest": previous["artifact"]["digest"]})
    world.run()
    assert world.status["stable"]["hash"] == old["hash"]
    assert not any(name.startswith("support-0f8fad5b-r") for name in world.created)
    settled(world)


@pytest.mark.parametrize(("digest", "reason"), [(ARTIFACT["digest"], "Serving"), (OTHER["digest"], "ArtifactInvalid")])
def test_a_digest_pins_what_a_folder_holds(digest: str, reason: str) -> None:
    world = of_folder()
    world.spec(model={"uri": "pvc://models/out", "digest": digest})
    world.run()
    assert world.condition("Ready")["reason"] == reason
    if reason == "ArtifactInvalid":
        assert world.condition("Stalled")["status"] == "True"
        assert ARTIFACT["digest"] in world.condition("Ready")["message"]
        assert digest in world.condition("Ready")["message"]


def test_a_pod_that_failed_to_be_scheduled_long_ago_says_nothing_after_the_rollback() -> None:
    world = rolling()
    play_next(world, conditions=(make_condition("PodScheduled", seconds=-1300),))
    world.step()
    world.step()
    rolled_back(world, Reason.SERVER_NOT_READY, "20 minutes")
