"""The children that a whole run shares: its frozen spec and its workspace."""

import hashlib
import json
from typing import Any

from anneal_api.finetunejob import RUN_FIELDS, FineTuneJobSpec
from anneal_api.run import RunSpec, run_fields
from anneal_operator.desired.owner import Owner

RUN_KEY = "run.json"

Manifest = dict[str, Any]


def run_id(spec: FineTuneJobSpec, generation: int) -> str:
    """Hash of what shapes the result. The generation makes a corrected run new even if only its resources changed.

    Defaults are left out, so that a field that a later version adds does not turn finished runs into new ones.
    """
    fields = run_fields(spec.model_dump(mode="json", by_alias=True, exclude_defaults=True), RUN_FIELDS)
    text = json.dumps([generation, fields], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def config_map_name(owner: Owner, run: str) -> str:
    """Name of the ConfigMap that holds the frozen run."""
    return owner.child("run", run)


def workspace_name(owner: Owner, run: str) -> str:
    """Name of the claim that the stages share. A new run gets a new one: it must not resume from another's files."""
    return owner.child("ws", run)


def config_map(owner: Owner, spec: FineTuneJobSpec, run: str) -> Manifest:
    """The frozen run; every stage reads it."""
    frozen = RunSpec(
        name=owner.name, namespace=owner.namespace, uid=owner.uid, model=spec.model, template=spec.template,
        dataset=spec.dataset, method=spec.method, training=spec.training, evaluation=spec.evaluation,
        output=spec.output, run_id=spec.run_id)
    return {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": owner.metadata(config_map_name(owner, run), run=run),
        "immutable": True, "data": {RUN_KEY: json.dumps(frozen.to_wire(), sort_keys=True)},
    }


def workspace(owner: Owner, spec: FineTuneJobSpec, run: str) -> Manifest:
    """The volume that the stages share."""
    wanted = spec.workspace
    claim: Manifest = {
        "accessModes": [wanted.access_mode], "resources": {"requests": {"storage": wanted.size}},
    }
    if wanted.storage_class_name:
        claim["storageClassName"] = wanted.storage_class_name
    return {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": owner.metadata(workspace_name(owner, run), run=run), "spec": claim,
    }
