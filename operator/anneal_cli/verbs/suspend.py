"""`anneal suspend`: save a checkpoint and free the hardware."""

import argparse

from anneal_cli.errors import OK
from anneal_cli.session import Session
from anneal_cli.steering import change_spec, find_job

HELP = "Suspend a run: the running pod saves a checkpoint and is removed."
EPILOG = "Sets spec.suspend."


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("name", metavar="NAME", help="name of a FineTuneJob")


def run(args: argparse.Namespace, session: Session) -> int:
    """Set spec.suspend, unless it is set or the run has ended."""
    job = find_job(session, args.name)
    if job.final:
        session.say(f"{job.ref} has ended already ({job.status.phase}).")
    elif job.spec.get("suspend"):
        session.say(f"{job.ref} is suspended already.")
    else:
        change_spec(session, job, {"suspend": True})
        session.say(f"{job.ref} is being suspended. Go on with: anneal resume {job.name}")
    return OK
