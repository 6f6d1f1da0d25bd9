"""`anneal explain`: why a resource waits or failed, and what to do."""

import argparse
from typing import Any

from anneal_cli import arguments
from anneal_cli.errors import OK
from anneal_cli.history import Event, events_of
from anneal_cli.kinds import parse_target
from anneal_cli.resource import Resource, message_and_fix, reason_info
from anneal_cli.session import Session
from anneal_cli.views.explanation import explanation

HELP = "Say why a resource waits or has failed, and how to fix it."
EPILOG = "Exit code 0 whatever the state is; `anneal status NAME` tells by its own."


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("name", metavar="NAME", help="NAME, ftj/NAME or mdep/NAME")
    arguments.add_output(parser)


def run(args: argparse.Namespace, session: Session) -> int:
    """Explain every resource of that name."""
    found = [(r, events_of(session.cluster, r)) for r in session.find(parse_target(args.name))]
    if args.output == "json":
        session.print_json([_as_json(resource, events) for resource, events in found])
        return OK
    for index, (resource, events) in enumerate(found):
        if index:
            session.out.print()
        session.out.print(explanation(resource, events))
    return OK


def _as_json(resource: Resource, events: list[Event]) -> dict[str, Any]:
    condition = resource.trouble
    info = reason_info(condition.reason) if condition else None
    message, fix = message_and_fix(condition) if condition else ("", "")
    return {"kind": resource.kind.kind, "name": resource.name, "state": resource.state.value,
            "reason": condition.reason if condition else "", "message": message,
            "meaning": info.meaning if info else "", "fix": fix, "final": resource.failed,
            "timeline": [{"event": event, "seconds": seconds} for event, seconds in resource.moments],
            "warnings": [f"{e.object}: {e.reason}: {e.message}" for e in events if e.warning]}
