"""`anneal events`: what happened to a resource and its children."""

import argparse

from anneal_cli import arguments
from anneal_cli.errors import OK
from anneal_cli.history import events_of
from anneal_cli.kinds import parse_target
from anneal_cli.resource import listing
from anneal_cli.session import Session
from anneal_cli.views.events import table

HELP = "Show the Events of a resource and of its Jobs, pods and claims, oldest first."
EPILOG = "Clusters keep events for an hour."


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("name", metavar="NAME", help="NAME, ftj/NAME or mdep/NAME")
    arguments.add_output(parser)


def run(args: argparse.Namespace, session: Session) -> int:
    """Print the table."""
    events = [event for resource in session.find(parse_target(args.name))
              for event in events_of(session.cluster, resource)]
    if args.output == "json":
        session.print_json(listing([event.raw for event in events]))
    elif events:
        room = session.out.width if session.out.is_terminal else None
        session.show(table(events, session.now(), room))
    else:
        session.note(f"No events of {args.name} in namespace {session.cluster.namespace}.")
    return OK
