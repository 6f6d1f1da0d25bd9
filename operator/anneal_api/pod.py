"""Parts of a pod that users set, the same for both kinds."""

from typing import Annotated, Literal

from pydantic import Field

from anneal_api.model import Document, Name, Quantity, rules


class Resources(Document):
    """Compute of one pod. Memory and CPU are request and limit at once, so that what was scheduled is what is there."""

    gpus: int = Field(default=0, ge=0, le=16)
    """GPUs per pod (resource nvidia.com/gpu). 0 runs on CPU."""
    cpu: Quantity = "2"
    """CPU cores, for example "8" or "500m"."""
    memory: Quantity = "8Gi"
    """Memory, for example "64Gi"."""


class Toleration(Document):
    """A core/v1 Toleration."""

    model_config = {"json_schema_extra": rules(
        ("self.operator != 'Exists' || !has(self.value)", "a toleration with operator Exists has no value"),
        ("!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
         "tolerationSeconds goes with effect NoExecute, and only with it"),
    )}

    key: str | None = Field(default=None, min_length=1, max_length=316)
    """Taint key; left out with operator Exists it matches every taint."""
    operator: Literal["Equal", "Exists"] = "Equal"
    """How value is compared."""
    value: str | None = Field(default=None, max_length=63)
    """Taint value, for operator Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Taint effect; left out it matches all."""
    toleration_seconds: int | None = Field(default=None, ge=0, le=86400)
    """For effect NoExecute: how long a pod stays when the taint appears, in seconds; left out, for ever."""


class Scheduling(Document):
    """Where pods may run."""

    priority_class_name: Name | None = None
    """PriorityClass of the pods."""
    node_selector: dict[Annotated[str, Field(max_length=316)], Annotated[str, Field(max_length=63)]] = Field(
        default={}, max_length=16)
    """Labels that a node must have. For a FineTuneJob: the train and evaluate pods."""
    tolerations: list[Toleration] = Field(default=[], max_length=16)
    """Taints that the pods tolerate. A node that is node.kubernetes.io/not-ready or unreachable is tolerated for 30
    seconds, not for the 300 of Kubernetes, unless a toleration here says otherwise."""
