"""One namespace of a real API server with a proxy, a player of pods and an operator of its own.

Several worlds live side by side on one control plane: each operator serves its own namespace and holds the Lease there.
"""

import asyncio
import contextlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from aiohttp import web

from tests.rig.api import Api, Object, condition, path_of
from tests.rig.invariants import Invariants
from tests.rig.operator import Operator
from tests.rig.player import Player
from tests.rig.proxy import FaultProxy, Write, refusal
from tests.rig.witness import Witness

CHILD_KINDS = ("Job", "PersistentVolumeClaim", "ConfigMap", "Deployment", "Service")
MASKS = (
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "<time>"),
    (re.compile(r"\bworld-\d+\b"), "<namespace>"),
    (re.compile(r'(?<="suspendedSeconds": )\d+'), "0"),
)


@dataclass(frozen=True)
class Trace:
    """What a run left behind and how it got there, without what differs from run to run."""

    end: Object
    created: Counter[str]
    deleted: Counter[str]
    writes: list[str]


@dataclass
class Kill:
    """A kill that will happen, or has."""

    proxy: FaultProxy
    at: float | None = None

    def seconds_to_resume(self) -> float:
        """Until the next write; 0 when there was nothing left to write."""
        assert self.at is not None, f"not killed: the life had too few writes: {[str(w) for w in self.proxy.writes]}"
        return min((w.at - self.at for w in self.proxy.writes if w.at > self.at), default=0.0)


class World:
    """Used as an async context manager; everything it starts ends with it."""

    def __init__(self, kubeconfig: Path, namespace: str, folder: Path, secrets: tuple[str, ...] = ()) -> None:
        self.namespace = namespace
        self.api = Api(kubeconfig)
        self.proxy = FaultProxy(self.api)
        self.player = Player(self.api, (namespace,), nodes=0)
        self.invariants = Invariants(secrets)
        self.witness = Witness(self.api, namespace)
        self.folder = folder
        self.may_end = False
        """The fault ends the operator's process, which says why with a traceback before its parent starts another."""
        self._direct = kubeconfig
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "World":
        await self._stack.enter_async_context(self.api)
        await self._stack.enter_async_context(self.proxy)
        await self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        for claim in ("models", "data"):
            await self.api.create(claim_of(claim), self.namespace)
        self.proxy.after.append(self._check)
        await self._stack.enter_async_context(self.player.playing())
        self.operator = self.new_operator("pod-a")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.operator.kill()
        await self.api.delete("Namespace", "", self.namespace)
        await self._stack.aclose()

    def new_operator(self, identity: str, **env: str) -> Operator:
        """An operator that serves this namespace through the proxy; the world's end is its end."""
        operator = Operator(
            self.proxy.kubeconfig(self.folder, identity),
            self.folder / f"operator-{identity}.log",
            identity=identity,
            **{"ANNEAL_NAMESPACE": self.namespace, "ANNEAL_WATCH_NAMESPACES": self.namespace, **env},
        )
        self._stack.callback(operator.kill)
        return operator

    async def _check(self, write: Write) -> None:
        if write.method == "POST" and write.resource == "jobs" and write.status == 201:
            await self.witness.forget_ended_jobs(self.invariants)
        await self.invariants.check(write)
        self.invariants.violations += [text async for text in self.witness.objections(write)]

    def number_of(self, write: Write) -> int:
        """Counts writes of this kind: 1 for the first status patch, 1 for the first Job."""
        same = [w for w in self.proxy.writes if (w.method, w.resource) == (write.method, write.resource)]
        return same.index(write) + 1

    def kill_at(self, here: Callable[[Write], bool], *, after: bool = False) -> "Kill":
        """Kill the operator around the first write that `here` accepts, and start it again."""
        kill = Kill(self.proxy)

        async def before(write: Write) -> web.Response | None:
            if kill.at is not None or not here(write):
                return None
            self.operator.kill()
            kill.at = time.monotonic()
            self.operator.start()
            # Nobody reads this answer; without it the write of the dead would still reach the API server.
            return refusal(503)

        async def behind(write: Write) -> None:
            await before(write)

        if after:
            self.proxy.after.append(behind)
        else:
            self.proxy.before.append(before)
        return kill

    async def trace(self, kind: str, name: str) -> Trace:
        """The masked end state of a resource and its children, and the writes that led there."""
        resource = await self.api.find(kind, self.namespace, name)
        uid = (resource or {}).get("metadata", {}).get("uid", "") or self._uid_of(name)
        end: Object = {"status": mask((resource or {}).get("status"), uid)}
        for child in CHILD_KINDS:
            found = await self.api.list(child, self.namespace, f"anneal.dev/uid={uid}")
            end[child] = sorted(mask(c["metadata"]["name"], uid) for c in found if not _ending(c))
        return Trace(
            end,
            Counter({mask(key, uid): count for key, count in self.invariants.created.items()}),
            Counter({mask(key, uid): count for key, count in self.invariants.deleted.items()}),
            [mask(f"{w.method} {w.resource}", uid) for w in self.proxy.writes if (w.status or 500) < 400],
        )

    def _uid_of(self, name: str) -> str:
        owned = (w.answer.get("metadata", {}).get("labels", {}) for w in self.proxy.writes)
        return next((labels["anneal.dev/uid"] for labels in owned if labels.get("anneal.dev/name") == name), "")

    async def until(self, kind: str, name: str, status: str, reason: str, timeout: float = 40) -> Object:
        """The resource once Ready has this status and reason."""

        def holds(resource: Object) -> bool:
            ready = condition(resource, "Ready")
            settled = resource.get("status", {}).get("observedGeneration") == resource.get("metadata", {}).get(
                "generation"
            )
            return settled and (ready.get("status"), ready.get("reason")) == (status, reason)

        return await self.api.until(kind, self.namespace, name, holds, timeout)

    async def resynced(self, timeout: float = 30) -> None:
        """Wait until the operator has listed everything once more."""
        listed = len(self.proxy.requests)
        last = path_of("Service", self.namespace)

        def again() -> bool:
            return ("GET", last) in self.proxy.requests[listed:]

        async with asyncio.timeout(timeout):
            while not again():
                await asyncio.sleep(0.1)  # the proxy tells of no end of a LIST

    async def nothing_left(self, uid: str, timeout: float = 60) -> None:
        """Wait until no child of this uid is there, pods included. Raises TimeoutError with what is."""
        kinds, end = (*CHILD_KINDS, "Pod"), time.monotonic() + timeout
        for kind in kinds:
            for obj in await self.api.list(kind, self.namespace, f"anneal.dev/uid={uid}"):
                await self.api.until(kind, self.namespace, obj["metadata"]["name"], lambda found: not found,
                                     end - time.monotonic())
        left = [f"{kind} {obj['metadata']['name']}" for kind in kinds
                for obj in await self.api.list(kind, self.namespace, f"anneal.dev/uid={uid}")]
        if left:
            await self.nothing_left(uid, end - time.monotonic())

    async def gone(self, kind: str, selector: str) -> None:
        """Wait until the objects that the selector finds now are gone or on their way: writes may follow a status."""
        for obj in await self.api.list(kind, self.namespace, selector):
            await self.api.until(kind, self.namespace, obj["metadata"]["name"], _ending)


def _ending(obj: Object) -> bool:
    return not obj or "deletionTimestamp" in obj["metadata"]


def mask(value: Any, uid: str) -> Any:
    """Replace what differs between two runs: uids, times, namespaces, measured seconds."""
    text = json.dumps(value)
    for pattern, name in MASKS:
        text = pattern.sub(name, text)
    if uid:
        text = text.replace(uid, "<uid>").replace(uid.replace("-", "")[:8], "<uid8>")
    return json.loads(text)


def claim_of(name: str) -> Object:
    """A claim that the player binds."""
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def finetunejob(name: str, **changes: Any) -> Object:
    """A FineTuneJob with every stage; top-level spec fields may be replaced."""
    spec = {
        "model": {"uri": "pvc://models/base"},
        "dataset": {"uri": "pvc://data/rows.jsonl"},
        "output": {"uri": "pvc://models/out"},
        "resources": {"cpu": "1", "memory": "1Gi"},
        **changes,
    }
    return {"apiVersion": "anneal.dev/v1alpha1", "kind": "FineTuneJob", "metadata": {"name": name}, "spec": spec}


def modeldeployment(name: str, **changes: Any) -> Object:
    """A ModelDeployment of a folder; top-level spec fields may be replaced."""
    spec = {
        "model": {"uri": "pvc://models/out/runs/0123456789abcdef"},
        "resources": {"cpu": "1", "memory": "1Gi"},
        **changes,
    }
    return {"apiVersion": "anneal.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": name}, "spec": spec}
