"""Why a resource is where it is: the reason in plain words, the fix, and what the cluster said about it."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from anneal_api.conditions import Condition, ConditionType
from anneal_api.sentences import sense
from anneal_cli.history import Event
from anneal_cli.kinds import FINE_TUNE_JOB
from anneal_cli.resource import Resource, State, message_and_fix, parse_time, reason_info
from anneal_cli.views.lines import short
from anneal_cli.views.timeline import timeline

SHOWN_EVENTS = 5
STATES = {
    State.READY: "is ready",
    State.STALLED: "has failed and will not go on by itself",
    State.ROLLED_BACK: "serves the revision before the one that its spec asks for, which failed",
    State.SUSPENDED: "is suspended",
    State.UNSEEN: "waits for the operator to look at it",
    State.PROGRESSING: "is on its way",
    State.DELETING: "is being deleted",
}


def explanation(resource: Resource, events: Sequence[Event]) -> RenderableType:
    """The whole answer."""
    return Group(Text.assemble((resource.ref, "bold"), f" {STATES[resource.state]}."), *_reason(resource.trouble),
                 *_warnings(resource, _current(resource, events)), *timeline(resource),
                 *_next(resource))


def _reason(condition: Condition | None) -> Iterator[Text]:
    if condition is None:
        return
    info = reason_info(condition.reason)
    yield Text.assemble(("Reason:  ", "bold"), f"{condition.reason}. {info.meaning if info else ''}".rstrip())
    message, fix = message_and_fix(condition)
    for label, text in (("Message: ", message), ("Fix:     ", fix)):
        if text:
            yield Text.assemble((label, "bold"), text)


def _current(resource: Resource, events: Sequence[Event]) -> list[Event]:
    """Without what was said before the resource became ready, and without the reason that stands above."""
    ready, reason = resource.condition(ConditionType.READY), resource.trouble.reason if resource.trouble else ""
    since = parse_time(ready.last_transition_time) if ready and resource.state is State.READY else None
    return [event for event in events if (event.object, event.reason) != (resource.ref, reason)
            and (since is None or (event.time is not None and event.time > since))]


def _warnings(resource: Resource, events: Sequence[Event]) -> Iterator[Text]:
    warnings = [event for event in events if event.warning][-SHOWN_EVENTS:]
    if warnings:
        yield Text("Warnings of the cluster:", "bold")
    told = {resource.trouble.reason if resource.trouble else ""}
    for event in warnings:
        yield Text(f"  {event.object}: {event.reason}: {short(event.message)}")
        # What the operator has not said: it is not running, or the Event is newer than its status.
        if event.object != resource.ref and (meant := sense(event.message)) and meant.reason not in told:
            told.add(meant.reason)
            yield Text.assemble("    ", (meant.reason, "bold"), f": {meant.fix}")


def _next(resource: Resource) -> Iterator[Text]:
    ref = f"{resource.kind.short}/{resource.name}"
    job = resource.kind == FINE_TUNE_JOB
    commands = {
        State.STALLED: [f"anneal logs {ref}", *([f"anneal retry {resource.name}"] if job else [])],
        State.ROLLED_BACK: [f"anneal events {ref}", f"anneal rollback {resource.name}"],
        State.PROGRESSING: [f"anneal status {ref} -w", f"anneal logs {ref} -f"],
        State.SUSPENDED: [f"anneal resume {resource.name}"],
        State.UNSEEN: ["kubectl get pods -A -l app.kubernetes.io/name=anneal"],
        State.READY: [f"anneal status {ref}"] if job else [f"anneal chat {resource.name}"],
        State.DELETING: [],
    }[resource.state]
    if commands:
        yield Text.assemble(("Next:    ", "bold"), " or ".join(commands))
