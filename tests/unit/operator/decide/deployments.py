"""ModelDeployments of a World, and what is asked about them."""

from typing import Any

from tests.factories import ARTIFACT, Object, make_condition, make_finetunejob, make_modeldeployment
from tests.unit.operator.decide.world import World

OTHER = {**ARTIFACT, "digest": "sha256:" + "cd" * 32, "uri": "pvc://models/out/runs/fedcba9876543210"}
"""Another artifact."""
UNSCHEDULED = (make_condition("PodScheduled", "False", "Unschedulable", "0/1 nodes: Insufficient nvidia.com/gpu"),)
"""Of a pod that no node has room for."""


def published(artifact: Object | None = ARTIFACT, state: str = "Succeeded") -> Object:
    """The FineTuneJob that is referred to."""
    status = {"run": {"id": "x", "generation": 1, "state": state}, **({"artifact": artifact} if artifact else {}),
              "conditions": [{"type": "Ready", "status": "False", "reason": "Running", "message": "",
                              "lastTransitionTime": "2026-03-02T10:00:00Z"}]}
    return make_finetunejob(status=status)


def of_job(**spec: Any) -> World:
    return World(make_modeldeployment(**spec), fine_tune_job=published())


def of_folder(**spec: Any) -> World:
    return World(make_modeldeployment(model={"uri": "pvc://models/out"}, **spec))


def settled(world: World) -> None:
    plan = world.decide()
    assert (plan.deletes, plan.creates, plan.events, plan.requeue_after) == ((), (), (), None)
    assert plan.status == world.status
    for manifest in plan.applies:
        there = world.objects[manifest["kind"], manifest["metadata"]["name"]]
        assert there["spec"] == manifest["spec"]


def service_leads_to(world: World) -> str:
    (service,) = world.of("Service")
    revision: str = service["spec"]["selector"]["anneal.dev/revision"]
    return revision
