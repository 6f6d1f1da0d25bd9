"""A revision that does not become Ready is given up for the one that serves, until the spec changes.

Without a revision that serves there is nothing to go back to: such a revision is tried for ever.
"""

from datetime import datetime, timedelta

from anneal_api.conditions import REASONS, Reason, timestamp
from anneal_api.model import seconds
from anneal_api.modeldeployment import FailedRevision, ModelDeploymentSpec, ModelDeploymentStatus, RevisionStatus
from anneal_operator.decide import objects
from anneal_operator.decide.classify import Verdict
from anneal_operator.decide.readiness import Outlook


def start_time(status: ModelDeploymentStatus, revision: str, now: datetime) -> str:
    """When the revision was first started: now, unless the status has it."""
    known = next((r for r in (status.next, status.stable) if r and r.hash == revision), None)
    return known.start_time if known and known.start_time else timestamp(now)


def given_up(status: ModelDeploymentStatus, wanted: str, generation: int) -> FailedRevision | None:
    """The failure of the wanted revision, as long as the spec is the one that asked for it."""
    failed = status.failed
    return failed if failed and (failed.hash, failed.generation) == (wanted, generation) else None


def give_up(
    spec: ModelDeploymentSpec, wanted: RevisionStatus, outlook: Outlook, generation: int, now: datetime,
) -> FailedRevision | None:
    """Why the wanted revision shall not be waited for any longer; None as long as it shall."""
    if outlook.state == "failed":
        return _failed(wanted, generation, outlook.reason, outlook.message)
    since, limit = objects.parse_time(wanted.start_time), spec.rollout.progress_deadline
    if outlook.state == "done" or since is None or now - since < timedelta(seconds=seconds(limit)):
        return None
    reason = Reason.SERVER_NOT_READY if outlook.reason is Reason.STARTING else outlook.reason
    text = f"{outlook.message}\nIt is not Ready {limit} after its start (spec.rollout.progressDeadline)"
    return _failed(wanted, generation, reason, Verdict.of(reason, text).message)


def _failed(wanted: RevisionStatus, generation: int, reason: Reason, message: str) -> FailedRevision:
    fields = {**wanted.model_dump(), "ready_replicas": 0}
    return FailedRevision(**fields, generation=generation, reason=reason, message=message[:4096])


def outlook_after(stable: Outlook, serving: str, failed: FailedRevision) -> Outlook:
    """The resource as a whole while the stable revision serves instead of the one that is asked for."""
    if stable.state != "done" or stable.reason is Reason.SCALED_TO_ZERO:
        return stable
    text = (f"revision {serving} serves; revision {failed.hash} was rolled back ({failed.reason}). "
            f"Fix: {REASONS[Reason.ROLLED_BACK].fix}")
    return Outlook("done", Reason.ROLLED_BACK, text)
