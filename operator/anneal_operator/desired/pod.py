"""What every pod of ours has in common: it passes Pod Security *restricted*, has no token, writes where it is told."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from anneal_api.pod import Resources, Scheduling
from anneal_api.serve import CACHE_DIR
from anneal_api.termination import ExitCode
from anneal_api.uri import CLAIM_ROOT
from anneal_operator.desired.owner import Owner
from anneal_operator.settings import PodSettings

USER = 10001
GPU = "nvidia.com/gpu"
LOST_NODE = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
LOST_NODE_SECONDS = 30
"""How long a pod waits for its node to come back. A checkpoint makes going on elsewhere cheap, and no second pod starts
before the first is known to be gone, so there is nothing to gain from the 300 seconds that Kubernetes waits."""

Manifest = dict[str, Any]

ENVIRONMENT = {
    # The root file system is read-only; whatever a library wants to keep goes into emptyDirs.
    "HOME": "/tmp",
    "XDG_CACHE_HOME": CACHE_DIR,
    "HF_HOME": f"{CACHE_DIR}/huggingface",
}

@dataclass(frozen=True)
class Mount:
    """A volume and where it appears in a container."""

    volume: Manifest
    path: str
    read_only: bool = True

    @property
    def name(self) -> str:
        """Name of the volume in the pod."""
        return str(self.volume["name"])

    def writable(self) -> "Mount":
        """The same place, writable."""
        return replace(self, read_only=False)

def empty(name: str, path: str, **more: str) -> Mount:
    """Scratch space that goes with the pod."""
    return Mount({"name": name, "emptyDir": more}, path, read_only=False)

SCRATCH = (empty("tmp", "/tmp"), empty("cache", CACHE_DIR), empty("shm", "/dev/shm", medium="Memory"))

def claim(name: str) -> Mount:
    """A claim of the user's, where URIs expect it."""
    # The prefix keeps the name of a volume apart from ours, whatever the user calls the claim.
    volume = f"pvc-{name if len(name) < 60 else hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return Mount({"name": volume, "persistentVolumeClaim": {"claimName": name}}, f"{CLAIM_ROOT}/{name}")

def config_map(volume: str, name: str, path: str, *keys: str) -> Mount:
    """Keys of a ConfigMap as files."""
    items = [{"key": key, "path": key} for key in keys]
    return Mount({"name": volume, "configMap": {"name": name, "items": items}}, path)

def requests(resources: Resources) -> Manifest:
    """Request and limit at once, so that what was scheduled is what is there."""
    amounts = {"cpu": resources.cpu, "memory": resources.memory}
    gpus = {GPU: str(resources.gpus)} if resources.gpus else {}
    return {"requests": {**amounts, **gpus}, "limits": {**amounts, **gpus}}

def container(
    name: str, image: str, command: list[str], resources: Resources, mounts: Iterable[Mount], settings: PodSettings,
) -> Manifest:
    """A container that may do nothing but compute."""
    return {
        "name": name, "image": image, "imagePullPolicy": settings.image_pull_policy, "command": command,
        "env": [{"name": key, "value": value} for key, value in ENVIRONMENT.items()],
        "resources": requests(resources),
        "volumeMounts": [_volume_mount(mount) for mount in (*mounts, *SCRATCH)],
        # Our programs say what went wrong in this file; the log's end would say it less well.
        "terminationMessagePolicy": "File",
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]}},
    }

def _volume_mount(mount: Mount) -> Manifest:
    return {"name": mount.name, "mountPath": mount.path, **({"readOnly": True} if mount.read_only else {})}

def spec(
    containers: list[Manifest], mounts: Iterable[Mount], settings: PodSettings, scheduling: Scheduling, *,
    init: Iterable[Manifest] = (), grace_seconds: int = 30, select_node: bool = True,
) -> Manifest:
    """The spec of a pod. `mounts` are those of all its containers."""
    volumes = {mount.name: mount.volume for mount in (*mounts, *SCRATCH)}
    pod: Manifest = {
        "automountServiceAccountToken": False, "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
            # Changing the group of every file of a large volume takes minutes; its root tells whether it was done.
            "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": grace_seconds,
        "containers": containers, "volumes": [volumes[name] for name in sorted(volumes)],
        **_scheduling(scheduling, select_node=select_node),
    }
    if found := list(init):
        pod["initContainers"] = found
    if settings.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in settings.image_pull_secrets]
    if settings.service_account:
        pod["serviceAccountName"] = settings.service_account
    return pod

def _scheduling(scheduling: Scheduling, *, select_node: bool) -> Manifest:
    result: Manifest = {}
    if scheduling.priority_class_name:
        result["priorityClassName"] = scheduling.priority_class_name
    if scheduling.node_selector and select_node:
        result["nodeSelector"] = dict(scheduling.node_selector)
    result["tolerations"] = [*(one.to_wire() for one in scheduling.tolerations), *_of_lost_nodes(scheduling)]
    return result


def _of_lost_nodes(scheduling: Scheduling) -> list[Manifest]:
    """The shortest of several tolerations counts, so ours must not stand beside the user's own."""
    asked = {one.key for one in scheduling.tolerations if one.effect in (None, "NoExecute")}
    return [{"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": LOST_NODE_SECONDS}
            for key in LOST_NODE if not asked & {key, None}]

def template(owner: Owner, pod_spec: Manifest, **labels: str) -> Manifest:
    """A pod template whose pods are found by our labels."""
    return {"metadata": {"labels": owner.labels(**labels)}, "spec": pod_spec}

def one_shot(owner: Owner, name: str, pod_template: Manifest, *, main: str, labels: dict[str, str]) -> Manifest:
    """A Job that is one attempt: the operator decides about another, so the Job itself never retries.

    A pod that was evicted, or saved a checkpoint because it was told to stop, is none: the same Job makes another.
    """
    ignored = [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "Ignore",
         "onExitCodes": {"containerName": main, "operator": "In", "values": [int(ExitCode.PREEMPTED)]}},
    ]
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": owner.metadata(name, **labels),
        "spec": {
            "completions": 1, "parallelism": 1, "backoffLimit": 0,
            # Two pods must never write to one workspace, so the next starts when the last is gone.
            "podReplacementPolicy": "Failed", "podFailurePolicy": {"rules": ignored}, "template": pod_template,
        },
    }

