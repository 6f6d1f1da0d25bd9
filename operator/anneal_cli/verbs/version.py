"""`anneal version`: the versions of this program, the cluster, and whether the CRDs fit."""

import argparse
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
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
    text = args.output != "json"
    if text:
        _print(facts, session)  # also where no cluster answers
    if not args.client:
        cluster = {"context": session.cluster.context, "kubernetes": session.cluster.read("/version")["gitVersion"],
                   "crds": _crds(session)}
        facts |= cluster
        if text:
            _print(cluster, session)
    if not text:
        session.print_json(facts)
    return FAILED if any(crd != "ok" for crd in facts.get("crds", {}).values()) else OK


def client_version() -> str:
    """Version of the installed distribution, or of the clone that this runs from."""
    try:
        return version("anneal")
    except PackageNotFoundError:
        project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
        return f"{project['project']['version']} (from source)"


def _crds(session: Session) -> dict[str, str]:
    """By name: `ok`, or how the CRD differs."""
    return {name: skew(name, crd) if crd else "not installed" for name, crd in installed_crds(session.cluster).items()}


def _print(facts: dict[str, Any], session: Session) -> None:
    for name in ("anneal", "context", "kubernetes"):
        if name in facts:
            session.say(f"{name:<11} {facts[name]}")
    for name, state in facts.get("crds", {}).items():
        session.say(f"{'crd':<11} {name}: {state}")
