"""What the commands need from a cluster. `kube` has the real one; tests use one in memory."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from anneal_cli.kinds import Collection
from anneal_cli.resource import Object

Params = Mapping[str, str]


@dataclass(frozen=True)
class Listing:
    """One LIST: the objects and the version to watch from."""

    items: list[Object]
    version: str


@dataclass(frozen=True)
class Change:
    """One event of a watch."""

    type: str
    """ADDED, MODIFIED, DELETED or BOOKMARK."""
    object: Object


class Cluster(Protocol):
    """Reads, one kind of write, and connections to pods. Every failure is a CliError that the user can act on."""

    @property
    def context(self) -> str:
        """Name of the kubeconfig context, for messages."""

    @property
    def namespace(self) -> str:
        """The namespace that commands work in."""

    def get(self, collection: Collection, name: str, namespace: str | None = None) -> Object:
        """One object; NotFound where there is none. Namespace None is the commands' own."""

    def list(self, collection: Collection, params: Params, *, everywhere: bool = False) -> Listing:
        """Objects by labelSelector and fieldSelector, in the own namespace or everywhere."""

    def watch(self, collection: Collection, params: Params, version: str) -> Iterator[Change]:
        """Changes after `version`, until the server ends the watch. Expired: list again."""

    def create(self, collection: Collection, body: Object) -> Object:
        """POST, outside of namespaces: reviews of what the caller may do."""

    def patch(self, collection: Collection, name: str, body: Object) -> Object:
        """JSON merge patch of one object."""

    def log(self, pod: str, params: Params) -> Iterator[str]:
        """Lines of a container's log; with follow=true until the container ends or the connection is cut."""

    def connect(self, pod: str, port: int) -> AbstractContextManager[socket.socket]:
        """A byte stream to a port of a pod, through the API server."""

    def read(self, path: str) -> Any:
        """The JSON at any path of the API server, such as /version."""
