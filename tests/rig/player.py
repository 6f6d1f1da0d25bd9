"""Plays the kubelet for the API server rig: nodes that exist, pods that start and end as a script says.

Everything above the kubelet is real: scheduler, Job and Deployment controllers, garbage collector. A script decides how
a pod ends, from its stage and attempt; the default ends every stage well, with a termination message as the trainer
writes it.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.rig.api import Api, ApiError, Object, path_of
from tests.rig.results import stage_result

NODE = "sim-0"
CLAIM = "PersistentVolumeClaim"


@dataclass(frozen=True)
class End:
    """How a pod's main container ends. `exit_code` None: it keeps running, and is Ready."""

    exit_code: int | None = 0
    message: str = ""
    reason: str = ""


Script = Callable[[Object], End]


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _stage(pod: Object) -> str:
    return str(pod["metadata"].get("labels", {}).get("anneal.dev/stage", ""))


def default_script(pod: Object) -> End:
    """Every stage succeeds; servers run."""
    if not (stage := _stage(pod)):
        return End(None)
    return End(0, json.dumps(stage_result(stage, pod["metadata"]["labels"]["anneal.dev/uid"])))


@dataclass
class Player:
    """Runs until cancelled. `hold` keeps pods of these stages running until they are released."""

    api: Api
    namespaces: tuple[str, ...]
    script: Script = default_script
    hold: set[str] = field(default_factory=set)
    waiting: dict[str, str] = field(default_factory=dict)
    """Stage -> why the kubelet cannot start its containers, as ImagePullBackOff."""
    loading: bool = False
    """Servers run and are not Ready yet."""
    dead: set[str] = field(default_factory=set)
    """Names of pods whose node is lost: nothing happens to them any more."""
    crashing: Callable[[Object], bool] = lambda pod: False
    """Pods whose containers end again and again from the start."""
    nodes: int = 1
    started: list[str] = field(default_factory=list)
    """Names of pods in the order in which they were started."""

    @contextlib.asynccontextmanager
    async def playing(self) -> AsyncIterator[None]:
        """The nodes are there, and pods and claims are moved, while the block runs. Raises what kept it from that."""
        for number in range(self.nodes):
            await self.node(f"sim-{number}")
        task = asyncio.create_task(self._play())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _play(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._heartbeat())
            for namespace in self.namespaces:
                group.create_task(self._follow("Pod", namespace, self.play_pod))
                group.create_task(self._follow(CLAIM, namespace, self._bind))

    async def release(self, namespace: str, stage: str) -> None:
        """Let the held pods of a stage end."""
        self.hold.discard(stage)
        await self.replay(namespace)

    async def replay(self, namespace: str) -> None:
        """Look at every pod again, after a change of what is held."""
        for pod in await self.api.list("Pod", namespace):
            await self._quietly(self.play_pod, pod)

    async def _follow(self, kind: str, namespace: str, act: Callable[[Object], Awaitable[None]]) -> None:
        path = path_of(kind, namespace)
        while True:
            listed = await self.api.call("GET", path)
            for item in listed["items"]:
                await self._quietly(act, item)
            async for event in self.api.watch(path, listed["metadata"]["resourceVersion"], timeoutSeconds="300"):
                if event["type"] in ("ADDED", "MODIFIED"):
                    await self._quietly(act, event["object"])
                elif event["type"] == "ERROR":
                    break

    async def _quietly(self, act: Callable[[Object], Awaitable[None]], item: Object) -> None:
        # The object may be gone or changed by now; the next event brings the newer state.
        try:
            await act(item)
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    async def play_pod(self, pod: Object) -> None:
        """Move one pod a step on, as the kubelet of its node would."""
        if pod["metadata"]["name"] in self.dead:
            return
        if pod["metadata"].get("deletionTimestamp"):
            await self._end_deleted(pod)
        elif pod["spec"].get("nodeName") and pod.get("status", {}).get("phase", "Pending") == "Pending":
            await self._start(pod)
        elif self._loaded(pod):
            await self._patch(pod, self._running(pod))
        elif pod.get("status", {}).get("phase") == "Running" and not self._held(pod):
            end = self.script(pod)
            if end.exit_code is not None:
                await self._patch(pod, self._ended(pod, end))

    async def _start(self, pod: Object) -> None:
        if why := self.waiting.get(_stage(pod)):
            state = {"waiting": {"reason": why, "message": f"played {why}"}}
            status = {"containerStatuses": self._containers(pod, state, ready=False)}
            if pod.get("status", {}).get("containerStatuses") != status["containerStatuses"]:
                await self._patch(pod, status)
            return
        self.started.append(pod["metadata"]["name"])
        await self._patch(pod, self._running(pod))

    def _loaded(self, pod: Object) -> bool:
        """Is it a server that runs, and has not said yet that it is Ready?"""
        status = pod.get("status", {})
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))
        waits = self.loading or self.crashing(pod)
        return not _stage(pod) and status.get("phase") == "Running" and not (ready or waits)

    def _held(self, pod: Object) -> bool:
        return _stage(pod) in self.hold

    async def _end_deleted(self, pod: Object) -> None:
        if pod.get("status", {}).get("phase") == "Running":
            # SIGTERM: the trainer saves a checkpoint and exits 42.
            await self._patch(pod, self._ended(pod, End(42)))
        await self.api.delete(
            "Pod",
            pod["metadata"]["namespace"],
            pod["metadata"]["name"],
            gracePeriodSeconds=0,
            preconditions={"uid": pod["metadata"]["uid"]},
        )

    async def _patch(self, pod: Object, status: Object) -> None:
        meta = pod["metadata"]
        await self.api.patch(
            "Pod", meta["namespace"], meta["name"], {"metadata": {"uid": meta["uid"]}, "status": status}, "status"
        )

    def _running(self, pod: Object) -> Object:
        if self.crashing(pod):
            return self._crashed(pod)
        state = {"running": {"startedAt": now()}}
        ready = bool(_stage(pod)) or not self.loading
        return {
            "phase": "Running",
            "startTime": now(),
            "podIP": "10.0.0.1",
            "conditions": self._conditions(pod, "True" if ready else "False"),
            "containerStatuses": self._containers(pod, state, ready=ready),
        }

    def _crashed(self, pod: Object) -> Object:
        end = {"exitCode": 1, "reason": "Error", "message": "bad weights", "startedAt": now(), "finishedAt": now()}
        again = {"restartCount": 3, "lastState": {"terminated": end}}
        statuses = self._containers(pod, {"waiting": {"reason": "CrashLoopBackOff"}}, ready=False)
        return {
            "phase": "Running",
            "startTime": now(),
            "conditions": self._conditions(pod, "False"),
            "containerStatuses": [status | again for status in statuses],
        }

    def _ended(self, pod: Object, end: End) -> Object:
        state = {
            "terminated": {
                "exitCode": end.exit_code,
                "reason": end.reason or ("Completed" if end.exit_code == 0 else "Error"),
                "message": end.message,
                "startedAt": now(),
                "finishedAt": now(),
            }
        }
        return {
            "phase": "Succeeded" if end.exit_code == 0 else "Failed",
            "conditions": self._conditions(pod, "False"),
            "containerStatuses": self._containers(pod, state, ready=False),
        }

    @staticmethod
    def _conditions(pod: Object, ready: str) -> list[Object]:
        kept = [c for c in pod.get("status", {}).get("conditions", []) if c["type"] not in ("Ready", "ContainersReady")]
        return [
            *kept,
            *({"type": kind, "status": ready, "lastTransitionTime": now()} for kind in ("Ready", "ContainersReady")),
        ]

    @staticmethod
    def _containers(pod: Object, state: Object, *, ready: bool) -> list[Object]:
        return [
            {
                "name": c["name"],
                "image": c["image"],
                "imageID": "",
                "ready": ready,
                "restartCount": 0,
                "state": state,
                "started": ready,
            }
            for c in pod["spec"]["containers"]
        ]

    async def _bind(self, claim: Object) -> None:
        if claim.get("status", {}).get("phase") == "Bound" or claim["spec"].get("volumeName"):
            return
        meta = claim["metadata"]
        volume = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"sim-{meta['uid']}"},
            "spec": {
                "capacity": claim["spec"]["resources"]["requests"],
                "accessModes": claim["spec"]["accessModes"],
                "storageClassName": claim["spec"].get("storageClassName", ""),
                "hostPath": {"path": "/nowhere"},
                "persistentVolumeReclaimPolicy": "Delete",
                "claimRef": {
                    "apiVersion": "v1",
                    "kind": CLAIM,
                    "namespace": meta["namespace"],
                    "name": meta["name"],
                    "uid": meta["uid"],
                },
            },
        }
        await self.api.create(volume)

    async def node(self, name: str) -> None:
        """Register a node, or say once more that it is ready."""
        room: dict[str, Any] = {"cpu": "100000", "memory": "100Ti", "ephemeral-storage": "100Ti", "pods": "100000",
                                "nvidia.com/gpu": "8"}
        with contextlib.suppress(ApiError):
            await self.api.create(
                {
                    "apiVersion": "v1",
                    "kind": "Node",
                    "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
                }
            )
        await self.api.patch(
            "Node",
            "",
            name,
            {
                "status": {
                    "capacity": room,
                    "allocatable": room,
                    "conditions": [
                        {
                            "type": "Ready",
                            "status": "True",
                            "reason": "Played",
                            "lastHeartbeatTime": now(),
                            "lastTransitionTime": now(),
                        }
                    ],
                }
            },
            "status",
        )

    async def _heartbeat(self) -> None:
        """Renew the node leases, or the node controller would evict our pods after 40 s."""
        namespace = "kube-node-lease"
        while True:
            for number in range(self.nodes):
                name = f"sim-{number}"
                spec = {
                    "holderIdentity": name,
                    "leaseDurationSeconds": 40,
                    "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                }
                lease = {
                    "apiVersion": "coordination.k8s.io/v1",
                    "kind": "Lease",
                    "metadata": {"name": name, "namespace": namespace},
                    "spec": spec,
                }
                if await self.api.find("Lease", namespace, name):
                    await self.api.patch("Lease", namespace, name, {"spec": spec})
                else:
                    await self.api.create(lease)
            await asyncio.sleep(10)
