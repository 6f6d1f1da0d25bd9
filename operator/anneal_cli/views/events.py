"""Events as a table."""

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from anneal_cli.history import Event
from anneal_cli.views.columns import columns
from anneal_cli.views.text import between


def table(events: Sequence[Event], now: datetime) -> Text:
    """AGE, REASON, OBJECT and MESSAGE; warnings in yellow."""
    return columns(("AGE", "REASON", "OBJECT", "MESSAGE"), [_row(event, now) for event in events])


def _row(event: Event, now: datetime) -> tuple[str | Text, ...]:
    times = f" (x{event.count})" if event.count > 1 else ""
    return (between(event.time, now), Text(event.reason, "yellow" if event.warning else ""), event.object,
            event.message + times)
