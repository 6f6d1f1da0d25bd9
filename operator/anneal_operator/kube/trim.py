"""What of an object is remembered: ten thousand runs have a hundred thousand children, and no decision reads most of
what they hold. What is not remembered is no news either when it changes. The unit tests of `decide` see children as
they are after this."""

from collections.abc import Container

from anneal_operator.decide.facts import Object
from anneal_operator.desired.names import LABEL_KIND
from anneal_operator.kube.kinds import CONFIG_MAP, FINETUNEJOB, JOB, POD, RESOURCES, Kind, label, meta

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_CONTAINERS = ("initContainers", "containers")
_NEVER = frozenset({"managedFields"})
_NOT_OF_CHILDREN = _NEVER | {"resourceVersion", "finalizers"}
"""We replace no child, and the Job controller takes its mark off each pod by a write of its own."""


def trim(kind: Kind, obj: Object) -> Object:
    """The object without what nobody reads."""
    if kind == JOB:
        obj = {**_without(obj, ("spec", "status")), "status": _job_status(obj.get("status") or {})}
    elif kind == POD:
        obj = {**obj, "spec": _pod_spec(obj.get("spec") or {})}
    elif kind == CONFIG_MAP and label(obj, LABEL_KIND) == FINETUNEJOB.name:
        # Made once and never applied again: that it is there is all there is to know.
        obj = _without(obj, ("data",))
    return {**obj, "metadata": _metadata(kind, obj)}


def _without(obj: Object, keys: Container[str]) -> Object:
    return {key: value for key, value in obj.items() if key not in keys}


def _metadata(kind: Kind, obj: Object) -> Object:
    about = _without(meta(obj), _NEVER if kind in RESOURCES else _NOT_OF_CHILDREN)
    if annotations := about.get("annotations"):
        about["annotations"] = _without(annotations, (LAST_APPLIED,))
    return about


def _job_status(status: Object) -> Object:
    """How it ended. How many pods it counts on its way there changes three times, and the pods say it themselves."""
    return {key: value for key, value in status.items() if key == "conditions"}


def _pod_spec(spec: Object) -> Object:
    """Where it runs, which claims it mounts, and what its containers ask for."""
    kept: Object = {key: [{"name": one["name"], "resources": one.get("resources") or {}} for one in spec[key]]
                    for key in _CONTAINERS if spec.get(key)}
    kept["volumes"] = [volume for volume in spec.get("volumes") or () if "persistentVolumeClaim" in volume]
    if node := spec.get("nodeName"):
        kept["nodeName"] = node
    return kept
