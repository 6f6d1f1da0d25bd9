"""`anneal retry`: run the same spec again."""

import argparse

from anneal_cli.errors import OK, CliError
from anneal_cli.resource import Resource
from anneal_cli.session import Session
from anneal_cli.steering import change_spec, find_job

HELP = "Run a FineTuneJob again, from the beginning, with the spec it has."
EPILOG = "Sets spec.runId to a new value, which makes a new run with its own folder in the output."


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("name", metavar="NAME", help="name of a FineTuneJob")
    parser.add_argument("--run-id", metavar="TEXT", help="the new runId; default: the time")


def run(args: argparse.Namespace, session: Session) -> int:
    """Change spec.runId, when no run is under way."""
    job = find_job(session, args.name)
    _refuse_while_running(job)
    run_id = args.run_id or f"{session.now():%Y%m%d-%H%M%S}"
    change_spec(session, job, {"runId": run_id})
    session.say(f"{job.ref} runs again as {run_id}. Follow it with: anneal status ftj/{job.name} -w")
    return OK


def _refuse_while_running(job: Resource) -> None:
    state = job.job.run
    if state and state.state == "Running":
        raise CliError(f"{job.ref} has a run under way ({job.status.phase}); its runId may not change now.",
                       f"Wait for it (anneal status ftj/{job.name} -w), or delete the FineTuneJob and apply it again.")
