"""What keeps a server from answering, with the words that exist only in Events and claims."""

from datetime import timedelta
from typing import Any

import pytest

from tests.factories import exited, make_condition, make_event, waiting
from tests.unit.operator.decide.scenarios import deployment
from tests.unit.operator.decide.world import World

PROBE = "Startup probe failed: HTTP probe failed with statuscode: 503"
UNBOUND = make_condition("PodScheduled", "False", "Unschedulable", "pod has unbound immediate PersistentVolumeClaims")


def with_pod(**status: Any) -> tuple[World, str]:
    """A deployment whose one server pod is like this, and the pod's name."""
    world = deployment()
    world.step()
    pod = world.add_pod(world.of("Deployment")[-1])
    pod["status"] = {"phase": "Running", "conditions": [make_condition("PodScheduled")], "containerStatuses": [
        {"name": "server", "image": "i", "restartCount": 0, "state": {"running": {}}}], **status}
    return world, pod["metadata"]["name"]


def message(world: World) -> str:
    return str(world.condition("Ready")["message"])


def test_events_of_a_server_are_read_only_once_it_is_late() -> None:
    world, pod = with_pod()
    assert world.needs().events_of == ()
    world.now += timedelta(minutes=20)
    assert world.needs().events_of == (pod,)


def test_a_server_that_is_late_is_told_with_what_its_probe_said() -> None:
    world, pod = with_pod()
    world.now += timedelta(minutes=20)
    world.warnings = [make_event(pod, PROBE, "Unhealthy")]
    world.step()
    assert world.condition("Ready")["reason"] == "ServerNotReady"
    assert PROBE in message(world)


def test_a_server_that_its_probe_kills_is_told_so() -> None:
    state = {"name": "server", "image": "i", "restartCount": 3, "state": waiting("CrashLoopBackOff"),
             "lastState": exited(137, "last words")}
    world, pod = with_pod(containerStatuses=[state])
    assert pod in world.needs().events_of
    world.warnings = [make_event(pod, PROBE, "Unhealthy")]
    world.step()
    assert world.condition("Ready")["reason"] == "ServerCrashed"
    assert f"3 times or more; {PROBE}; last log lines:\nlast words" in message(world)


@pytest.mark.parametrize(("reason", "text", "fix"), [
    ("ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found', "Create the StorageClass fast"),
    ("FailedBinding", "volume is bound to another claim", "Check the claim's storage class")])
def test_a_claim_that_keeps_a_server_waiting_is_named(reason: str, text: str, fix: str) -> None:
    world, _ = with_pod(phase="Pending", conditions=[UNBOUND], containerStatuses=[])
    (claim,) = world.needs().claims
    assert claim in world.needs().events_of
    pending = {"metadata": {"name": claim}, "spec": {"storageClassName": "fast"}, "status": {"phase": "Pending"}}
    world.claim_objects = {claim: pending}
    world.warnings = [make_event(claim, text, reason)]
    world.step()
    assert world.condition("Ready")["reason"] == "VolumeNotReady"
    assert message(world).startswith(f"claim {claim}: {text}")
    assert fix in message(world)
