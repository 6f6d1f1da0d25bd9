"""From the previous chart to this one and away again, with Helm 3 and 4, while a run trains and a model is served.

The operator is the real one, as a process that has what the chart gives its pod: environment, rights and pod uid. Pods
are played, so that the run trains for as long as the test wants. The operator's code is this version's throughout: of
the previous one only the chart is kept.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from anneal_localcluster.control_plane import ControlPlane
from tests.rig.api import Api, Object, condition
from tests.rig.helm import CHART, PREVIOUS, SYSTEM, VERSIONS, Helm
from tests.rig.operator import Operator
from tests.rig.player import Player
from tests.rig.world import claim_of, finetunejob, modeldeployment

TEAM = "team-a"
CHILDREN = ("Job", "Pod", "PersistentVolumeClaim", "ConfigMap", "Deployment", "Service")
# Values that this chart has and the previous one had not are then missing: they must not be needed.
REUSE = "--reuse-values"
NEW_IMAGES = ("--set", "images.trainer.tag=new", "--set", "images.vllm.tag=new", "--set", "images.operator.tag=new")
WAIT = ("--wait", "--timeout=60s")
SECONDS = 60.0

pytestmark = pytest.mark.apiserver


@dataclass
class Cluster:
    """An API server, Helm, and who plays the pods of the operator's and the team's namespace."""

    api: Api
    helm: Helm
    player: Player
    folder: Path
    operator: Operator | None = None

    async def follow_the_pod(self) -> str:
        """Run what the operator's pod would run, in place of what ran before. Returns the pod's uid."""
        if self.operator:
            self.operator.stop()
        pod = await self._operator_pod()
        env = {entry["name"]: str(entry.get("value", "")) for entry in pod["spec"]["containers"][0]["env"]}
        env |= {"ANNEAL_NAMESPACE": SYSTEM, "ANNEAL_POD_UID": pod["metadata"]["uid"]}
        self.operator = Operator(await self._as_account(), self.folder / "operator.log")
        self.operator.env |= env | {"ANNEAL_HTTP_PORT": str(self.operator.port), "ANNEAL_LEASE_SECONDS": "6"}
        self.operator.start()
        return str(pod["metadata"]["uid"])

    async def _operator_pod(self) -> Object:
        pods = await self.api.list("Pod", SYSTEM, "app.kubernetes.io/component=operator")
        (pod,) = (pod for pod in pods if "deletionTimestamp" not in pod["metadata"])
        return pod

    async def _as_account(self) -> Path:
        path = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/anneal/token"
        answer = await self.api.call("POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"})
        config = yaml.safe_load(self.helm.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": answer["status"]["token"]}
        file = self.folder / "account.kubeconfig"
        file.write_text(yaml.safe_dump(config))
        return file

    async def children(self) -> dict[str, tuple[str, str]]:
        """What the operator has made, by name: uid and spec. A restart of anything would change one of them."""
        found: dict[str, tuple[str, str]] = {}
        for kind in CHILDREN:
            for item in await self.api.list(kind, TEAM, "anneal.dev/uid"):
                content = json.dumps(item.get("spec", item.get("data")), sort_keys=True)
                found[f"{kind}/{item['metadata']['name']}"] = (item["metadata"]["uid"], content)
        return found

    async def until(self, kind: str, name: str, status: str, reason: str) -> Object:
        """The resource once its Ready condition is about this generation and says so."""
        def holds(resource: Object) -> bool:
            ready = condition(resource, "Ready")
            now = ready.get("observedGeneration") == resource.get("metadata", {}).get("generation")
            return now and (ready.get("status"), ready.get("reason")) == (status, reason)

        return await self.api.until(kind, TEAM, name, holds, SECONDS)


@pytest.fixture(params=VERSIONS)
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    """An API server with nothing but two namespaces and the team's claims."""
    with ControlPlane(tmp_path / "plane") as plane:
        async with Api(plane.kubeconfig) as api:
            for name in (SYSTEM, TEAM):
                await api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            for name in ("models", "data"):
                await api.create(claim_of(name), TEAM)
            player = Player(api, (SYSTEM, TEAM), hold={"train"})
            made = Cluster(api, Helm(plane.kubeconfig, request.param), player, tmp_path)
            async with player.playing():
                yield made
                if made.operator:
                    made.operator.kill()


def training(resource: Object) -> bool:
    stages = resource.get("status", {}).get("stages", [])
    return any(stage["name"] == "train" and stage["state"] == "Running" for stage in stages)


async def helm(cluster: Cluster, *arguments: str) -> str:
    """Beside the played pods, which Helm waits for."""
    return await asyncio.to_thread(cluster.helm.must, *arguments)


async def test_upgrade_and_uninstall_leave_running_work_alone(cluster: Cluster) -> None:
    api = cluster.api
    await helm(cluster, "install", "anneal", str(PREVIOUS), *WAIT)
    before = await cluster.follow_the_pod()
    await api.create(finetunejob("run"), TEAM)
    await api.create(modeldeployment("serve"), TEAM)
    await api.until("FineTuneJob", TEAM, "run", training, SECONDS)
    await cluster.until("ModelDeployment", "serve", "True", "Serving")
    made = await cluster.children()

    await helm(cluster, "upgrade", "anneal", str(CHART), REUSE, *NEW_IMAGES, *WAIT)
    assert await cluster.follow_the_pod() != before
    await crds_are_those_of(cluster, CHART)
    # A new resource and a changed one: both show that the new operator has been through everything.
    await api.create(modeldeployment("later"), TEAM)
    await cluster.until("ModelDeployment", "later", "True", "Serving")
    changed = await api.patch("FineTuneJob", TEAM, "run", {"spec": {"deadline": "48h"}})
    await api.until("FineTuneJob", TEAM, "run", lambda r: r["status"]["observedGeneration"] == changed["metadata"][
        "generation"], SECONDS)
    assert made.items() <= (await cluster.children()).items()

    await helm(cluster, "uninstall", "anneal", *WAIT)
    assert made.items() <= (await cluster.children()).items()
    for pod in await api.list("Pod", SYSTEM):
        await api.until("Pod", SYSTEM, pod["metadata"]["name"], lambda found: not found, SECONDS)
    # The CRDs that were kept are this release's again, also for the other Helm, and as old or new as its chart.
    cluster.helm = replace(cluster.helm, version=next(v for v in VERSIONS if v != cluster.helm.version))
    await helm(cluster, "install", "anneal", str(PREVIOUS), *WAIT)
    await crds_are_those_of(cluster, PREVIOUS)
    await helm(cluster, "upgrade", "anneal", str(CHART), REUSE, *NEW_IMAGES, *WAIT)
    await crds_are_those_of(cluster, CHART)
    await cluster.follow_the_pod()
    assert made.items() <= (await cluster.children()).items()
    await cluster.player.release(TEAM, "train")
    await cluster.until("FineTuneJob", "run", "True", "Published")
    await everything_goes(cluster)


async def crds_are_those_of(cluster: Cluster, chart: Path) -> None:
    rendered = await helm(cluster, "template", "anneal", str(chart))
    wanted = [item for item in yaml.safe_load_all(rendered) if item and item["kind"] == "CustomResourceDefinition"]
    assert len(wanted) == 2
    for crd in wanted:
        found = await cluster.api.get("CustomResourceDefinition", "", crd["metadata"]["name"])
        (version,), (expected,) = found["spec"]["versions"], crd["spec"]["versions"]
        assert version["schema"] == expected["schema"]


async def everything_goes(cluster: Cluster) -> None:
    """As docs/install.md says: the resources first, as the collector knows no owners of a kind that is gone."""
    api = cluster.api
    for kind in ("FineTuneJob", "ModelDeployment"):
        for item in await api.list(kind, TEAM):
            name = item["metadata"]["name"]
            await api.delete(kind, TEAM, name, propagationPolicy="Foreground")
            await api.until(kind, TEAM, name, lambda found: not found, SECONDS)
    assert await cluster.children() == {}
    await helm(cluster, "upgrade", "anneal", str(CHART), *NEW_IMAGES, "--set", "crds.keep=false")
    await helm(cluster, "uninstall", "anneal")
    for name in ("finetunejobs.anneal.dev", "modeldeployments.anneal.dev"):
        await api.until("CustomResourceDefinition", "", name, lambda crd: not crd, SECONDS)
