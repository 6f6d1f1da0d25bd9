"""Where the time went: the moments of the timeline, each with how long after the first it came."""

import re
from collections.abc import Iterator

from rich.text import Text

from anneal_cli.resource import Resource
from anneal_cli.views.text import duration

MILESTONES = ("firstStep", "firstToken")


def timeline(resource: Resource) -> Iterator[Text]:
    """A heading and a line per moment; nothing when fewer than two are known."""
    moments = resource.moments
    if len(moments) < 2:
        return
    yield Text("Timeline:", "bold")
    before = 0.0
    for event, seconds in moments:
        waited = f"+{duration(seconds - before)}" if seconds - before >= 0.5 else ""
        yield Text.assemble(f"{duration(seconds):>9}", f"  {waited:>7}  ",
                            (words(event), "bold" if event in MILESTONES else ""))
        before = seconds


def words(event: str) -> str:
    """`trainPodRunning` as `train pod running`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", event).lower()
