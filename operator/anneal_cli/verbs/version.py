"""`anneal version`: the versions of this program, the cluster, and whether the CRDs fit."""

import argparse
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from anneal_cli import arguments
from anneal_cli.errors import FAILED, OK
from anneal_cli.session import Session
from anneal_cli.skew import installed_crds, skew

HELP = "Show the versions of anneal, the cluster and the CRDs, and say whether they fit together."
EPILOG = "Exit code 1 when the CRDs in the cluster are not those of this program. --client asks no cluster."


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("--client", action="store_true", help="this program's version only")
    arguments.add_output(parser)


def run(args: argparse.Namespace, session: Session) -> int:
    """Print the versions."""
    facts: dict[str, Any] = {"anneal": client_version()}
    if not args.client:
        facts["context"] = session.cluster.context
        facts["kubernetes"] = session.cluster.read("/version")["gitVersion"]
        facts["crds"] = _crds(session)
    if args.output == "json":
        session.print_json(facts)
    else:
        _print(facts, session)
    return FAILED if any(crd != "ok" for crd in facts.get("crds", {}).values()) else OK


def client_version() -> str:
    """Version of the installed distribution."""
    try:
        return version("anneal")
    except PackageNotFoundError:
        return "unknown (not installed as a package)"


def _crds(session: Session) -> dict[str, str]:
    """By name: `ok`, or how the CRD differs."""
    return {name: skew(name, crd) if crd else "not installed" for name, crd in installed_crds(session.cluster).items()}


def _print(facts: dict[str, Any], session: Session) -> None:
    for name in ("anneal", "context", "kubernetes"):
        if name in facts:
            session.say(f"{name:<11} {facts[name]}")
    for name, state in facts.get("crds", {}).items():
        session.say(f"{'crd':<11} {name}: {state}")
