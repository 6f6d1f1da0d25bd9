"""The simulated node: pods of held stages run until they are let go, and many pods and claims move at a time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

from anneal_operator.desired.names import LABEL_NAME, LABEL_STAGE
from tests.rig.api import Api, Object
from tests.rig.player import CLAIM, Player

AT_ONCE = 16
BOUND = "pv.kubernetes.io/bind-completed"
"""What the scheduler believes about a claim."""
VOLUME = "sim"
"""Of all claims: nothing is ever mounted."""


class Kubelet(Player):
    """A player for thousands of pods: it does not wait for one before it turns to the next."""

    def __init__(self, api: Api, namespaces: tuple[str, ...], nodes: int) -> None:
        super().__init__(api, namespaces, nodes=nodes)
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._moving: set[asyncio.Task[None]] = set()
        self.free: set[str] = set()
        """Resources whose pods are not held, by name."""

    async def _quietly(self, act: Callable[[Object], Awaitable[None]], item: Object) -> None:
        task = asyncio.create_task(self._move(act, item))
        self._moving.add(task)
        task.add_done_callback(self._moving.discard)

    async def _move(self, act: Callable[[Object], Awaitable[None]], item: Object) -> None:
        async with self._gate:
            await super()._quietly(act, item)

    @contextlib.asynccontextmanager
    async def playing(self) -> AsyncIterator[None]:
        await self.api.create({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": VOLUME},
            "spec": {"capacity": {"storage": "1Pi"}, "accessModes": ["ReadWriteMany"], "storageClassName": "",
                     "hostPath": {"path": "/nowhere"}}})
        async with super().playing():
            yield

    async def let_go(self, names: Iterable[str], namespaces: Iterable[str], stage: str) -> None:
        """Let the held pods of a stage end that belong to these resources."""
        self.free.update(names)
        for namespace in namespaces:
            for pod in await self.api.list("Pod", namespace, f"{LABEL_STAGE}={stage}"):
                await self._quietly(self.play_pod, pod)

    def _held(self, pod: Object) -> bool:
        return pod["metadata"]["labels"].get(LABEL_NAME) not in self.free and super()._held(pod)

    async def _patch(self, pod: Object, status: Object) -> None:
        # What is done about an older state of a pod must fail, or a pod that has ended would run again.
        meta = pod["metadata"]
        body = {"metadata": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}, "status": status}
        await self.api.patch("Pod", meta["namespace"], meta["name"], body, "status")

    async def _bind(self, claim: Object) -> None:
        meta, spec = claim["metadata"], claim["spec"]
        if spec.get("volumeName"):
            return
        whole = {"metadata": {"uid": meta["uid"], "annotations": {BOUND: "yes"}}, "spec": {"volumeName": VOLUME}}
        status = {"phase": "Bound", "accessModes": spec["accessModes"], "capacity": spec["resources"]["requests"]}
        await self.api.patch(CLAIM, meta["namespace"], meta["name"], whole)
        await self.api.patch(CLAIM, meta["namespace"], meta["name"], {"status": status}, "status")
