"""What became of resources, for Prometheus: read off the statuses that were written, so that a restart counts nothing
twice.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from anneal_api.conditions import REASONS, ConditionType
from anneal_api.finetunejob import KIND as KIND_OF_RUN
from anneal_api.modeldeployment import KIND as KIND_OF_SERVER

Status = Mapping[str, Any]

STAGE_BUCKETS = (5, 15, 30, 60, 120, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600, 72 * 3600)
FIRST_BUCKETS = (5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1200, 3600)


class Outcomes:
    """Counts what a written status says and the one before did not."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.stages = Histogram("anneal_stage_seconds", "Time of a stage that succeeded, its failed attempts included.",
                                ["stage"], buckets=STAGE_BUCKETS, registry=registry)
        self.attempts = Counter("anneal_stage_failures", "Attempts at a stage that failed.", ["stage", "reason"],
                                registry=registry)
        self.failures = Counter("anneal_failures", "Resources that failed for good, by the reason.",
                                ["kind", "reason"], registry=registry)
        # A series that begins with its first failure shows no increase; one that was there before does.
        for kind in (KIND_OF_RUN, KIND_OF_SERVER):
            for reason in REASONS:
                self.failures.labels(kind, reason)
        self.first_step = Histogram(
            "anneal_first_step_seconds", "From the creation of a FineTuneJob to its first step.",
            buckets=FIRST_BUCKETS, registry=registry)
        self.first_token = Histogram(
            "anneal_first_token_seconds", "From the creation of a ModelDeployment to its first completed prompt.",
            buckets=FIRST_BUCKETS, registry=registry)

    def written(self, kind: str, before: Status, after: Status) -> None:
        """A status has taken the place of another."""
        self._count_stages(before, after)
        self._count_failure(kind, before, after)
        for event, found in (("firstStep", self.first_step), ("firstToken", self.first_token)):
            if _moment(before, event) is None and (seconds := _since_created(after, event)) is not None:
                found.observe(seconds)

    def _count_stages(self, before: Status, after: Status) -> None:
        old = {stage["name"]: stage for stage in before.get("stages") or ()}
        for stage in after.get("stages") or ():
            was, name = old.get(stage["name"], {}), stage["name"]
            if stage.get("state") == "Succeeded" != was.get("state") and (took := _took(stage)) is not None:
                self.stages.labels(name).observe(took)
            if (more := stage.get("failures", 0) - was.get("failures", 0)) > 0:
                self.attempts.labels(name, stage.get("reason", "")).inc(more)

    def _count_failure(self, kind: str, before: Status, after: Status) -> None:
        stalled = _stalled(after)
        if stalled is not None and stalled != _stalled(before):
            self.failures.labels(kind, stalled).inc()


def _stalled(status: Status) -> str | None:
    """The reason for which a resource does not go on; None when it does."""
    found = (c for c in status.get("conditions") or () if c["type"] == ConditionType.STALLED and c["status"] == "True")
    return next((str(condition["reason"]) for condition in found), None)


def _moment(status: Status, event: str) -> datetime | None:
    """When an event of the timeline happened."""
    found = (entry["time"] for entry in status.get("timeline") or () if entry["event"] == event)
    return _parsed(next(found, ""))


def _since_created(status: Status, event: str) -> float | None:
    begin, end = _moment(status, "created"), _moment(status, event)
    return (end - begin).total_seconds() if begin and end else None


def _took(stage: Mapping[str, Any]) -> float | None:
    begin, end = _parsed(stage.get("startTime", "")), _parsed(stage.get("finishTime", ""))
    return (end - begin).total_seconds() if begin and end else None


def _parsed(time: str) -> datetime | None:
    try:
        return datetime.fromisoformat(time)
    except ValueError:
        return None
