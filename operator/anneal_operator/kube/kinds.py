"""The kinds of object that the operator touches, and their addresses in the API."""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from anneal_api import API_VERSION, finetunejob, modeldeployment
from anneal_operator.decide.facts import Object


@dataclass(frozen=True)
class Kind:
    """A kind of object: what manifests call it, and what URLs call it."""

    api_version: str
    name: str
    plural: str

    @property
    def group(self) -> str:
        """The API group; empty for the core."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """The version within the group."""
        return self.api_version.rpartition("/")[2]

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """The URL path of an object, or of the collection when name is empty; None means all namespaces."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        scope = ["namespaces", namespace] if namespace is not None else []
        return "/".join([root, *(quote(part, safe="") for part in [*scope, self.plural, name, subresource] if part)])

    def __str__(self) -> str:
        return self.name


FINETUNEJOB: Final = Kind(API_VERSION, finetunejob.KIND, "finetunejobs")
MODELDEPLOYMENT: Final = Kind(API_VERSION, modeldeployment.KIND, "modeldeployments")
JOB: Final = Kind("batch/v1", "Job", "jobs")
POD: Final = Kind("v1", "Pod", "pods")
CLAIM: Final = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
CONFIG_MAP: Final = Kind("v1", "ConfigMap", "configmaps")
DEPLOYMENT: Final = Kind("apps/v1", "Deployment", "deployments")
SERVICE: Final = Kind("v1", "Service", "services")
EVENT: Final = Kind("v1", "Event", "events")

RESOURCES: Final = (FINETUNEJOB, MODELDEPLOYMENT)
"""Our own kinds."""
CHILDREN: Final = (JOB, POD, CLAIM, CONFIG_MAP, DEPLOYMENT, SERVICE)
"""The kinds of their children."""
WATCHED: Final = (*RESOURCES, *CHILDREN)
"""All that the store holds."""
BY_NAME: Final = {kind.name: kind for kind in (*WATCHED, EVENT)}


def meta(obj: Object) -> dict[str, Any]:
    """The metadata of an object."""
    result: dict[str, Any] = obj.get("metadata") or {}
    return result


def label(obj: Object, name: str) -> str:
    """A label of an object, or an empty string."""
    return str((meta(obj).get("labels") or {}).get(name, ""))


def resource_version(obj: Object) -> int:
    """The version of an object as a number: versions of one kind are ordered, since Kubernetes 1.35 officially."""
    text = str(meta(obj).get("resourceVersion", ""))
    return int(text) if text.isdigit() else 0
