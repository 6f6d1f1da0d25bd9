"""Is the operator alive? A process whose loop turns but whose watches went deaf is not."""

import time
from collections.abc import Callable

from anneal_operator.decide.facts import Object
from anneal_operator.kube.kinds import Kind, meta, resource_version

PATIENCE = 120.0
"""Seconds that a watch may be behind a LIST: longer than it takes to notice and replace a dead connection."""


class WatchHealth:
    """Remembers what a LIST showed and no event had told, until an event tells it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._missed: dict[tuple[str, str], tuple[int, float]] = {}

    def missed(self, kind: Kind, obj: Object) -> None:
        """A LIST showed this object otherwise than events had. One that a LIST no longer shows proves nothing, and is
        not told: Kopf's watch, when it starts anew, tells nothing about what vanished meanwhile."""
        place = (kind.name, str(meta(obj)["uid"]))
        self._missed.setdefault(place, (resource_version(obj), self._clock()))

    def seen(self, kind: Kind, obj: Object) -> None:
        """An event told of this object."""
        place = (kind.name, str(meta(obj)["uid"]))
        if place in self._missed and resource_version(obj) >= self._missed[place][0]:
            del self._missed[place]

    def listed(self, kind: Kind) -> None:
        """The watch of this kind begins anew from a LIST, and will not tell what that showed."""
        for place in [place for place in self._missed if place[0] == kind.name]:
            del self._missed[place]

    def deaf(self) -> str:
        """Which watch is deaf, in words; empty when none is."""
        limit = self._clock() - PATIENCE
        late = sorted({kind for (kind, _), (_, since) in self._missed.items() if since < limit})
        if not late:
            return ""
        return f"no watch event told of changes that a LIST showed {PATIENCE:.0f} s ago: {', '.join(late)}"
