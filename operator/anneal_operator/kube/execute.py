"""Carry a plan out: deletes, creates, applies, then one status patch if it differs, then events.

A refusal of the API server (quota, admission, RBAC, a foreign object of that name) is no failure of the pass: it is
returned, and the next pass decides with it. Then this pass writes neither status nor events, unless it knew of the
refusal already: what it decided was decided on the belief that the write would succeed.
"""

import logging
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from anneal_operator.decide.facts import Facts, Object, WriteError
from anneal_operator.decide.plan import Delete, Manifest, Plan
from anneal_operator.desired.names import LABEL_UID
from anneal_operator.kube.client import KubeClient
from anneal_operator.kube.errors import Conflict, Forbidden, Invalid, KubeError, NotFound
from anneal_operator.kube.events import Recorder
from anneal_operator.kube.kinds import BY_NAME, Kind, label, meta

log = logging.getLogger(__name__)


class Memory(Protocol):
    """Where the answers to our own writes go, so that the next pass does not decide on older objects."""

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None: ...

    def put(self, kind: Kind, obj: Object) -> object: ...

    def drop(self, kind: Kind, namespace: str, name: str, uid: str) -> object: ...


@dataclass(frozen=True)
class Outcome:
    """What a pass did."""

    refused: tuple[WriteError, ...] = ()
    news: bool = False
    """There are refusals that the decision did not know of."""


class Executor:
    """Writes plans."""

    def __init__(self, client: KubeClient, memory: Memory, recorder: Recorder) -> None:
        self._client = client
        self._memory = memory
        self._recorder = recorder

    async def execute(self, facts: Facts, plan: Plan, now: datetime) -> Outcome:
        """Carry the plan out. Raises a KubeError when the pass must be tried again as it is."""
        refused = await self._write_children(facts.resource, plan)
        if _signature(refused) - _signature(facts.write_errors):
            return Outcome(refused, news=True)
        updated = await self._write_status(facts.resource, plan.status)
        for event in plan.events:
            await self._recorder.record(updated, event, now)
        return Outcome(refused)

    async def _write_children(self, resource: Object, plan: Plan) -> tuple[WriteError, ...]:
        namespace, uid = meta(resource)["namespace"], meta(resource)["uid"]
        refused = [await _refusal(d.kind, d.name, self._delete(namespace, uid, d)) for d in plan.deletes]
        applies = [m for m in plan.applies if not self._is_current(m)]
        if plan.creates or applies:
            await self._check_owner(resource)
        refused += [await _refusal(m["kind"], meta(m)["name"], self._create(uid, m)) for m in plan.creates]
        refused += [await _refusal(m["kind"], meta(m)["name"], self._apply(uid, m)) for m in applies]
        return tuple(error for error in refused if error is not None)

    async def _check_owner(self, resource: Object) -> None:
        """No child is made for a resource that is gone, being deleted, or has been made anew under its name."""
        kind, ours = BY_NAME[resource["kind"]], meta(resource)
        live = meta(await self._client.get(kind, ours["namespace"], ours["name"]))
        if live["uid"] != ours["uid"] or bool(live.get("deletionTimestamp")) != bool(ours.get("deletionTimestamp")):
            raise Conflict(f"{kind} {ours['namespace']}/{ours['name']} changed since it was read", status=409)

    async def _delete(self, namespace: str, owner: str, wanted: Delete) -> None:
        kind = BY_NAME[wanted.kind]
        live = await self._live(kind, namespace, wanted.name)
        if live is None or meta(live)["uid"] != wanted.uid:
            self._memory.drop(kind, namespace, wanted.name, wanted.uid)
            return
        _require_ours(kind, live, owner)
        if not meta(live).get("deletionTimestamp"):
            live = await self._client.delete(kind, namespace, wanted.name, wanted.uid)
            log.info("deleted %s %s", kind, wanted.name)
        if live is None:
            self._memory.drop(kind, namespace, wanted.name, wanted.uid)
        else:
            self._memory.put(kind, live)

    async def _create(self, owner: str, manifest: Manifest) -> None:
        kind = BY_NAME[manifest["kind"]]
        namespace, name = meta(manifest)["namespace"], meta(manifest)["name"]
        try:
            answer = await self._client.create(kind, manifest)
            log.info("created %s %s", kind, name)
        except Conflict as conflict:
            existing = await self._live(kind, namespace, name)
            if existing is None:
                raise conflict from None  # it vanished between two requests: the next pass creates it
            _require_ours(kind, existing, owner)
            answer = existing
        self._memory.put(kind, answer)

    async def _apply(self, owner: str, manifest: Manifest) -> None:
        kind = BY_NAME[manifest["kind"]]
        existing = await self._live(kind, meta(manifest)["namespace"], meta(manifest)["name"])
        if existing is not None:
            _require_ours(kind, existing, owner)
        self._memory.put(kind, await self._client.apply(kind, manifest))
        log.info("applied %s %s", kind, meta(manifest)["name"])

    async def _live(self, kind: Kind, namespace: str, name: str) -> Object | None:
        try:
            return await self._client.get(kind, namespace, name)
        except NotFound:
            return None

    def _is_current(self, manifest: Manifest) -> bool:
        """Applying what is there already costs a request and changes nothing."""
        ours = meta(manifest)
        stored = self._memory.get(BY_NAME[manifest["kind"]], ours["namespace"], ours["name"])
        return stored is not None and covers(stored, manifest)

    async def _write_status(self, resource: Object, status: dict[str, Any] | None) -> Object:
        if status is None or status == (resource.get("status") or {}):
            return resource
        kind = BY_NAME[resource["kind"]]
        updated = await self._client.patch_status(kind, resource, status)
        self._memory.put(kind, updated)
        return updated


class _NameTakenError(Exception):
    """An object that is not ours has the name of a child."""


def _require_ours(kind: Kind, existing: Object, owner: str) -> None:
    if label(existing, LABEL_UID) != owner:
        raise _NameTakenError(f"{kind} {meta(existing)['name']} exists and was not made for this resource")


async def _refusal(kind: str, name: str, write: Awaitable[None]) -> WriteError | None:
    try:
        await write
    except _NameTakenError as error:
        return _error(kind, name, 409, "NameTaken", str(error))
    except (Forbidden, Invalid, Conflict) as error:
        log.warning("write refused: %s", error)
        return _error(kind, name, error.status, _REASONS[type(error)], error.message)
    return None


_Reason = Literal["Forbidden", "Invalid", "NameTaken", "Conflict"]
_REASONS: dict[type[KubeError], _Reason] = {Forbidden: "Forbidden", Invalid: "Invalid", Conflict: "Conflict"}


def _error(kind: str, name: str, status: int, reason: _Reason, message: str) -> WriteError:
    return WriteError(kind=kind, name=name, status=status, reason=reason, message=message)


def _signature(errors: Iterable[WriteError]) -> set[tuple[str, str, str]]:
    """What makes two refusals the same; messages carry numbers that change."""
    return {(error.kind, error.name, error.reason) for error in errors}


def covers(live: Any, wanted: Any) -> bool:
    """Does the live object hold everything that is wanted? It may hold more: defaults, status, fields of others."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(key in live and covers(live[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return (isinstance(live, list) and len(live) == len(wanted)
                and all(covers(a, b) for a, b in zip(live, wanted, strict=True)))
    return bool(live == wanted)
