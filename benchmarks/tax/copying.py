"""What a person without an operator would apply: copies of the operator's own children, freed of the operator. Pure."""

import copy
import json
from typing import Any

Manifest = dict[str, Any]

BY_THE_SERVER = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "ownerReferences",
                 "annotations", "finalizers", "selfLink")
JOB_LABELS = ("controller-uid", "batch.kubernetes.io/controller-uid", "job-name", "batch.kubernetes.io/job-name")
LABEL = "bench.anneal.dev/side"


def by_hand(manifest: Manifest, old: str, new: str) -> Manifest:
    """The same object under another name: every name that starts with `old` starts with `new`."""
    made: Manifest = json.loads(json.dumps(manifest).replace(old, new))
    made.pop("status", None)
    metadata = made["metadata"]
    for key in BY_THE_SERVER:
        metadata.pop(key, None)
    metadata["labels"] = {LABEL: new}
    if made["kind"] == "Job":
        made["spec"].pop("selector", None)
        _relabel(made["spec"]["template"], new)
    if made["kind"] == "PersistentVolumeClaim":
        made["spec"].pop("volumeName", None)
    return made


def _relabel(template: Manifest, side: str) -> None:
    template["metadata"] = {"labels": {LABEL: side}}


def raw_server(deployment: Manifest, argv: list[str], variables: dict[str, str], name: str) -> Manifest:
    """The engine alone: its own command, ready when /health says so; no check of files, no prompt before."""
    spec = copy.deepcopy(deployment["spec"])
    pod = spec["template"]["spec"]
    pod.pop("initContainers", None)
    pod["volumes"] = [volume for volume in pod["volumes"] if "configMap" not in volume]
    kept = {volume["name"] for volume in pod["volumes"]}
    server = pod["containers"][0]
    for key in ("startupProbe", "livenessProbe", "lifecycle"):
        server.pop(key, None)
    server["readinessProbe"] = {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 1,
                                "failureThreshold": 3600}
    server["command"] = argv
    server["env"] = [*server.get("env", []), *({"name": key, "value": value} for key, value in variables.items())]
    server["volumeMounts"] = [mount for mount in server["volumeMounts"] if mount["name"] in kept]
    _relabel(spec["template"], name)
    spec["selector"] = {"matchLabels": {LABEL: name}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": {LABEL: name}},
            "spec": spec}
