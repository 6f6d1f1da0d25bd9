"""`anneal list`: every FineTuneJob and ModelDeployment on a line."""

import argparse

from anneal_cli import arguments
from anneal_cli.errors import OK
from anneal_cli.resource import listing
from anneal_cli.session import Session
from anneal_cli.views.listing import table

HELP = "List FineTuneJobs and ModelDeployments."
EPILOG = "Columns are never cut, so that grep and awk work."


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("-A", "--all-namespaces", action="store_true", help="of every namespace")
    arguments.add_output(parser)


def run(args: argparse.Namespace, session: Session) -> int:
    """Print the table."""
    resources = session.all(everywhere=args.all_namespaces)
    if args.output == "json":
        session.print_json(listing([resource.raw for resource in resources]))
    elif resources:
        session.out.print(table(resources, session.now(), namespaces=args.all_namespaces), soft_wrap=True)
    else:
        where = "any namespace" if args.all_namespaces else f"namespace {session.cluster.namespace}"
        session.note(f"No FineTuneJobs or ModelDeployments in {where}.")
    return OK
