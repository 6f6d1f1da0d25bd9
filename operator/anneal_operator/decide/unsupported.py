"""A spec that this operator cannot follow: an older operator under a newer CRD, a newer one under an older chart."""

from datetime import datetime
from typing import Any

from pydantic import ValidationError

from anneal_api.conditions import Condition, Reason
from anneal_operator.decide.classify import Verdict
from anneal_operator.decide.facts import Object
from anneal_operator.decide.plan import Plan
from anneal_operator.decide.readiness import Outlook, announce, summarise


def plan(resource: Object, text: str, now: datetime) -> Plan:
    """Touch nothing, and say which field. The rest of the status stays: children may be at work."""
    outlook = Outlook("failed", Reason.UNSUPPORTED_SPEC, Verdict.of(Reason.UNSUPPORTED_SPEC, text).message)
    generation, status = int(resource["metadata"]["generation"]), dict(resource.get("status") or {})
    old = [Condition.model_validate(c) for c in status.get("conditions") or []]
    new = summarise(old, outlook, generation, now)
    written: dict[str, Any] = {**status, "observedGeneration": generation, "phase": "Failed",
                               "conditions": [c.to_wire() for c in new]}
    return Plan(status=written, events=announce(old, new, outlook))


def field(error: ValidationError) -> str:
    """The first field that is not known, and why."""
    found = error.errors(include_url=False, include_input=False)
    first = found[0]
    where = ".".join(["spec", *(str(part) for part in first["loc"])])
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"{where}: {first['msg']}{more}"
