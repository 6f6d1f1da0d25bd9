"""The real operator process around a brain that is easy to follow: one ConfigMap for each resource, then rest.

So the runtime is tested for what it promises to any brain. What the real brain does is tested in tests/faults.
"""

import asyncio
import os
from datetime import datetime
from typing import Any

from anneal_operator.controllers import logs, process
from anneal_operator.controllers.reconcile import Brain
from anneal_operator.decide.facts import Children, Facts, Needs, Object
from anneal_operator.decide.plan import Event, Plan
from anneal_operator.desired import names
from anneal_operator.settings import from_environment


def needs(resource: Object, children: Children, now: datetime) -> Needs:
    """Nothing is read live."""
    return Needs()


def plan(facts: Facts, now: datetime) -> Plan:
    """Pending; then a ConfigMap; then Settled."""
    about, status = facts.resource["metadata"], facts.resource.get("status") or {}
    if about.get("deletionTimestamp"):
        return Plan()
    if facts.children.config_maps:
        wanted = {"observedGeneration": about["generation"], "phase": "Settled"}
        events = (Event("Normal", "Settled", "nothing left to do"),) if status != wanted else ()
        return Plan(status=wanted, events=events)
    if not status:
        return Plan(status={"observedGeneration": about["generation"], "phase": "Pending"}, requeue_after=0.0)
    return Plan(creates=(_config_map(facts.resource),), requeue_after=0.0)


def _config_map(resource: Object) -> dict[str, Any]:
    kind, name, uid = resource["kind"], resource["metadata"]["name"], resource["metadata"]["uid"]
    return {
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": names.child(name, uid, "run"), "namespace": resource["metadata"]["namespace"],
                     "labels": names.labels(kind, name, uid),
                     "ownerReferences": [names.owner_reference(resource["apiVersion"], kind, name, uid)]},
    }


if __name__ == "__main__":
    brain = Brain(needs, plan)
    settings = from_environment(os.environ)
    logs.configure(settings.log_level)
    asyncio.run(process.main(settings, {"FineTuneJob": brain, "ModelDeployment": brain}))
