"""Resources as a table, one line each."""

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from anneal_cli.kinds import FINE_TUNE_JOB
from anneal_cli.resource import Resource, State
from anneal_cli.views.columns import columns
from anneal_cli.views.text import STATE_STYLES, between

HEADER = ("NAMESPACE", "NAME", "PHASE", "PROGRESS", "REASON", "AGE")


def table(resources: Sequence[Resource], now: datetime, *, namespaces: bool) -> Text:
    """NAME, PHASE, PROGRESS, REASON and AGE, with NAMESPACE in front where there are several."""
    first = 0 if namespaces else 1
    return columns(HEADER[first:], [_row(resource, now)[first:] for resource in resources])


def _row(resource: Resource, now: datetime) -> tuple[str | Text, ...]:
    phase = Text(resource.status.phase or "Pending", STATE_STYLES[resource.state])
    return (resource.namespace, f"{resource.kind.short}/{resource.name}", phase, _progress(resource), _reason(resource),
            between(resource.created, now))


def _progress(resource: Resource) -> str:
    if resource.kind != FINE_TUNE_JOB:
        return resource.deployment.replicas
    return resource.job.progress.summary if resource.job.progress else ""


def _reason(resource: Resource) -> str:
    condition = resource.trouble
    return condition.reason if condition and resource.state != State.READY else ""
