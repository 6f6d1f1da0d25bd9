"""What a pass knows. `kube.observe` gathers it in two steps: the store's snapshot first, then what `needs` asks for.

Objects are raw JSON dicts as the API server sends them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Object = dict[str, Any]


@dataclass(frozen=True)
class Children:
    """The children of one resource: those labelled with its uid, from the store."""

    jobs: tuple[Object, ...] = ()
    pods: tuple[Object, ...] = ()
    claims: tuple[Object, ...] = ()
    config_maps: tuple[Object, ...] = ()
    deployments: tuple[Object, ...] = ()
    services: tuple[Object, ...] = ()


@dataclass(frozen=True)
class LogRequest:
    """A bounded read of one container's log."""

    pod: str
    container: str
    previous: bool = False
    tail_lines: int | None = 200
    """The last lines; None: from the beginning."""
    limit_bytes: int = 65536


@dataclass(frozen=True)
class Needs:
    """What a pass must read live besides the snapshot; computed by a pure function from the snapshot."""

    claims: tuple[str, ...] = ()
    """Names of PersistentVolumeClaims whose existence matters."""
    config_maps: tuple[str, ...] = ()
    """Names of ConfigMaps of the user's whose existence matters."""
    events_of: tuple[str, ...] = ()
    """Names of stuck children (Job, Pod, claim, ReplicaSet) whose Warning events matter."""
    logs: tuple[LogRequest, ...] = ()
    fine_tune_job: str | None = None
    """Name of a FineTuneJob that a ModelDeployment refers to."""


@dataclass(frozen=True)
class Found:
    """What was read live. A name that was asked for and is absent from a mapping does not exist."""

    claims: Mapping[str, Object] = field(default_factory=dict)
    config_maps: Mapping[str, Object] = field(default_factory=dict)
    events: tuple[Object, ...] = ()
    logs: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """By (pod, container)."""
    fine_tune_job: Object | None = None


@dataclass(frozen=True)
class WriteError:
    """A write of the last pass that the API server refused (quota, admission, RBAC, a foreign object of that name)."""

    kind: str
    name: str
    status: int
    """HTTP status."""
    reason: Literal["Forbidden", "Invalid", "NameTaken", "Conflict", "Unavailable"]
    message: str


@dataclass(frozen=True)
class Facts:
    """Everything one decision is made from."""

    resource: Object
    children: Children
    found: Found = Found()
    write_errors: tuple[WriteError, ...] = ()
    """From the previous pass over the same resource, kept in memory; they are seen again if they still apply."""
