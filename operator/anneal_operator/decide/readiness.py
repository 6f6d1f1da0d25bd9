"""The part of a status that is the same for both kinds: Ready, Reconciling and Stalled, the timeline, the Events."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from anneal_api.conditions import (
    Condition,
    ConditionType,
    Reason,
    drop_condition,
    find_condition,
    set_condition,
)
from anneal_api.finetunejob_status import TimelineEntry
from anneal_operator.decide.plan import Event

MAX_TIMELINE = 64


@dataclass(frozen=True)
class Outlook:
    """The resource as a whole. working: we or the world are still at it. held: nothing moves, by the user's wish."""

    state: Literal["working", "done", "failed", "held"]
    reason: Reason
    message: str


def summarise(
    conditions: Iterable[Condition], outlook: Outlook, generation: int, now: datetime,
) -> tuple[Condition, ...]:
    """Write the outlook as the three conditions that kstatus reads."""
    ready = outlook.state == "done"
    marks = {ConditionType.RECONCILING: outlook.state == "working", ConditionType.STALLED: outlook.state == "failed"}
    found = set_condition(conditions, ConditionType.READY, "True" if ready else "False", outlook.reason,
                          outlook.message, generation=generation, now=now)
    for kind, wanted in marks.items():
        found = (set_condition(found, kind, "True", outlook.reason, outlook.message, generation=generation, now=now)
                 if wanted else drop_condition(found, kind))
    return found


def note(timeline: Iterable[TimelineEntry], event: str, time: str) -> list[TimelineEntry]:
    """Add a moment, once. It is never before those that led to it, whatever the clocks of their machines say."""
    found = list(timeline)
    if any(entry.event == event for entry in found):
        return found
    latest = max([time, *(entry.time for entry in found)])
    return [*found, TimelineEntry(event=event, time=latest)][-MAX_TIMELINE:]


def announce(old: Iterable[Condition], new: Iterable[Condition], outlook: Outlook) -> tuple[Event, ...]:
    """One Event when the resource as a whole changes its reason."""
    before = find_condition(old, ConditionType.READY)
    after = find_condition(new, ConditionType.READY)
    if after is None or (before and (before.status, before.reason) == (after.status, after.reason)):
        return ()
    return (Event(severity(outlook), outlook.reason, first_line(outlook.message)),)


_EXPECTED = {Reason.ACCEPTED, Reason.WAITING, Reason.RUNNING, Reason.STARTING, Reason.SUSPENDED}


def severity(outlook: Outlook) -> Literal["Normal", "Warning"]:
    """Must a person look at it?"""
    expected = outlook.state in ("done", "held") or outlook.reason in _EXPECTED
    usual = expected and outlook.reason is not Reason.ROLLED_BACK
    return "Normal" if usual else "Warning"


def first_line(message: str) -> str:
    """Events are one line and short; the condition has the rest."""
    return " ".join(message.split())[:900]
