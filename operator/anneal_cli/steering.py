"""The small changes to a spec that commands make: what GitOps users can do as well by editing their YAML."""

from anneal_cli.kinds import FINE_TUNE_JOB, Target, parse_target
from anneal_cli.resource import Object, Resource
from anneal_cli.session import Session

GITOPS_LABELS = ("argocd.argoproj.io/instance", "kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name")


def find_job(session: Session, name: str) -> Resource:
    """The FineTuneJob of this name."""
    return session.find_one(Target(parse_target(name).name, (FINE_TUNE_JOB,)))


def change_spec(session: Session, job: Resource, change: Object) -> None:
    """Merge a change into the spec, and warn when Git will undo it."""
    session.cluster.patch(FINE_TUNE_JOB.collection, job.name, {"spec": change})
    metadata = job.raw["metadata"]
    if {*metadata.get("labels", {}), *metadata.get("annotations", {})} & set(GITOPS_LABELS):
        session.note(f"{job.ref} is managed from Git: make the same change there ({change}), or it is undone.",
                     "yellow")
