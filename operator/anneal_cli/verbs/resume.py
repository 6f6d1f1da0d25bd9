"""`anneal resume`: go on from the last checkpoint."""

import argparse

from anneal_cli.errors import OK
from anneal_cli.session import Session
from anneal_cli.steering import change_spec, find_job

HELP = "Resume a suspended run from its last checkpoint."
EPILOG = "Clears spec.suspend."


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("name", metavar="NAME", help="name of a FineTuneJob")


def run(args: argparse.Namespace, session: Session) -> int:
    """Clear spec.suspend, if it is set."""
    job = find_job(session, args.name)
    if job.spec.get("suspend"):
        change_spec(session, job, {"suspend": False})
        session.say(f"{job.ref} goes on. Follow it with: anneal status ftj/{job.name} -w")
    else:
        session.say(f"{job.ref} is not suspended.")
    return OK
