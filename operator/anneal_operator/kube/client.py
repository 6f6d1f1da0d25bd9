"""The seam between the operator and the API server. tests/fakes.py has the other implementation, in memory."""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from anneal_operator.decide.facts import LogRequest, Object
from anneal_operator.kube.kinds import Kind

FIELD_MANAGER = "anneal"


class Guard(Protocol):
    """Asked before each write."""

    def __call__(self) -> float:
        """Return for how many seconds this process may still write. Raises LeaseLost when it may not."""
        ...


Observer = Callable[[str, str, int], None]
"""Told about each request: verb, kind, HTTP status (0: no answer)."""


@dataclass(frozen=True)
class Listing:
    """The answer to a list, or one page of it: the objects, and the version of the collection they were read at."""

    items: tuple[Object, ...]
    version: int


@dataclass(frozen=True)
class Change:
    """What a watch tells: everything up to this version has been told."""

    version: int
    obj: Object | None = None
    """The object as it is now, or as it was last; None where only the version went on."""
    deleted: bool = False


class KubeClient(Protocol):
    """What the operator asks of the API server; objects are raw JSON. Every method may raise a KubeError."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """Read one object."""
        ...

    def pages(
        self, kind: Kind, namespace: str | None, *, labels: str = "", fields: str = "",
    ) -> AsyncGenerator[Listing, None]:
        """Read all objects that the selectors match, page by page, all as of one version; namespace None reads all
        namespaces. The next page is asked for while one is looked at: close what is not read to its end. Raises
        Expired when that version is no longer kept: begin again.
        """
        ...

    def watch(
        self, kind: Kind, namespace: str | None, version: int, *, labels: str = "",
    ) -> AsyncGenerator[Change, None]:
        """What happens after this version, until the API server ends the watch, which it does every few minutes.

        Raises Expired when what happened since is no longer known: list again. Close what is not read to its end.
        """
        ...

    async def create(self, kind: Kind, manifest: Object) -> Object:
        """Create an object. Raises Conflict when one of that name exists."""
        ...

    async def apply(self, kind: Kind, manifest: Object) -> Object:
        """Server-side apply, not forced: raises Conflict when a field belongs to somebody else."""
        ...

    async def patch_status(self, kind: Kind, current: Object, status: Mapping[str, Any]) -> Object:
        """Make the status equal to this one. Raises Conflict unless the object is still exactly `current`."""
        ...

    async def patch_event(self, namespace: str, name: str, patch: Object) -> Object:
        """Merge into an Event."""
        ...

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> Object | None:
        """Delete the object with this uid, its children in the background.

        Returns it when it is still there, ending; None when it is gone. Raises Conflict for another uid.
        """
        ...

    async def pod_log(self, namespace: str, request: LogRequest) -> str:
        """Read the end of a container's log."""
        ...


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch that makes `new` of `old`: vanished keys become null, lists are replaced whole."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            if inner := merge_patch(before, value):
                patch[key] = inner
        elif key not in old or value != before:
            patch[key] = value
    return patch
