"""Reading raw objects of the API server: the few questions that decisions ask of Jobs, Pods and claims."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from anneal_api.termination import ExitCode
from anneal_operator.decide.facts import Object

JOB_NAME = "batch.kubernetes.io/job-name"


def parse_time(text: str | None) -> datetime | None:
    """A time as the API server writes it."""
    return datetime.fromisoformat(text) if text else None


def name(obj: Object) -> str:
    """metadata.name."""
    return str(obj["metadata"]["name"])


def uid(obj: Object) -> str:
    """metadata.uid."""
    return str(obj["metadata"]["uid"])


def created(obj: Object) -> str:
    """metadata.creationTimestamp; text of one length, so that it sorts as the times do."""
    return str(obj["metadata"].get("creationTimestamp", ""))


def label(obj: Object, key: str) -> str:
    """A label, or an empty string."""
    return str((obj["metadata"].get("labels") or {}).get(key, ""))


def named(objects: Iterable[Object], wanted: str) -> Object | None:
    """The object of this name."""
    return next((obj for obj in objects if name(obj) == wanted), None)


def deleting(obj: Object) -> bool:
    """Is it being deleted?"""
    return bool(obj["metadata"].get("deletionTimestamp"))


def status(obj: Object) -> Object:
    """The status, or an empty one."""
    found: Object = obj.get("status") or {}
    return found


def condition(obj: Object, kind: str) -> Object:
    """A condition, or an empty one."""
    return next((c for c in status(obj).get("conditions") or [] if c["type"] == kind), {})


def is_true(obj: Object, kind: str) -> bool:
    """Is the condition True?"""
    return condition(obj, kind).get("status") == "True"


def job_end(job: Object) -> Literal["Complete", "Failed"] | None:
    """How a Job ended; None while it has not."""
    if is_true(job, "Complete"):
        return "Complete"
    return "Failed" if is_true(job, "Failed") else None


def job_end_time(job: Object) -> datetime | None:
    """When a Job ended."""
    end = job_end(job)
    return parse_time(condition(job, end).get("lastTransitionTime")) if end else None


def pods_of(pods: Iterable[Object], job: str) -> list[Object]:
    """Pods of a Job, oldest first."""
    found = [pod for pod in pods if label(pod, JOB_NAME) == job]
    return sorted(found, key=lambda pod: (created(pod), name(pod)))


def phase(pod: Object) -> str:
    """Phase of a pod."""
    return str(status(pod).get("phase", "Pending"))


def ended(pod: Object) -> bool:
    """Will none of its containers run again?"""
    return phase(pod) in ("Succeeded", "Failed")


def container_statuses(pod: Object) -> list[Object]:
    """Statuses of all containers, init containers and sidecars first."""
    found = status(pod)
    return [*(found.get("initContainerStatuses") or []), *(found.get("containerStatuses") or [])]


def container_status(pod: Object, container: str) -> Object:
    """The status of one container, or an empty one."""
    return next((c for c in container_statuses(pod) if c["name"] == container), {})


def terminated(pod: Object, container: str) -> Object:
    """How a container ended, or empty."""
    found: Object = (container_status(pod, container).get("state") or {}).get("terminated") or {}
    return found


def disrupted(pod: Object, main: str) -> bool:
    """Was the pod evicted or preempted, or did it save a checkpoint because it was told to stop?"""
    return is_true(pod, "DisruptionTarget") or terminated(pod, main).get("exitCode") == ExitCode.PREEMPTED


def limit_of(pod: Object, container: str, resource: str) -> str:
    """A limit of a container as the spec has it."""
    spec = pod["spec"]
    every = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    found: Object = next((c for c in every if c["name"] == container), {})
    return str(((found.get("resources") or {}).get("limits") or {}).get(resource, ""))


def requested(pod: Object, resource: str) -> str:
    """What a pod asks of a resource, container by container; empty when it asks for none."""
    spec = pod["spec"]
    every = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    amounts = [((one.get("resources") or {}).get("requests") or {}).get(resource) for one in every]
    return " + ".join(str(amount) for amount in amounts if amount)


def claims_of(pod: Object) -> tuple[str, ...]:
    """Names of the claims that a pod mounts."""
    volumes = pod["spec"].get("volumes") or []
    return tuple(v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v)


def unplaced_claims(pod: Object) -> tuple[str, ...]:
    """Those claims, when the scheduler finds no node for the pod: they may be why."""
    return claims_of(pod) if condition(pod, "PodScheduled").get("status") == "False" and not ended(pod) else ()


def disruption(pod: Object) -> str:
    """Who ended a pod and why, as its condition has it."""
    return str(condition(pod, "DisruptionTarget").get("message", ""))
