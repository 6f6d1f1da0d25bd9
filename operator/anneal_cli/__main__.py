"""The command line: verbs, common options, and errors without tracebacks."""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from anneal_cli.cluster import Cluster
from anneal_cli.errors import FAILED, INTERRUPTED, CliError
from anneal_cli.session import Session

VERBS = ("status", "list", "logs", "chat", "events", "explain", "retry", "suspend", "resume", "version")
EPILOG = "Exit codes: 0 ok, 1 failed, 2 wrong usage, 124 timeout, 130 interrupted. As a plugin: kubectl anneal VERB."


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `anneal` and `kubectl-anneal`."""
    args = parser().parse_args(argv)
    return run(args, Session(lambda: connect(args)))


def run(args: argparse.Namespace, session: Session) -> int:
    """Carry out one verb; every way to fail ends here."""
    try:
        code: int = args.run(args, session)
        sys.stdout.flush()
        return code
    except CliError as error:
        session.note(f"Error: {error.message}", "red")
        if error.fix:
            session.note(f"Fix: {error.fix}")
        return error.code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has gone; Python must not complain about it again while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def connect(args: argparse.Namespace) -> Cluster:
    """The cluster that the options choose. Imported here, because the client takes most of a second."""
    from anneal_cli.kube import KubeCluster

    return KubeCluster(args.kubeconfig, args.context, args.namespace)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    root = argparse.ArgumentParser(prog=_program(), description="Fine-tune and serve language models on Kubernetes.",
                                   epilog=EPILOG)
    verbs = root.add_subparsers(title="verbs", metavar="VERB", required=True)
    for name in VERBS:
        module = importlib.import_module(f"anneal_cli.verbs.{name}")
        verb = verbs.add_parser(name, help=module.HELP, description=module.HELP, epilog=module.EPILOG)
        _add_common(verb)
        module.configure(verb)
        runner: Callable[[argparse.Namespace, Session], int] = module.run
        verb.set_defaults(run=runner)
    return root


def _add_common(verb: argparse.ArgumentParser) -> None:
    common = verb.add_argument_group("cluster")
    common.add_argument("-n", "--namespace", metavar="NAME", help="namespace; default: the context's own")
    common.add_argument("--context", metavar="NAME", help="kubeconfig context; default: the current one")
    common.add_argument("--kubeconfig", metavar="FILE", help="kubeconfig file; default: $KUBECONFIG or ~/.kube/config")


def _program() -> str:
    return "kubectl anneal" if Path(sys.argv[0]).name == "kubectl-anneal" else "anneal"


if __name__ == "__main__":
    sys.exit(main())
