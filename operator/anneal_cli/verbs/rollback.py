"""`anneal rollback`: serve again what served before."""

import argparse
import json

from anneal_api.modeldeployment import RevisionStatus
from anneal_cli.errors import OK, CliError
from anneal_cli.kinds import MODEL_DEPLOYMENT, Target, parse_target
from anneal_cli.resource import Object, Resource, State
from anneal_cli.session import Session
from anneal_cli.steering import change_spec, merge_patch

HELP = "Take a ModelDeployment back to the revision before."
EPILOG = ("Writes into the spec what that revision was made from: engine, resources, scheduling, servedName, and "
          "model.uri with model.digest. While a new revision is being started, or after it failed, that is the one "
          "that serves; else the one that served before it.")


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("name", metavar="NAME", help="name of a ModelDeployment")


def run(args: argparse.Namespace, session: Session) -> int:
    """Change the spec to that of the revision before."""
    resource = session.find_one(Target(parse_target(args.name).name, (MODEL_DEPLOYMENT,)))
    revision = target(resource)
    change = change_to(resource, revision)
    if not change:
        session.say(f"{resource.ref} asks for revision {revision.hash} already.")
        return OK
    change_spec(session, resource, change)
    session.say(f"{resource.ref} goes back to revision {revision.hash}. "
                f"Follow it with: anneal status mdep/{resource.name} -w")
    if "fineTuneJobRef" in change.get("model", {}):
        job = resource.spec["model"]["fineTuneJobRef"]["name"]
        session.note(f"It is pinned to {revision.artifact.digest[:19]} now and no longer follows finetunejob/{job}.")
    return OK


def target(resource: Resource) -> RevisionStatus:
    """The revision to go back to."""
    status = resource.deployment
    found = status.stable if status.next or status.failed else status.previous
    if found is None:
        raise CliError(f"{resource.ref} has no revision to go back to.",
                       "It has served one revision at most; edit its spec instead.")
    if not found.settings:
        raise CliError(f"Revision {found.hash} of {resource.ref} was made by an older operator, which did not note "
                       "what it was made from.", "Edit the spec instead.")
    return found


def change_to(resource: Resource, revision: RevisionStatus) -> Object:
    """The merge patch of the spec."""
    wanted: Object = json.loads(revision.settings)
    pin = {"uri": revision.artifact.uri, "digest": revision.artifact.digest}
    wanted["model"] = resource.spec["model"] if _asks_for(resource, revision) else pin
    return merge_patch({key: value for key, value in resource.spec.items() if key in wanted}, wanted)


def _asks_for(resource: Resource, revision: RevisionStatus) -> bool:
    """Does spec.model lead to the revision's artifact as it is? Of an edit that no operator has seen we do not know."""
    status = resource.deployment
    newest = status.next or status.failed or status.stable
    return resource.state != State.UNSEEN and newest is not None and newest.artifact == revision.artifact
