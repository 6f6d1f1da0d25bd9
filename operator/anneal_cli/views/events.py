"""Events as a table."""

from collections.abc import Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from anneal_cli.history import Event
from anneal_cli.views.text import between


def table(events: Sequence[Event], now: datetime) -> Table:
    """AGE, TYPE, REASON, OBJECT and MESSAGE."""
    result = Table(box=None, pad_edge=False, header_style="")
    for column in ("AGE", "REASON", "OBJECT", "MESSAGE"):
        result.add_column(column, overflow="fold", no_wrap=column in ("AGE", "REASON"))
    for event in events:
        times = f" (x{event.count})" if event.count > 1 else ""
        result.add_row(between(event.time, now), Text(event.reason, "yellow" if event.warning else ""), event.object,
                       event.message + times)
    return result
