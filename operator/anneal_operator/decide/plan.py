"""The only output of deciding: what to write, in which order, and when to look again.

`kube.execute` carries a plan out in the order of the fields: deletes, creates, applies, then one status patch if it
differs from what is there, then events. A plan is level-triggered: any pass may be the first or the thousandth.
"""

from dataclasses import dataclass
from typing import Any, Literal

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Delete:
    """Delete a child, only if it still has this uid; background propagation."""

    api_version: str
    kind: str
    name: str
    uid: str


@dataclass(frozen=True)
class Event:
    """A Kubernetes Event about the resource. Reasons are those of conditions."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class Plan:
    """What one pass wants to be true."""

    deletes: tuple[Delete, ...] = ()
    creates: tuple[Manifest, ...] = ()
    """Immutable children (Job, PersistentVolumeClaim, run ConfigMap): POST; on 409 the uid label is compared."""
    applies: tuple[Manifest, ...] = ()
    """Mutable children (Deployment, Service, serve ConfigMap): server-side apply, never forced."""
    status: dict[str, Any] | None = None
    """The whole wanted status. None leaves it alone."""
    events: tuple[Event, ...] = ()
    requeue_after: float | None = None
    """Seconds until the next pass when nothing happens before; None waits for events alone."""
