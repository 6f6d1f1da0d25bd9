"""Apply to first training step: a FineTuneJob, and its Jobs chained by hand."""

import time
from dataclasses import dataclass, field

from benchmarks.tax.cluster import first_step, no_pods
from benchmarks.tax.copying import LABEL, Manifest, by_hand
from tests.rig.api import Api, Object

NAME = "tax"
OURS = f"anneal.dev/kind=FineTuneJob,anneal.dev/name={NAME}"


def finetunejob(run: str) -> Manifest:
    """A short run of the demo's model; each has its own id, so none is published already."""
    return {
        "apiVersion": "anneal.dev/v1alpha1", "kind": "FineTuneJob", "metadata": {"name": NAME},
        "spec": {
            "model": {"uri": "pvc://models/smollm2-135m-instruct"},
            "dataset": {"uri": "pvc://data/train.jsonl", "split": {"validation": 0, "test": 0}, "maxTokens": 256},
            "training": {"epochs": 1, "batchSize": 1, "gradientAccumulation": 1, "loggingSteps": 1000},
            "output": {"uri": "pvc://models/tax"},
            "resources": {"cpu": "900m", "memory": "4Gi"}, "workspace": {"size": "1Gi"}, "runId": run,
        },
    }


@dataclass
class Training:
    """Both sides; the hand's side copies what the operator made in the first round."""

    api: Api
    namespace: str
    made: list[Object] = field(default_factory=list)

    async def ours(self, run: str) -> float:
        """Seconds from apply to the first step."""
        begun = time.time()
        created = await self.api.create(finetunejob(run), self.namespace)
        seconds = await first_step(self.api, self.namespace, f"{OURS},anneal.dev/stage=train") - begun
        if not self.made:
            self.made = await self._children(created["metadata"]["uid"])
        await self.api.delete("FineTuneJob", self.namespace, NAME)
        await no_pods(self.api, self.namespace, OURS)
        return seconds

    async def _children(self, uid: str) -> list[Object]:
        found: list[Object] = []
        for kind, version in (("ConfigMap", "v1"), ("PersistentVolumeClaim", "v1"), ("Job", "batch/v1")):
            listed = await self.api.list(kind, self.namespace, f"anneal.dev/uid={uid}")
            found += [{"apiVersion": version, "kind": kind, **item} for item in listed]
        return found

    async def by_hand(self, run: str) -> float:
        """The same Jobs, one after the other: the next is created when the one before is Complete."""
        prefix = _prefix(self.made)
        copies = [by_hand(manifest, prefix, f"hand-{run}") for manifest in self.made]
        jobs = {manifest["metadata"]["name"]: manifest for manifest in copies if manifest["kind"] == "Job"}
        prepare, train = (_stage(jobs, stage) for stage in ("prepare", "train"))
        begun = time.time()
        for manifest in copies:
            if manifest["kind"] != "Job":
                await self.api.create(manifest, self.namespace)
        await self.api.create(prepare, self.namespace)
        await self.api.until("Job", self.namespace, prepare["metadata"]["name"], _complete, timeout=300)
        await self.api.create(train, self.namespace)
        selector = f"job-name={train['metadata']['name']}"
        seconds = await first_step(self.api, self.namespace, selector) - begun
        for manifest in reversed(copies):
            await self.api.delete(manifest["kind"], self.namespace, manifest["metadata"]["name"],
                                  propagationPolicy="Background")
        await no_pods(self.api, self.namespace, f"{LABEL}=hand-{run}")
        return seconds


def _prefix(made: list[Object]) -> str:
    """What all names of a run's children start with: the name, and the beginning of the uid."""
    name: str = made[0]["metadata"]["name"]
    uid: str = made[0]["metadata"]["labels"]["anneal.dev/uid"]
    head, found, _ = name.partition(f"-{uid[:8]}")
    assert found, name
    return head + found


def _stage(jobs: dict[str, Manifest], stage: str) -> Manifest:
    return next(manifest for name, manifest in jobs.items() if f"-{stage}-" in name)


def _complete(job: Object) -> bool:
    conditions = job.get("status", {}).get("conditions", [])
    failed = [c for c in conditions if c["type"] == "Failed" and c["status"] == "True"]
    assert not failed, failed
    return any(c["type"] == "Complete" and c["status"] == "True" for c in conditions)
