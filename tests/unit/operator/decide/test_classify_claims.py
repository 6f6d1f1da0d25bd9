"""Evidence in, reason out: pods whose claims are not bound."""

from typing import Any

from anneal_api.conditions import Reason
from anneal_operator.decide import classify
from tests.factories import START, make_event, unscheduled

WHERE = "stage train"


def claim(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "ws"}, "spec": spec, "status": {"phase": "Pending"}}


def mounting(pod: dict[str, Any], name: str) -> dict[str, Any]:
    pod["spec"]["volumes"] = [{"name": "v", "persistentVolumeClaim": {"claimName": name}}]
    return pod


UNBOUND = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."


def test_a_claim_that_is_not_bound_is_named_with_its_reason() -> None:
    pod = mounting(unscheduled(UNBOUND), "ws")
    event = make_event("ws", 'storageclass.storage.k8s.io "fast" not found', "ProvisioningFailed")
    named = classify.stuck(pod, [event], WHERE, START, [claim(storageClassName="fast")])
    assert named
    assert (named.reason, named.message.partition("Fix: ")[0]) == (
        Reason.VOLUME_NOT_READY, 'claim ws: storageclass.storage.k8s.io "fast" not found. ')
    assert "Create the StorageClass fast" in named.message
    assert classify.stuck(pod, [], WHERE, START, [claim()]) is None, "it may be bound in a moment"
    bare = classify.stuck(pod, [], WHERE, START + classify.VOLUME_PATIENCE, [claim()])
    assert bare
    assert "claim ws: no storage class is set" in bare.message
    assert "the default" in bare.message


def test_claims_that_wait_as_they_should_are_not_blamed() -> None:
    event = make_event("ws", "waiting for first consumer to be created before binding", "WaitForFirstConsumer")
    late = START + classify.VOLUME_PATIENCE
    verdict = classify.stuck(mounting(unscheduled(UNBOUND), "ws"), [event], WHERE, late, [claim(storageClassName="x")])
    assert verdict
    assert verdict.message.startswith(f"{WHERE}, pod pod-0: {UNBOUND}"[:40])
    crowded = unscheduled("0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available")
    other = classify.stuck(mounting(crowded, "ws"), [], WHERE, START, [claim()])
    assert other
    assert other.reason is Reason.UNSCHEDULABLE
