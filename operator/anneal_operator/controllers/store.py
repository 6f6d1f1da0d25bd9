"""What the operator believes the cluster to hold: filled by watch events, replaced by every LIST.

Only for finding out what to do. Whatever deletes reads the object live first, and whatever creates its owner. Objects
are kept as compressed JSON, without what nobody reads: as dictionaries they would take thirty times the memory.
"""

import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import TypeVar

import orjson

from anneal_operator.decide.facts import Children, Object
from anneal_operator.desired.names import LABEL_KIND, LABEL_NAME, LABEL_UID
from anneal_operator.kube.kinds import (
    CLAIM,
    CONFIG_MAP,
    DEPLOYMENT,
    FINETUNEJOB,
    JOB,
    MODELDEPLOYMENT,
    POD,
    RESOURCES,
    SERVICE,
    WATCHED,
    Kind,
    label,
    meta,
    resource_version,
)
from anneal_operator.kube.trim import trim

ENDED = frozenset({"Succeeded", "Failed"})
"""Phases of runs that nothing changes but their spec."""
FASTEST = 1
"""The level of compression: a third of the size for 40 microseconds."""


@dataclass(frozen=True)
class Key:
    """One resource to reconcile."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


_Place = tuple[str, str, str]
"""Kind, namespace and name of any object."""

_K = TypeVar("_K")
_V = TypeVar("_V")

_KINDS = {kind.name: kind for kind in RESOURCES}


@dataclass(frozen=True, slots=True)
class _Packed:
    """An object, and what is asked of it so often that it must not be unpacked for it."""

    version: int
    uid: str
    owner: str
    phase: str
    text: bytes

    @staticmethod
    def of(kind: Kind, obj: Object) -> "_Packed":
        text = zlib.compress(orjson.dumps(trim(kind, obj)), FASTEST)
        phase = str((obj.get("status") or {}).get("phase", "")) if kind in RESOURCES else ""
        # All children of a resource share one copy of its uid.
        return _Packed(resource_version(obj), str(meta(obj)["uid"]), sys.intern(label(obj, LABEL_UID)), phase, text)

    def unpack(self) -> Object:
        result: Object = orjson.loads(zlib.decompress(self.text))
        return result


class Store:
    """Objects by kind, namespace and name; children also by the uid of their owner."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[tuple[str, str], _Packed]] = {k.name: {} for k in WATCHED}
        self._by_owner: defaultdict[str, set[_Place]] = defaultdict(set)
        self._referrers: defaultdict[tuple[str, str], set[str]] = defaultdict(set)

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object as last seen; a copy of one's own."""
        known = self._objects[kind.name].get((namespace, name))
        return known.unpack() if known else None

    def resource(self, key: Key) -> Object | None:
        """The resource as last seen."""
        return self.get(_KINDS[key.kind], key.namespace, key.name)

    def is_new(self, key: Key) -> bool:
        """Has no operator looked at this resource yet?"""
        known = self._objects[key.kind].get((key.namespace, key.name))
        return known is not None and known.phase == ""

    def phases(self, kind: Kind) -> Counter[str]:
        """How many resources of a kind are in each phase."""
        return Counter(known.phase for known in self._objects[kind.name].values())

    def by_urgency(self) -> list[Key]:
        """All resources: first those that no operator has looked at, last those that have come to their end."""
        phases = {Key(kind.name, *place): known.phase
                  for kind in RESOURCES for place, known in self._objects[kind.name].items()}
        return sorted(phases, key=lambda key: (phases[key] in ENDED, phases[key] != ""))

    def children(self, uid: str) -> Children:
        """The children labelled with this uid, in order of name."""
        places = sorted(self._by_owner.get(uid, ()))

        def of(kind: Kind) -> tuple[Object, ...]:
            return tuple(self._objects[k][n, m].unpack() for k, n, m in places if k == kind.name)

        return Children(jobs=of(JOB), pods=of(POD), claims=of(CLAIM), config_maps=of(CONFIG_MAP),
                        deployments=of(DEPLOYMENT), services=of(SERVICE))

    def put(self, kind: Kind, obj: Object) -> bool:
        """Remember the object, unless a newer one is known. Returns whether it was news: whether anything of it changed
        that a decision may read."""
        namespace, name = meta(obj)["namespace"], meta(obj)["name"]
        known = self._objects[kind.name].get((namespace, name))
        if known is not None and known.version >= resource_version(obj):
            return False
        packed = _Packed.of(kind, obj)
        if known is not None and known.text == packed.text:
            self._objects[kind.name][namespace, name] = packed
            return False
        self._forget(kind, namespace, name)
        self._objects[kind.name][namespace, name] = packed
        if uid := label(obj, LABEL_UID):
            self._by_owner[uid].add((kind.name, namespace, name))
        if reference := _reference(kind, obj):
            self._referrers[namespace, reference].add(name)
        return True

    def drop(self, kind: Kind, namespace: str, name: str, uid: str) -> bool:
        """Forget the object with this uid. Returns whether it was known."""
        known = self._objects[kind.name].get((namespace, name))
        if known is None or known.uid != uid:
            return False
        self._forget(kind, namespace, name)
        return True

    def prune(
        self, kind: Kind, namespace: str | None, listed: Container[tuple[str, str]], version: int,
    ) -> list[Object]:
        """Forget what a LIST at this version does not show, by namespace and name; returns it.

        Objects that are newer than the list, those that we wrote meanwhile, stay.
        """
        ghosts = [known.unpack() for place, known in self._objects[kind.name].items()
                  if place not in listed and known.version <= version and namespace in (None, place[0])]
        for ghost in ghosts:
            self._forget(kind, meta(ghost)["namespace"], meta(ghost)["name"])
        return ghosts

    def concerned(self, kind: Kind, obj: Object) -> Iterator[Key]:
        """The resources whose pass may end differently because this object changed."""
        namespace, name = meta(obj)["namespace"], meta(obj)["name"]
        if kind in RESOURCES:
            yield Key(kind.name, namespace, name)
        elif label(obj, LABEL_KIND) in _KINDS:
            yield Key(label(obj, LABEL_KIND), namespace, label(obj, LABEL_NAME))
        if kind == FINETUNEJOB:
            for referrer in self._referrers.get((namespace, name), ()):
                yield Key(MODELDEPLOYMENT.name, namespace, referrer)

    def _forget(self, kind: Kind, namespace: str, name: str) -> None:
        known = self._objects[kind.name].pop((namespace, name), None)
        if known is None:
            return
        _discard(self._by_owner, known.owner, (kind.name, namespace, name))
        if kind == MODELDEPLOYMENT:
            _discard(self._referrers, (namespace, _reference(kind, known.unpack())), name)


def _discard(index: defaultdict[_K, set[_V]], key: _K, value: _V) -> None:
    """Take a value out of an index, and the key with the last one."""
    if (values := index.get(key)) is not None:
        values.discard(value)
        if not values:
            del index[key]


def _reference(kind: Kind, obj: Object) -> str:
    """The FineTuneJob that a ModelDeployment serves, if it names one."""
    if kind != MODELDEPLOYMENT:
        return ""
    model = (obj.get("spec") or {}).get("model") or {}
    return str((model.get("fineTuneJobRef") or {}).get("name", ""))
