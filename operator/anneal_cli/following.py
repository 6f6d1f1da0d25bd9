"""Streams that survive: LIST then WATCH again whenever a watch is cut, and several streams read as one."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from anneal_cli.cluster import Change, Cluster, Params
from anneal_cli.errors import CliError, Expired, Unavailable
from anneal_cli.kinds import Collection
from anneal_cli.resource import Object

FIRST_BACKOFF = 0.5
LAST_BACKOFF = 10.0


def follow(cluster: Cluster, collection: Collection, params: Params,
           pause: Callable[[float], object]) -> Iterator[Change]:
    """Every object as ADDED, then every change, for ever; objects that vanished unseen come as DELETED.

    `pause` waits between two attempts when the API server is away.
    """
    known: dict[str, Object] = {}
    backoff = FIRST_BACKOFF
    while True:
        try:
            listing = cluster.list(collection, params)
            yield from _differences(known, listing.items)
            known = {item["metadata"]["uid"]: item for item in listing.items}
            for change in _changes(cluster, collection, params, listing.version, pause):
                backoff = FIRST_BACKOFF
                _remember(known, change)
                yield change
        except Expired:
            continue
        except Unavailable:
            pause(backoff)
            backoff = min(backoff * 2, LAST_BACKOFF)


def _changes(cluster: Cluster, collection: Collection, params: Params, version: str,
             pause: Callable[[float], object]) -> Iterator[Change]:
    """Watch after watch, each from where the last one ended."""
    while True:
        for change in cluster.watch(collection, {**params, "allowWatchBookmarks": "true"}, version):
            version = change.object["metadata"].get("resourceVersion", version)
            if change.type != "BOOKMARK":
                yield change
        # A server or proxy that ends every watch at once must not be asked in a tight loop.
        pause(FIRST_BACKOFF)


def _differences(known: dict[str, Object], items: list[Object]) -> Iterator[Change]:
    uids = {item["metadata"]["uid"] for item in items}
    yield from (Change("DELETED", gone) for uid, gone in known.items() if uid not in uids)
    yield from (Change("MODIFIED" if item["metadata"]["uid"] in known else "ADDED", item)
                for item in items if known.get(item["metadata"]["uid"]) != item)


def _remember(known: dict[str, Object], change: Change) -> None:
    uid = change.object["metadata"]["uid"]
    if change.type == "DELETED":
        known.pop(uid, None)
    else:
        known[uid] = change.object


T = TypeVar("T")


class Merged(Generic[T]):
    """Several blocking streams, each read in a thread of its own, as one stream.

    The threads are daemons: a stream that blocks for ever ends with the process.
    """

    def __init__(self) -> None:
        self._queue: queue.Queue[T | CliError] = queue.Queue()

    def add(self, stream: Iterable[T]) -> None:
        """Read this stream too."""
        threading.Thread(target=self._drain, args=(stream,), daemon=True).start()

    def next(self, seconds: float | None) -> T | None:
        """The next item of any stream, or None when none came in time. Raises the CliError of a failed stream."""
        try:
            item = self._queue.get(timeout=seconds)
        except queue.Empty:
            return None
        if isinstance(item, CliError):
            raise item
        return item

    def _drain(self, stream: Iterable[T]) -> None:
        try:
            for item in stream:
                self._queue.put(item)
        except CliError as error:
            self._queue.put(error)
