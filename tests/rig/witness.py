"""What must hold at a write and can only be seen in the cluster at that moment: who may write, who gets traffic."""

from collections.abc import AsyncIterator

from tests.rig.api import Api, Object
from tests.rig.invariants import Invariants
from tests.rig.proxy import Write

REVISION = "anneal.dev/revision"


class Witness:
    """Looks at one namespace while a write is being answered."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._namespace = namespace

    async def holder(self) -> str | None:
        """Who holds the Lease; None when there is none any more, because its namespace ends."""
        lease = await self._api.find("Lease", self._namespace, "anneal-operator")
        return str(lease["spec"]["holderIdentity"]) if lease else None

    async def objections(self, write: Write) -> AsyncIterator[str]:
        """What is wrong with this write, if anything."""
        if (holder := await self.holder()) not in (None, write.writer):
            yield f"F10: {write} by {write.writer}, but the Lease is held by {holder!r}"
        name = write.path.rsplit("/", 1)[-1]
        moved = (write.method, write.resource, write.status) == ("PATCH", "services", 200)
        if moved and not await self._is_ready(write.answer["spec"]["selector"][REVISION]):
            yield f"I3: {write} leads traffic to a revision that is not Ready"
        if (write.method, write.resource) == ("DELETE", "deployments") and await self._has_traffic(name):
            yield f"I4: {write} removes the revision that has the traffic"

    async def _is_ready(self, revision: str) -> bool:
        found = await self._api.list("Deployment", self._namespace, f"{REVISION}={revision}")
        return any(d["status"].get("readyReplicas", 0) == d["spec"]["replicas"] for d in found)

    async def _has_traffic(self, deployment: str) -> bool:
        services = await self._api.list("Service", self._namespace, "anneal.dev/uid")
        return any(deployment.endswith(str(s["spec"]["selector"].get(REVISION, "-"))) for s in services)

    async def forget_ended_jobs(self, invariants: Invariants) -> None:
        """A Job that has finished or is gone no longer counts as live, once its pod does not run any more."""
        jobs = {job["metadata"]["name"]: job for job in await self._api.list("Job", self._namespace)}
        pods = await self._api.list("Pod", self._namespace, "anneal.dev/stage")
        running = {pod["metadata"]["labels"].get("batch.kubernetes.io/job-name") for pod in pods
                   if pod["status"].get("phase") == "Running"}
        for (uid, stage), names in list(invariants.live.items()):
            for name in list(names):
                if _ended(jobs.get(name)) and name not in running:
                    invariants.job_ended(uid, stage, name)


def _ended(job: Object | None) -> bool:
    conditions = (job or {}).get("status", {}).get("conditions", [])
    return job is None or any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions)
