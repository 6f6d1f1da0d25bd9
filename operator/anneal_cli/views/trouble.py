"""Why a resource is not ready, and what to do: the same words in every view."""

from collections.abc import Iterator
from datetime import datetime

from rich.text import Text

from anneal_api.conditions import Reason
from anneal_cli.resource import Resource, State, message_and_fix

PATIENCE_SECONDS = 10
ORDINARY = {Reason.ACCEPTED, Reason.RUNNING, Reason.WAITING, Reason.STARTING}


def trouble(resource: Resource) -> Iterator[Text]:
    """Reason, message and fix of a resource that failed, waits or is suspended; nothing while all goes well."""
    condition = resource.trouble
    if condition is None or resource.state in (State.READY, State.DELETING, State.UNSEEN):
        return
    if resource.state == State.PROGRESSING and condition.reason in ORDINARY:
        return
    style = "red" if resource.failed else "yellow"
    message, fix = message_and_fix(condition)
    yield Text.assemble("\n", (condition.reason, f"bold {style}"), f": {message}".rstrip(": "))
    if fix:
        yield Text.assemble(("Fix: ", "bold"), fix)


def unseen(resource: Resource, now: datetime) -> Iterator[Text]:
    """A hint when the operator has not looked at the resource for a while: it may not run."""
    if resource.state != State.UNSEEN or resource.created is None:
        return
    waited = (now - resource.created).total_seconds()
    if resource.status.observed_generation == 0 and waited > PATIENCE_SECONDS:
        yield Text.assemble("\n", ("No operator has looked at it yet.", "yellow"), "\n", ("Fix: ", "bold"),
                            "see whether the operator runs: kubectl get pods -A -l app.kubernetes.io/name=anneal")
