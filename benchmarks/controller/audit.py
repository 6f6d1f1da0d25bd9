"""Pure: what the API server wrote down about a contender."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.controller.plane import USER

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Request:
    """One request; times are seconds since the epoch."""

    user: str
    verb: str
    resource: str
    name: str
    status: int
    began: float
    ended: float

    @property
    def ours(self) -> bool:
        """Asked by the contender."""
        return self.user == USER

    @property
    def kind(self) -> str:
        """What was done: `create jobs`."""
        return f"{self.verb} {self.resource}"

    @property
    def write(self) -> bool:
        """A write other than the renewal of a Lease, which costs the same however many resources there are."""
        return self.verb in WRITES and self.resource not in ("leases", "selfsubjectaccessreviews")


def read(log: Path, offset: int = 0) -> tuple[list[Request], int]:
    """The requests written down after `offset`, and the offset to go on from."""
    with log.open("rb") as file:
        file.seek(offset)
        data = file.read()
    complete = data[:data.rfind(b"\n") + 1]
    return [_parse(json.loads(line)) for line in complete.splitlines()], offset + len(complete)


def _parse(entry: dict[str, object]) -> Request:
    about: dict[str, str] = entry.get("objectRef") or {}  # type: ignore[assignment]
    user: dict[str, str] = entry["user"]  # type: ignore[assignment]
    answer: dict[str, int] = entry.get("responseStatus") or {}  # type: ignore[assignment]
    sub = about.get("subresource", "")
    return Request(
        user=user.get("username", ""), verb=str(entry["verb"]),
        resource=about.get("resource", str(entry["requestURI"])) + (f"/{sub}" if sub else ""),
        name=about.get("name", ""), status=int(answer.get("code", 0)),
        began=_seconds(entry["requestReceivedTimestamp"]), ended=_seconds(entry["stageTimestamp"]))


def _seconds(text: object) -> float:
    return datetime.fromisoformat(str(text)).timestamp()


def latencies(requests: Iterable[Request], names: Iterable[str]) -> list[float]:
    """Seconds from the answer to a resource's creation until the answer to the creation of its first Job."""
    born: dict[str, float] = {}
    first: dict[str, float] = {}
    for request in requests:
        if request.verb == "create" and request.status == 201:
            if request.resource == "finetunejobs":
                born[request.name] = request.ended
            elif request.resource == "jobs" and request.ours:
                first.setdefault(owner(request.name), request.ended)
    return [first[name] - born[name] for name in names]


def owner(child: str) -> str:
    """The resource that a Job is named after: `<name>-<uid8>-<stage>-<attempt>`."""
    return child.rsplit("-", 3)[0]


def by_kind(requests: Iterable[Request]) -> dict[str, int]:
    """How often each thing was done, the most frequent first."""
    return dict(Counter(request.kind for request in requests).most_common())


Phases = Sequence[tuple[list[Request], int]]
"""The requests of each part of a life, and how many resources went through it."""


def each(phases: Phases, wanted: Callable[[Request], bool]) -> float:
    """Requests for one resource."""
    return round(sum(sum(map(wanted, requests)) / count for requests, count in phases), 2)


def each_kind(phases: Phases) -> dict[str, float]:
    """Requests for one resource, by what was done."""
    kinds = by_kind(request for requests, _ in phases for request in requests)
    return {kind: each(phases, lambda request: request.kind == kind) for kind in kinds}  # noqa: B023 called at once


def percentile(values: list[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
