"""A KubeClient in memory: resourceVersions, uids, generations, preconditions, conflicts, and failures on demand."""

import asyncio
import copy
import itertools
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from anneal_operator.decide.facts import LogRequest, Object
from anneal_operator.kube import errors
from anneal_operator.kube.client import FIELD_MANAGER, Change, Listing, merge_patch
from anneal_operator.kube.execute import covers
from anneal_operator.kube.kinds import BY_NAME, EVENT, Kind, meta

CREATED = "2026-01-01T00:00:00Z"
PAGE = 2
"""Objects on one page of a list: few, so that lists have several."""
READS = frozenset({"get", "list", "watch", "log"})


@dataclass(frozen=True)
class Call:
    """One request that was made."""

    verb: str
    kind: str
    name: str


class FakeKube:
    """See KubeClient. `calls` holds every request, `fail` makes the next ones go wrong."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.logs: dict[tuple[str, str], str] = {}
        self._objects: dict[tuple[str, str, str], Object] = {}
        self._owned_fields: dict[tuple[str, str, str], dict[str, Object]] = defaultdict(dict)
        self._versions = itertools.count(1)
        self._uids = (f"00000000-0000-0000-0000-{n:012d}" for n in itertools.count(1))
        self._failures: dict[tuple[str, str], list[errors.KubeError]] = defaultdict(list)
        self._changes: list[tuple[str, Change]] = []
        self._news = asyncio.Event()
        self._cuts = 0

    # what tests say and ask

    def add(self, manifest: Object) -> Object:
        """Put an object there, as somebody else would."""
        obj = copy.deepcopy(manifest)
        about = obj.setdefault("metadata", {})
        about.setdefault("namespace", "default")
        about.setdefault("uid", next(self._uids))
        about.setdefault("generation", 1)
        about.setdefault("creationTimestamp", CREATED)
        return self._save(obj)

    def edit(self, kind: Kind, namespace: str, name: str, patch: Object) -> Object:
        """Merge into an object, as somebody else would; a change of spec raises its generation."""
        return self._save(_merged(self._known(kind, namespace, name), patch))

    def remove(self, kind: Kind, namespace: str, name: str) -> None:
        """Take an object away together with what it owns, as the garbage collector would."""
        gone = self._objects.pop((kind.name, namespace, name))
        version = self._version()
        about = {**meta(gone), "resourceVersion": str(version)}
        self._tell(kind.name, Change(version, {**gone, "metadata": about}, deleted=True))
        for child in [o for o in self._objects.values() if _is_owned_by(o, meta(gone)["uid"])]:
            self.remove(BY_NAME[child["kind"]], namespace, meta(child)["name"])

    def objects(self, kind: Kind) -> list[Object]:
        """All objects of a kind, by name."""
        found = [copy.deepcopy(o) for (k, _, _), o in self._objects.items() if k == kind.name]
        return sorted(found, key=lambda o: str(meta(o)["name"]))

    def fail(self, verb: str, kind: Kind, error: errors.KubeError, times: int = 1) -> None:
        """Let the next requests of this verb and kind fail."""
        self._failures[verb, kind.name] += [error] * times

    def cut_watches(self) -> None:
        """End all watches, as the API server does from time to time."""
        self._cuts += 1
        self._wake()

    def count(self) -> Counter[str]:
        """How often each verb was used."""
        return Counter(call.verb for call in self.calls)

    def writes(self) -> list[Call]:
        """The requests that change something."""
        return [call for call in self.calls if call.verb not in READS]

    # KubeClient

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        self._called("get", kind, name)
        return copy.deepcopy(self._known(kind, namespace, name))

    async def pages(
        self, kind: Kind, namespace: str | None, *, labels: str = "", fields: str = "",
    ) -> AsyncGenerator[Listing, None]:
        self._called("list", kind, "")
        found = [o for (k, n, _), o in self._objects.items() if k == kind.name and namespace in (None, n)]
        matching = [copy.deepcopy(o) for o in found if _has_labels(o, labels) and _has_fields(o, fields)]
        version = self._version()
        for start in range(0, max(1, len(matching)), PAGE):
            yield Listing(tuple(matching[start : start + PAGE]), version)

    async def watch(
        self, kind: Kind, namespace: str | None, version: int, *, labels: str = "",
    ) -> AsyncGenerator[Change, None]:
        self._called("watch", kind, "")
        told, cuts = 0, self._cuts
        while self._cuts == cuts:
            news = self._news
            for name, change in self._changes[told:]:
                told += 1
                obj = change.obj or {}
                if name == kind.name and change.version > version and namespace in (None, meta(obj)["namespace"]) \
                        and _has_labels(obj, labels):
                    yield copy.deepcopy(change)
            await news.wait()

    async def create(self, kind: Kind, manifest: Object) -> Object:
        name = meta(manifest)["name"]
        self._called("create", kind, name)
        if (kind.name, meta(manifest)["namespace"], name) in self._objects:
            raise errors.Conflict(f"{kind} {name} already exists", status=409, reason="AlreadyExists")
        return copy.deepcopy(self.add(manifest))

    async def apply(self, kind: Kind, manifest: Object) -> Object:
        name, namespace = meta(manifest)["name"], meta(manifest)["namespace"]
        self._called("apply", kind, name)
        place = (kind.name, namespace, name)
        if (existing := self._objects.get(place)) is None:
            existing = self.add({"apiVersion": kind.api_version, "kind": kind.name,
                                 "metadata": {"name": name, "namespace": namespace}})
        for manager, fields in self._owned_fields[place].items():
            if manager != FIELD_MANAGER and not covers(_merged(fields, manifest), fields):
                raise errors.Conflict(f"conflict with {manager!r}", status=409, reason="Conflict")
        vanished = merge_patch(self._owned_fields[place].get(FIELD_MANAGER, {}), manifest)
        self._owned_fields[place][FIELD_MANAGER] = copy.deepcopy(manifest)
        return copy.deepcopy(self._save(_merged(_merged(existing, vanished), manifest)))

    async def patch_status(self, kind: Kind, current: Object, status: Mapping[str, Any]) -> Object:
        ours = meta(current)
        self._called("patch", kind, ours["name"])
        live = self._known(kind, ours["namespace"], ours["name"])
        if meta(live)["uid"] != ours["uid"] or meta(live)["resourceVersion"] != ours["resourceVersion"]:
            raise errors.Conflict("the object has been modified", status=409, reason="Conflict")
        return copy.deepcopy(self._save({**live, "status": copy.deepcopy(dict(status))}))

    async def patch_event(self, namespace: str, name: str, patch: Object) -> Object:
        self._called("patch", EVENT, name)
        return copy.deepcopy(self.edit(EVENT, namespace, name, patch))

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> Object | None:
        self._called("delete", kind, name)
        live = self._objects.get((kind.name, namespace, name))
        if live is None:
            return None
        if meta(live)["uid"] != uid:
            raise errors.Conflict("the uid in the precondition differs", status=409, reason="Conflict")
        self.remove(kind, namespace, name)
        return None

    async def pod_log(self, namespace: str, request: LogRequest) -> str:
        self._called("log", BY_NAME["Pod"], request.pod)
        if (text := self.logs.get((request.pod, request.container))) is None:
            raise errors.Invalid("container is waiting to start", status=400)
        return text

    # inside

    def owned_by(self, manager: str, kind: Kind, namespace: str, name: str, fields: Object) -> None:
        """Let another field manager own these fields."""
        self._owned_fields[kind.name, namespace, name][manager] = fields

    def _called(self, verb: str, kind: Kind, name: str) -> None:
        self.calls.append(Call(verb, kind.name, name))
        if queued := self._failures[verb, kind.name]:
            raise queued.pop(0)

    def _known(self, kind: Kind, namespace: str, name: str) -> Object:
        try:
            return self._objects[kind.name, namespace, name]
        except KeyError:
            raise errors.NotFound(f"{kind} {namespace}/{name} not found", status=404) from None

    def _save(self, obj: Object) -> Object:
        place = (obj["kind"], meta(obj)["namespace"], meta(obj)["name"])
        before = self._objects.get(place)
        about = dict(meta(obj))
        if before is not None and _without_version(before) == _without_version(obj):
            return before
        if before is not None and before.get("spec") != obj.get("spec"):
            about["generation"] = int(meta(before)["generation"]) + 1
        version = self._version()
        about["resourceVersion"] = str(version)
        self._objects[place] = {**obj, "metadata": about}
        self._tell(obj["kind"], Change(version, self._objects[place]))
        return self._objects[place]

    def _tell(self, kind: str, change: Change) -> None:
        self._changes.append((kind, change))
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _version(self) -> int:
        return next(self._versions)


def _without_version(obj: Object) -> Object:
    return {**obj, "metadata": {k: v for k, v in meta(obj).items() if k != "resourceVersion"}}


def _merged(obj: Object, patch: Object) -> Object:
    result = copy.deepcopy(obj)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = _merged(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def _is_owned_by(obj: Object, uid: str) -> bool:
    return any(reference["uid"] == uid for reference in meta(obj).get("ownerReferences", ()))


def _has_labels(obj: Object, selector: str) -> bool:
    labels = meta(obj).get("labels") or {}
    return all(name in labels and (not equals or labels[name] == value) for name, equals, value in _terms(selector))


def _has_fields(obj: Object, selector: str) -> bool:
    def field(path: str) -> Any:
        value: Any = obj
        for part in path.split("."):
            value = (value or {}).get(part)
        return value

    return all(field(name) == value for name, _, value in _terms(selector))


def _terms(selector: str) -> Iterator[tuple[str, str, str]]:
    return (term.partition("=") for term in selector.split(",") if term)
