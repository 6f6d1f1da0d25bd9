"""Whether the CRDs in the cluster know the fields that this program knows: an older CRD drops fields silently."""

from collections.abc import Iterator
from typing import Any

from anneal_api import VERSION, crd
from anneal_cli.cluster import Cluster
from anneal_cli.errors import NotFound
from anneal_cli.kinds import CRDS

DEFINITIONS = {kind.name: kind for kind in crd.KINDS}
SHOWN_FIELDS = 5


def installed_crds(cluster: Cluster) -> dict[str, dict[str, Any] | None]:
    """Our two CRDs as the cluster has them; None where one is missing."""
    return {name: _get(cluster, name) for name in DEFINITIONS}


def _get(cluster: Cluster, name: str) -> dict[str, Any] | None:
    try:
        return cluster.get(CRDS, name, "")
    except NotFound:
        return None


def skew(name: str, installed: dict[str, Any]) -> str:
    """`ok`, or what differs in which direction."""
    wanted = set(_fields(_schema(crd.definition(DEFINITIONS[name]))))
    found = set(_fields(_schema(installed)))
    if missing := sorted(wanted - found):
        return f"older than anneal: lacks {_some(missing)}; upgrade the chart"
    if unknown := sorted(found - wanted):
        return f"newer than anneal: has {_some(unknown)}; upgrade anneal"
    return "ok"


def _schema(definition: dict[str, Any]) -> dict[str, Any]:
    """The schema of the version that we speak; empty when the CRD does not serve it."""
    versions: list[dict[str, Any]] = definition["spec"]["versions"]
    found: dict[str, Any] = next((v for v in versions if v["name"] == VERSION and v.get("served", True)), {})
    schema: dict[str, Any] = found.get("schema", {}).get("openAPIV3Schema", {})
    return schema


def _fields(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Dotted paths of all fields below a schema."""
    for name, value in schema.get("properties", {}).items():
        here = f"{path}.{name}".lstrip(".")
        yield here
        yield from _fields(value, here)
        yield from _fields(value.get("items") or {}, f"{here}[]")


def _some(fields: list[str]) -> str:
    more = len(fields) - SHOWN_FIELDS
    return ", ".join(fields[:SHOWN_FIELDS]) + (f" and {more} more" if more > 0 else "")
