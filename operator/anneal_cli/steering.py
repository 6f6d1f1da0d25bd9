"""The small changes to a spec that commands make: what GitOps users can do as well by editing their YAML."""

import json
from typing import Any

from anneal_cli.kinds import FINE_TUNE_JOB, Target, parse_target
from anneal_cli.resource import Object, Resource
from anneal_cli.session import Session

GITOPS_LABELS = ("argocd.argoproj.io/instance", "kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name")


def find_job(session: Session, name: str) -> Resource:
    """The FineTuneJob of this name."""
    return session.find_one(Target(parse_target(name).name, (FINE_TUNE_JOB,)))


def change_spec(session: Session, resource: Resource, change: Object) -> None:
    """Merge a change into the spec, and warn when Git will undo it."""
    session.cluster.patch(resource.kind.collection, resource.name, {"spec": change})
    metadata = resource.raw["metadata"]
    if {*metadata.get("labels", {}), *metadata.get("annotations", {})} & set(GITOPS_LABELS):
        session.note(f"{resource.ref} is managed from Git: make the same change there ({json.dumps(change)}), "
                     "or it is undone.", "yellow")


def merge_patch(old: Object, new: Object) -> Object:
    """The JSON merge patch that makes `old` into `new`."""
    gone = {key: None for key in old if key not in new}
    return {**gone, **{key: _changed(old.get(key), value) for key, value in new.items() if old.get(key) != value}}


def _changed(old: Any, new: Any) -> Any:
    return merge_patch(old, new) if isinstance(old, dict) and isinstance(new, dict) else new
