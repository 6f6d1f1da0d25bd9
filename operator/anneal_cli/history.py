"""The Events of a resource and of its children, oldest first."""

from dataclasses import dataclass
from datetime import datetime

from anneal_cli.cluster import Cluster
from anneal_cli.kinds import EVENTS
from anneal_cli.resource import Object, Resource, parse_time

UID_DIGITS = 8


@dataclass(frozen=True)
class Event:
    """One Event, as people read it."""

    time: datetime | None
    warning: bool
    reason: str
    object: str
    message: str
    count: int
    raw: Object


def events_of(cluster: Cluster, resource: Resource) -> list[Event]:
    """All events that concern the resource: its own, and those of children, whose names start with its own."""
    found = [_event(raw) for raw in cluster.list(EVENTS, {}).items if _concerns(raw["involvedObject"], resource)]
    return sorted(found, key=lambda e: (e.time is not None, e.time))


def _concerns(involved: Object, resource: Resource) -> bool:
    child = f"{resource.name}-{resource.uid.replace('-', '')[:UID_DIGITS]}"
    return involved.get("uid") == resource.uid or str(involved.get("name", "")).startswith(child)


def _event(raw: Object) -> Event:
    series = raw.get("series") or {}
    time = series.get("lastObservedTime") or raw.get("lastTimestamp") or raw.get("eventTime") or ""
    involved = raw["involvedObject"]
    return Event(parse_time(time), raw.get("type") == "Warning", str(raw.get("reason", "")),
                 f"{str(involved.get('kind', '')).lower()}/{involved.get('name', '')}",
                 " ".join(str(raw.get("message") or raw.get("note") or "").split()),
                 int(series.get("count") or raw.get("count") or 1), raw)
