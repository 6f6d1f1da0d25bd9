"""The command line: verbs, common options, and errors without tracebacks."""

import argparse
import importlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from anneal_cli import completing
from anneal_cli.cluster import Cluster
from anneal_cli.errors import FAILED, INTERRUPTED, OK, CliError
from anneal_cli.rights import RIGHTS, needs
from anneal_cli.session import Session

COMPLETE = "__complete"
COMMON = (
    (("-n", "--namespace"), "NAME", "namespace; default: the context's own"),
    (("--context",), "NAME", "kubeconfig context; default: the current one"),
    (("--kubeconfig",), "FILE", "kubeconfig file; default: $KUBECONFIG or ~/.kube/config"),
)
EPILOG = "Exit codes: 0 ok, 1 failed, 2 wrong usage, 124 timeout, 130 interrupted. As a plugin: kubectl anneal VERB."


class _Verb(argparse.ArgumentParser):
    """Says its own usage where a word is not its own; argparse leaves that to the root, which shows none of it."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, unknown


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `anneal` and `kubectl-anneal`."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal without UTF-8 shows a question mark where it lacks a sign.
        sys.stdout.reconfigure(errors="replace")
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == [COMPLETE]:
        return _complete(words[1:])
    args = parser().parse_args(words)
    return run(args, Session(lambda: connect(args)))


def _complete(words: list[str]) -> int:
    """What the scripts of `completion` call. Not a verb: half a command line is no command line."""
    common = argparse.ArgumentParser(add_help=False)
    _add_common(common, default=None)
    # The last word is still being typed: an empty one keeps the parser happy after `-n`.
    known, _ = common.parse_known_args([*words[:-1], ""])
    session = Session(lambda: connect(known))
    for candidate in completing.candidates(parser(), words, session):
        session.say(candidate)
    return OK


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
    _add_common(root, default=None)
    verbs = root.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=_Verb)
    for name in RIGHTS:
        module = importlib.import_module(f"anneal_cli.verbs.{name}")
        epilog = f"{module.EPILOG} {needs(name)}"
        verb = verbs.add_parser(name, help=module.HELP, description=module.HELP, epilog=epilog)
        # A default of a verb would overwrite what stands in front of it: `anneal -n team status`.
        _add_common(verb, default=argparse.SUPPRESS)
        module.configure(verb)
        runner: Callable[[argparse.Namespace, Session], int] = module.run
        verb.set_defaults(run=runner)
    return root


def _add_common(parser: argparse.ArgumentParser, default: str | None) -> None:
    common = parser.add_argument_group("cluster")
    for names, metavar, text in COMMON:
        common.add_argument(*names, metavar=metavar, default=default, help=text)


def _program() -> str:
    return "kubectl anneal" if Path(sys.argv[0]).name == "kubectl-anneal" else "anneal"


if __name__ == "__main__":
    sys.exit(main())
