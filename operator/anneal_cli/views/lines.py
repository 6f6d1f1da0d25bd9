"""One resource on one line: for terminals that are not one, and for logs of CI."""

from anneal_cli.kinds import FINE_TUNE_JOB
from anneal_cli.resource import Resource, State
from anneal_cli.views.finetunejob import ORDINARY, losses, speed
from anneal_cli.views.text import ASCII, join

LONGEST = 300


def line(resource: Resource) -> str:
    """What a watcher wants to know; two equal lines mean that nothing worth a line has changed."""
    parts = _job_parts(resource) if resource.kind == FINE_TUNE_JOB else (resource.deployment.replicas,)
    return join(resource.ref, resource.status.phase or "Pending", *parts, _why(resource, moving=len(parts) > 1))


def _why(resource: Resource, *, moving: bool) -> str:
    """Why it is not ready. That it runs is not said again with every step that shows it."""
    condition = resource.trouble if resource.state != State.READY else None
    if condition is None or (moving and condition.reason in ORDINARY):
        return ""
    return f"{condition.reason}: {short(condition.message)}"


def short(message: str) -> str:
    """A message on one line of bearable length."""
    text = " ".join(message.split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."


def _job_parts(resource: Resource) -> tuple[str, ...]:
    status = resource.job
    stage = next((s for s in status.stages if s.state == "Running"), None)
    if stage is None or stage.name != "train" or status.progress is None:
        return (stage.name if stage else "",)
    progress = status.progress
    return (stage.name, f"{progress.step}/{progress.total_steps} ({progress.percent}%)", losses(progress, ASCII),
            speed(progress))
