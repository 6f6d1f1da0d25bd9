"""The status that generic tools compute for a custom resource: kstatus, as Flux, Helm and `kubectl wait` users rely on.

The rules are those of the generic properties in https://github.com/kubernetes-sigs/cli-utils (pkg/kstatus).
"""

from typing import Any, Literal

Status = Literal["Terminating", "InProgress", "Failed", "Current"]


def kstatus(resource: dict[str, Any]) -> Status:
    """How a tool that knows nothing of us sees the resource."""
    meta, status = resource["metadata"], resource.get("status") or {}
    if meta.get("deletionTimestamp"):
        return "Terminating"
    if status.get("observedGeneration", meta["generation"]) != meta["generation"]:
        return "InProgress"
    found = {c["type"]: c["status"] for c in status.get("conditions") or []}
    if found.get("Reconciling") == "True":
        return "InProgress"
    if found.get("Stalled") == "True":
        return "Failed"
    # A resource that nobody has looked at counts as Current, unless it is born with a status that says otherwise.
    return "Current" if found.get("Ready", "True") == "True" else "InProgress"
