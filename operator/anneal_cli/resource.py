"""One resource as read from the cluster: typed status, and how it stands by the rules of kstatus."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from anneal_api.conditions import REASONS, Condition, ConditionType, Reason, ReasonInfo, find_condition
from anneal_api.finetunejob_status import FineTuneJobStatus
from anneal_api.modeldeployment import ModelDeploymentStatus
from anneal_cli.errors import CliError
from anneal_cli.kinds import FINE_TUNE_JOB, MODEL_DEPLOYMENT, Kind

Object = dict[str, Any]


def listing(items: list[Object]) -> Object:
    """Several objects in one, as `kubectl get -o json` prints them."""
    return {"apiVersion": "v1", "kind": "List", "items": items}


class State(StrEnum):
    """How a resource stands. READY, STALLED and ROLLED_BACK are final until somebody changes something."""

    READY = "Ready"
    STALLED = "Stalled"
    ROLLED_BACK = "RolledBack"
    """What serves is Ready, and is not what the spec asks for."""
    SUSPENDED = "Suspended"
    UNSEEN = "Unseen"
    """The operator has not looked at this generation yet."""
    PROGRESSING = "Progressing"
    DELETING = "Deleting"


@dataclass(frozen=True)
class Resource:
    """A FineTuneJob or a ModelDeployment."""

    kind: Kind
    raw: Object

    @property
    def name(self) -> str:
        """metadata.name."""
        return str(self.raw["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """metadata.namespace."""
        return str(self.raw["metadata"]["namespace"])

    @property
    def uid(self) -> str:
        """metadata.uid."""
        return str(self.raw["metadata"]["uid"])

    @property
    def created(self) -> datetime | None:
        """metadata.creationTimestamp."""
        return parse_time(self.raw["metadata"].get("creationTimestamp", ""))

    @property
    def spec(self) -> Object:
        """The spec as the API server completed it."""
        spec: Object = self.raw.get("spec") or {}
        return spec

    @cached_property
    def status(self) -> FineTuneJobStatus | ModelDeploymentStatus:
        """The typed status; empty when the operator has not written one."""
        model = FineTuneJobStatus if self.kind == FINE_TUNE_JOB else ModelDeploymentStatus
        try:
            return model.model_validate(self.raw.get("status") or {})
        except ValueError as error:
            raise CliError(f"The status of {self.ref} is of another version: {str(error).splitlines()[0]}.",
                           "Run `anneal version` and use the `anneal` of the operator's version.") from error

    @property
    def job(self) -> FineTuneJobStatus:
        """The status of a FineTuneJob."""
        assert isinstance(self.status, FineTuneJobStatus)
        return self.status

    @property
    def deployment(self) -> ModelDeploymentStatus:
        """The status of a ModelDeployment."""
        assert isinstance(self.status, ModelDeploymentStatus)
        return self.status

    @property
    def ref(self) -> str:
        """How people and kubectl call it."""
        return f"{self.kind.singular}/{self.name}"

    @property
    def state(self) -> State:
        """The kstatus verdict."""
        if self.raw["metadata"].get("deletionTimestamp"):
            return State.DELETING
        if self.status.observed_generation != self.raw["metadata"].get("generation", 0):
            return State.UNSEEN
        if self._is_true(ConditionType.STALLED):
            return State.STALLED
        if self._is_true(ConditionType.READY) and not self._is_true(ConditionType.RECONCILING):
            return State.ROLLED_BACK if self._is_true(ConditionType.ROLLED_BACK) else State.READY
        return State.SUSPENDED if self.spec.get("suspend") else State.PROGRESSING

    def seconds_to(self, event: str) -> float | None:
        """Seconds from the start of the timeline to an event of it; None when it has not happened."""
        return dict(self.moments).get(event)

    @property
    def moments(self) -> list[tuple[str, float]]:
        """The events of the timeline with their seconds since its start."""
        known = [(entry.event, moment) for entry in self.status.timeline if (moment := parse_time(entry.time))]
        # Pods and operator have clocks of their own: what is noted later is not always dated later.
        known.sort(key=lambda entry: entry[1])
        return [(event, (moment - known[0][1]).total_seconds()) for event, moment in known]

    @property
    def final(self) -> bool:
        """Whether nothing will change by itself."""
        return self.state == State.READY or self.failed

    @property
    def failed(self) -> bool:
        """Whether what the spec asks for will not come about by itself."""
        return self.state in (State.STALLED, State.ROLLED_BACK)

    @property
    def trouble(self) -> Condition | None:
        """The condition that says why the resource is not ready, if one does."""
        bad = [c for kind in (ConditionType.STALLED, ConditionType.ROLLED_BACK)
               if (c := self.condition(kind)) and c.status == "True"]
        ready = self.condition(ConditionType.READY)
        return next(iter(bad), None) or (ready if ready and ready.status != "True" else None)

    def condition(self, kind: ConditionType) -> Condition | None:
        """The condition of this type."""
        return find_condition(self.status.conditions, kind)

    def _is_true(self, kind: ConditionType) -> bool:
        found = self.condition(kind)
        return found is not None and found.status == "True"


def message_and_fix(condition: Condition) -> tuple[str, str]:
    """What a condition says, and what to do: its own advice, which names the object, before that of the catalogue."""
    message, _, fix = condition.message.partition("Fix: ")
    info = reason_info(condition.reason)
    return message.strip(), fix.strip() or (info.fix if info else "")


def resource_of(raw: Object) -> Resource:
    """Wrap a raw object of one of our kinds."""
    return Resource(FINE_TUNE_JOB if raw.get("kind") == FINE_TUNE_JOB.kind else MODEL_DEPLOYMENT, raw)


def by_name(resources: Iterable[Resource]) -> list[Resource]:
    """FineTuneJobs before ModelDeployments, each by namespace and name."""
    return sorted(resources, key=lambda r: (r.kind != FINE_TUNE_JOB, r.namespace, r.name))


def parse_time(text: str) -> datetime | None:
    """An RFC 3339 time, with or without fractions; None when there is none."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
    except ValueError:
        return None


def reason_info(reason: str) -> ReasonInfo | None:
    """The documented meaning and fix of a reason; None for a reason of a newer operator."""
    return REASONS[Reason(reason)] if reason in set(Reason) else None
