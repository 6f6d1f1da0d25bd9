"""`anneal doctor`: whether this cluster is ready for a run, and what is missing."""

import argparse
from dataclasses import asdict

from anneal_cli import arguments
from anneal_cli.checks import findings
from anneal_cli.errors import FAILED, OK
from anneal_cli.session import Session
from anneal_cli.views.findings import checklist
from anneal_cli.views.text import symbols_for

HELP = "Check that this cluster is ready for a run, and say how to fix what is not."
EPILOG = "Exit code 1 when a check has failed, 0 with warnings. What you may not read becomes a warning."


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    arguments.add_output(parser)


def run(args: argparse.Namespace, session: Session) -> int:
    """Check, and print all findings."""
    found = list(findings(session.cluster))
    if args.output == "json":
        session.print_json([asdict(finding) for finding in found])
    else:
        session.show(checklist(found, symbols_for(session.out.encoding)))
    return FAILED if any(finding.level == "failed" for finding in found) else OK
