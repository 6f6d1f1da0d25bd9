"""One namespace of a real API server with a proxy, a player of pods and an operator of its own.

Several worlds live side by side on one control plane: each operator serves its own namespace and holds the Lease there.
"""

import asyncio
import contextlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.rig.api import Api, Object, condition
from tests.rig.invariants import Invariants
from tests.rig.operator import Operator
from tests.rig.player import Player
from tests.rig.proxy import FaultProxy, Write

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


class World:
    """Used as an async context manager; everything it starts ends with it."""

    def __init__(self, kubeconfig: Path, namespace: str, folder: Path, secrets: tuple[str, ...] = ()) -> None:
        self.namespace = namespace
        self.api = Api(kubeconfig)
        self.proxy = FaultProxy(self.api)
        self.player = Player(self.api, (namespace,), nodes=0)
        self.invariants = Invariants(secrets)
        self.folder = folder
        self._direct = kubeconfig
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "World":
        await self._stack.enter_async_context(self.api)
        await self._stack.enter_async_context(self.proxy)
        await self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        for claim in ("models", "data"):
            await self.api.create(claim_of(claim), self.namespace)
        self.proxy.after.append(self._check)
        ready = asyncio.Event()
        playing = asyncio.create_task(self.player.run(ready))
        self._stack.push_async_callback(_cancel, playing)
        await ready.wait()
        self.operator = self.new_operator("pod-a")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.operator.kill()
        await self.api.delete("Namespace", "", self.namespace)
        await self._stack.aclose()

    def new_operator(self, identity: str) -> Operator:
        """An operator that serves this namespace through the proxy."""
        return Operator(
            self.proxy.kubeconfig(self.folder),
            self.folder / f"operator-{identity}.log",
            identity=identity,
            ANNEAL_NAMESPACE=self.namespace,
            ANNEAL_WATCH_NAMESPACES=self.namespace,
        )

    async def _check(self, write: Write) -> None:
        if write.method == "POST" and write.resource == "jobs" and write.status == 201:
            await self._forget_ended_jobs()
        await self.invariants.check(write)

    async def _forget_ended_jobs(self) -> None:
        """A Job that has finished or is gone no longer counts as live."""
        jobs = {job["metadata"]["name"]: job for job in await self.api.list("Job", self.namespace)}
        for (uid, stage), names in list(self.invariants.live.items()):
            for name in list(names):
                job = jobs.get(name)
                if job is None or any(c["status"] == "True" for c in job.get("status", {}).get("conditions", [])):
                    self.invariants.job_ended(uid, stage, name)

    def kill_at(self, number: int, *, after: bool) -> asyncio.Event:
        """Kill the operator around its write `number` and start it again; the event tells that it happened."""
        done = asyncio.Event()

        async def hook(write: Write) -> None:
            if write.number == number and not done.is_set():
                done.set()
                self.operator.kill()
                self.operator.start()

        (self.proxy.after if after else self.proxy.before).append(hook)
        return done

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

    async def gone(self, kind: str, selector: str) -> None:
        """Wait until the objects that the selector finds now are gone or on their way: writes may follow a status."""
        for obj in await self.api.list(kind, self.namespace, selector):
            await self.api.until(kind, self.namespace, obj["metadata"]["name"], _ending)


def _ending(obj: Object) -> bool:
    return not obj or "deletionTimestamp" in obj["metadata"]


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


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
