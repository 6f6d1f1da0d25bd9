"""What of an object is remembered: ten thousand runs have a hundred thousand children, and no decision reads most of
what they hold. The unit tests of `decide` see children as they are after this."""

from anneal_operator.decide.facts import Object
from anneal_operator.desired.names import LABEL_KIND
from anneal_operator.kube.kinds import CONFIG_MAP, FINETUNEJOB, JOB, POD, Kind, label, meta

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_CONTAINERS = ("initContainers", "containers")


def trim(kind: Kind, obj: Object) -> Object:
    """The object without what nobody reads."""
    if kind == JOB:
        obj = {key: value for key, value in obj.items() if key != "spec"}
    elif kind == POD:
        obj = {**obj, "spec": _pod_spec(obj.get("spec") or {})}
    elif kind == CONFIG_MAP and label(obj, LABEL_KIND) == FINETUNEJOB.name:
        # Made once and never applied again: that it is there is all there is to know.
        obj = {key: value for key, value in obj.items() if key != "data"}
    return {**obj, "metadata": _metadata(obj)}


def _metadata(obj: Object) -> Object:
    about = {key: value for key, value in meta(obj).items() if key != "managedFields"}
    if annotations := about.get("annotations"):
        about["annotations"] = {key: value for key, value in annotations.items() if key != LAST_APPLIED}
    return about


def _pod_spec(spec: Object) -> Object:
    """Where it runs, which claims it mounts, and what its containers ask for."""
    kept: Object = {key: [{"name": one["name"], "resources": one.get("resources") or {}} for one in spec[key]]
                    for key in _CONTAINERS if spec.get(key)}
    kept["volumes"] = [volume for volume in spec.get("volumes") or () if "persistentVolumeClaim" in volume]
    if node := spec.get("nodeName"):
        kept["nodeName"] = node
    return kept
