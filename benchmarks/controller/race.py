"""One contender goes once over the whole course, on a control plane of its own."""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.controller import audit
from benchmarks.controller.audit import Request, percentile
from benchmarks.controller.contenders import Buckets, Contender
from benchmarks.controller.kubelet import Kubelet
from benchmarks.controller.plane import POISON, AuditedPlane, contender_kubeconfig, prepared
from benchmarks.controller.processes import cost
from tests.rig.api import Api, path_of
from tests.rig.world import finetunejob

IN_NAMESPACE = 1000
ON_NODE = 500
MANY = "ftj"
"""Names of those whose life is measured begin so."""
CROWD = 100
"""Resources that are created beside a poisoned one."""
STALLED_SECONDS = 60.0
"""When nothing has moved for so long, the contender has lost."""

Figures = dict[str, Any]


@dataclass(frozen=True)
class Load:
    """How many resources are made, and how many of them go to their end; the others stay in their first stage."""

    count: int
    released: int
    rate: float
    """Resources created in a second; the course is open-loop: a slow contender does not slow its load."""

    @property
    def namespaces(self) -> tuple[str, ...]:
        """A thousand resources in each, in turn."""
        return tuple(f"team-{n}" for n in range((self.count - 1) // IN_NAMESPACE + 1))

    @property
    def nodes(self) -> int:
        """So many that the scheduler has no node with thousands of pods, which no cluster has either."""
        return (self.count - 1) // ON_NODE + 1

    @property
    def names(self) -> tuple[str, ...]:
        """In order of their creation; the first ones go to their end."""
        return tuple(f"{MANY}-{number}" for number in range(self.count))

    def place(self, number: int) -> str:
        """The namespace of one resource."""
        return self.namespaces[number % len(self.namespaces)]


MakeContender = Callable[[Path, Path], Contender]


async def run(make: MakeContender, load: Load, quiet: float, folder: Path, say: Callable[[str], None]) -> Figures:
    """All figures of one contender."""
    namespaces = load.namespaces
    folder.mkdir(parents=True, exist_ok=True)
    with AuditedPlane(folder) as plane:
        async with prepared(plane, namespaces) as api, (node := Kubelet(api, namespaces, load.nodes)).playing():
            contender = make(await contender_kubeconfig(api, plane), folder / "contender.log")
            course = Course(api, node, plane.audit_log, contender, load, quiet, say)
            try:
                return await course.run()
            finally:
                contender.kill()


@dataclass(frozen=True)
class _Mark:
    """A moment: how many requests had been told, and how much CPU time had been used."""

    requests: int
    cpu: float


class Course:
    """The phases, one after the other, on one control plane."""

    def __init__(self, api: Api, node: Kubelet, log: Path, contender: Contender, load: Load,
                 quiet: float, say: Callable[[str], None]) -> None:
        self._api = api
        self._node = node
        self._log = log
        self._contender = contender
        self._load = load
        self._quiet_seconds = quiet
        self._say = say
        self._requests: list[Request] = []
        self._offset = 0
        self._started: set[str] = set()
        self._done: set[str] = set()
        self._moved = time.monotonic()

    async def run(self) -> Figures:
        """Everything that is measured."""
        async with asyncio.TaskGroup() as group:
            watching = [group.create_task(self._watch(namespace)) for namespace in self._load.namespaces]
            start = await self._start()
            figures: Figures = {"count": self._load.count, "rate": self._load.rate, "readySeconds": start,
                                **await self._life()}
            figures["loopLag"] = _lag(await self._contender.loop_lag())
            figures["settled"] = await self._quiet("settled")
            figures["cost"] = vars(cost(self._contender.pid))
            figures["poison"] = await self._poison(min(CROWD, self._load.count))
            figures["restart"] = await self._restart()
            for task in watching:
                task.cancel()
        return figures

    async def _start(self) -> float:
        began = time.monotonic()
        self._contender.start()
        await self._create("warm")
        await self._until(lambda: self._jobs_of({"warm"}) == 1, "the first Job")
        return round(time.monotonic() - began, 2)

    async def _life(self) -> Figures:
        """Many are created; their first pods are held, so that arriving and converging do not mix; then they go."""
        load = self._load
        count, names = load.count, load.names
        going = set(names[:load.released])
        self._node.hold.add("prepare")
        start, began = self._mark(), time.monotonic()
        await self._arrive(names)
        await self._until(lambda: self._jobs_of(set(names)) == count, "a Job for each")
        arrived = time.monotonic()
        self._say(f"{count} created in {arrived - began:.0f} s")
        latency = audit.latencies(self._read(), names)
        # What the cluster still owes them would be counted as what the contender does about those that go on.
        await self._until(lambda: self._running() == count, "a running pod for each")
        await self._still()
        running = await self._quiet("running")
        middle, released = self._mark(), time.monotonic()
        await self._node.let_go(going, load.namespaces, "prepare")
        await self._until(lambda: self._done >= going, "the end of each")
        ended = time.monotonic()
        self._say(f"{len(going)} have ended after {ended - released:.0f} s")
        await self._still()
        end = self._mark()
        phases = [(self._between(start, middle), count), (self._between(middle, end), len(going))]
        spent = (middle.cpu - start.cpu) / count + (end.cpu - middle.cpu) / len(going)
        return {
            "released": len(going),
            "createToJob": _spread(latency), "arriveSeconds": round(arrived - began, 2), "running": running,
            "convergeSeconds": round(ended - released, 2),
            "convergedPerSecond": round(len(going) / (ended - released), 2),
            "writesPerResource": audit.each(phases, lambda r: r.write and r.status < 400),  # refused: told apart
            "cpuSecondsPerThousand": round(spent * 1000, 1),
            "readsPerResource": audit.each(phases, lambda r: r.verb in ("get", "list")),
            "refusedWrites": sum(r.write and r.status >= 400 for requests, _ in phases for r in requests),
            "requests": audit.each_kind(phases),
        }

    def _mark(self) -> _Mark:
        return _Mark(len(self._read()), cost(self._contender.pid).cpu_seconds)

    def _between(self, start: _Mark, end: _Mark) -> list[Request]:
        return [request for request in self._requests[start.requests:end.requests] if request.ours]

    async def _quiet(self, what: str) -> Figures:
        """Requests in a time in which nothing happens; watches that are opened anew count, too."""
        mark, began = len(self._read()), time.monotonic()
        await asyncio.sleep(self._quiet_seconds)
        found = [r for r in self._read()[mark:] if r.ours]
        seconds = time.monotonic() - began
        self._say(f"{what}: {len(found) / seconds:.2f} requests a second")
        return {"requestsPerSecond": round(len(found) / seconds, 2), "writes": sum(r.write for r in found),
                "requests": audit.by_kind(found)}

    async def _poison(self, count: int) -> Figures:
        """The same crowd without and with a resource whose Jobs are refused for ever."""
        clean = await self._crowd("clean", count)
        await self._still()  # what is left to do about one crowd must not be in the way of the next
        await self._create(f"{POISON}-1")
        poisoned = await self._crowd("beside", count)
        return {"clean": clean, "beside": poisoned}

    async def _crowd(self, prefix: str, count: int) -> Figures:
        names = [f"{prefix}-{n}" for n in range(count)]
        self._node.free.clear()  # what is held costs nothing while the next crowd is measured
        await self._arrive(names)
        await self._until(lambda: self._jobs_of(set(names)) == count, f"a Job for each of {prefix}")
        return _spread(audit.latencies(self._read(), names))

    async def _restart(self) -> Figures:
        """A restart writes nothing for those that are settled, and turns to what is new."""
        await self._still()
        self._contender.kill()
        mark, began = len(self._read()), time.monotonic()
        self._contender.start()
        await self._create("late")
        await self._until(lambda: self._jobs_of({"late"}) == 1, "a Job for the one created late")
        seconds = time.monotonic() - began
        await asyncio.sleep(self._quiet_seconds)
        writes = [r for r in self._read()[mark:] if r.ours and r.write]
        others = [r for r in writes if not r.name.startswith(("late", POISON))]
        self._say(f"restart: {seconds:.1f} s to the first new Job, {len(others)} writes for others")
        return {"firstJobSeconds": round(seconds, 2), "writesForSettled": len(others),
                "requests": audit.by_kind(others)}

    async def _arrive(self, names: Sequence[str]) -> None:
        """Create at random moments, so many a second, by a schedule that was made before."""
        pace, clock, due = random.Random(1), time.monotonic(), 0.0
        tasks = []
        for name in names:
            due += pace.expovariate(self._load.rate)
            await asyncio.sleep(max(0.0, clock + due - time.monotonic()))
            tasks.append(asyncio.create_task(self._create(name)))
        await asyncio.gather(*tasks)

    async def _create(self, name: str) -> None:
        number = int("".join(filter(str.isdigit, name)) or 0)
        await self._api.create(finetunejob(name), self._load.place(number))

    def _jobs_of(self, names: set[str]) -> int:
        self._read()
        return len(self._started & names)

    def _running(self) -> int:
        return len({pod for pod in self._node.started if pod.startswith(f"{MANY}-")})

    def _read(self) -> list[Request]:
        new, self._offset = audit.read(self._log, self._offset)
        self._requests += new
        # Kept up to date, not counted anew: what the course does for itself is taken from those it measures.
        self._started |= {audit.owner(r.name) for r in new
                          if r.ours and r.verb == "create" and r.resource == "jobs" and r.status == 201}
        if any(request.ours and request.write and request.status < 400 for request in new):
            self._moved = time.monotonic()
        return self._requests

    async def _still(self) -> None:
        """Wait until the contender has written nothing for a while: deletions and Events follow the last status."""
        while True:
            mark = len(self._read())
            await asyncio.sleep(3.0)
            if not any(r.ours and r.write for r in self._read()[mark:]):
                return

    async def _until(self, true: Callable[[], bool], what: str) -> None:
        self._moved = time.monotonic()
        while not true():
            self._read()
            if time.monotonic() - self._moved > STALLED_SECONDS:
                raise TimeoutError(f"{what}: nothing has moved for {STALLED_SECONDS:.0f} s; see the contender's log")
            await asyncio.sleep(0.25)  # the audit log is a file: nothing tells when it grows

    async def _watch(self, namespace: str) -> None:
        path = path_of("FineTuneJob", namespace)
        while True:
            listed = await self._api.call("GET", path)
            self._note(listed["items"])
            version = listed["metadata"]["resourceVersion"]
            async for event in self._api.watch(path, version, timeoutSeconds="600"):
                if event["type"] == "ERROR":
                    break
                self._note([event["object"]])

    def _note(self, resources: Iterable[dict[str, Any]]) -> None:
        self._done |= {r["metadata"]["name"] for r in resources if r.get("status", {}).get("phase") == "Succeeded"}


def _lag(buckets: Buckets) -> Figures:
    """The bounds below which the lag was, half of the time and 99 times of 100."""
    if not buckets:
        return {}
    total = max(buckets.values())
    return {name: min(bound for bound, count in buckets.items() if count >= share * total)
            for name, share in (("p50AtMost", 0.5), ("p99AtMost", 0.99))}


def _spread(values: list[float]) -> Figures:
    if not values:
        return {}
    return {"p50": round(percentile(values, 0.5), 4), "p99": round(percentile(values, 0.99), 4),
            "max": round(max(values), 4)}
