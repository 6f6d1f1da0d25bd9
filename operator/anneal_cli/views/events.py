"""Events as a table."""

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from anneal_cli.history import Event
from anneal_cli.views.columns import columns
from anneal_cli.views.text import between

INDENT = 4
HEADER = ("AGE", "REASON", "OBJECT", "MESSAGE")


def table(events: Sequence[Event], now: datetime, room: int | None = None) -> RenderableType:
    """AGE, REASON, OBJECT and MESSAGE; warnings in yellow. What has not room for a line each gets two."""
    rows = [_row(event, now) for event in events]
    wide = columns(HEADER, rows)
    if room is None or all(line.cell_len <= room for line in wide.split()):
        return wide
    lines = columns(HEADER[:-1], [row[:-1] for row in rows]).split()
    parts: list[RenderableType] = [lines[0]]
    for line, row in zip(lines[1:], rows, strict=True):
        parts += [line, Padding(row[-1], (0, 0, 0, INDENT))]
    return Group(*parts)


def _row(event: Event, now: datetime) -> tuple[str | Text, ...]:
    times = f" (x{event.count})" if event.count > 1 else ""
    return (between(event.time, now), Text(event.reason, "yellow" if event.warning else ""), event.object,
            event.message + times)
