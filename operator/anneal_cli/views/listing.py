"""Resources as a table, one line each."""

from collections.abc import Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from anneal_cli.kinds import FINE_TUNE_JOB
from anneal_cli.resource import Resource, State
from anneal_cli.views.text import STATE_STYLES, between


def table(resources: Sequence[Resource], now: datetime, *, namespaces: bool) -> Table:
    """KIND, NAME, PHASE, PROGRESS, REASON, AGE."""
    result = Table(box=None, pad_edge=False, header_style="")
    for column in (*(["NAMESPACE"] if namespaces else []), "NAME", "PHASE", "PROGRESS", "REASON", "AGE"):
        result.add_column(column, no_wrap=column in ("NAME", "AGE"), overflow="fold")
    for resource in resources:
        result.add_row(*([resource.namespace] if namespaces else []), f"{resource.kind.short}/{resource.name}",
                       Text(resource.status.phase or "Pending", STATE_STYLES[resource.state]), _progress(resource),
                       _reason(resource), between(resource.created, now))
    return result


def _progress(resource: Resource) -> str:
    if resource.kind != FINE_TUNE_JOB:
        return resource.deployment.replicas
    return resource.job.progress.summary if resource.job.progress else ""


def _reason(resource: Resource) -> str:
    condition = resource.trouble
    return condition.reason if condition and resource.state != State.READY else ""
