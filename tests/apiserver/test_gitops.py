"""Nothing we do fights an apply: whoever applies a spec, from Git or by hand, owns it alone and finds it unchanged.

Four appliers hand in the same two resources, the operator carries them out to their ends, and all apply again.
"""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from anneal_localcluster import build
from tests.rig.api import Api, Object
from tests.rig.helm import VERSIONS, Helm
from tests.rig.player import Player
from tests.rig.world import World, finetunejob, modeldeployment

pytestmark = pytest.mark.apiserver

ENDS = {"FineTuneJob": "Published", "ModelDeployment": "Serving"}


@pytest.fixture
async def world(api: Api, kubeconfig: Path, tmp_path: Path) -> AsyncIterator[World]:
    """A namespace with an operator and a node."""
    async with Player(api, (), nodes=1).playing(), World(kubeconfig, "gitops", tmp_path) as made:
        made.operator.start()
        yield made


@dataclass(frozen=True)
class Applier:
    """One way to hand in a FineTuneJob and a ModelDeployment, both called `name`."""

    name: str
    manager: str
    kubeconfig: Path
    namespace: str
    folder: Path

    def write(self) -> None:
        """The files, as they would lie in Git: as plain manifests, and as a chart."""
        (self.folder / "templates").mkdir(parents=True)
        (self.folder / "Chart.yaml").write_text("{apiVersion: v2, name: models, version: 1.0.0}\n")
        for resource in (finetunejob(self.name), modeldeployment(self.name)):
            (self.folder / "templates" / f"{resource['kind']}.yaml").write_text(yaml.safe_dump(resource))

    def apply(self) -> str:
        """Hand them in, for the first time or again."""
        if self.name.startswith("helm"):
            helm = Helm(self.kubeconfig, self.name.removeprefix("helm-"), self.namespace)
            return helm.must("upgrade", "--install", self.name, str(self.folder))
        side = ("--server-side", f"--field-manager={self.manager}") if self.name == "server-side" else ()
        return self.kubectl("apply", *side)

    def kubectl(self, *arguments: str) -> str:
        """kubectl on the manifests; `diff` and `apply` both end with an error that says why."""
        argv = [str(build.tool_folder() / "kubectl"), "--kubeconfig", str(self.kubeconfig),
                "--namespace", self.namespace, *arguments, "-f", str(self.folder / "templates")]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def appliers(kubeconfig: Path, namespace: str, folder: Path) -> list[Applier]:
    names = {"client-side": "kubectl-client-side-apply", "server-side": "kustomize-controller",
             **{f"helm-{version}": "helm" for version in VERSIONS}}
    return [Applier(name, manager, kubeconfig, namespace, folder / name) for name, manager in names.items()]


async def test_a_second_apply_changes_nothing_and_the_spec_belongs_to_the_applier(
    world: World, kubeconfig: Path, tmp_path: Path,
) -> None:
    everybody = appliers(kubeconfig, world.namespace, tmp_path)
    for applier in everybody:
        applier.write()
        await asyncio.to_thread(applier.apply)
    for applier in everybody:
        for kind, reason in ENDS.items():
            await world.until(kind, applier.name, "True", reason, 60)
    for applier in everybody:
        before = [await world.api.get(kind, world.namespace, applier.name) for kind in ENDS]
        await asyncio.to_thread(applier.apply)
        await asyncio.to_thread(applier.kubectl, "diff")
        for old in before:
            new = await world.api.get(old["kind"], world.namespace, applier.name)
            assert (new["metadata"]["generation"], new["spec"]) == (1, old["spec"]), applier
            assert owners(new) == {"": {applier.manager}, "status": {"anneal"}}, applier


def owners(resource: Object) -> dict[str, set[str]]:
    """Field managers by subresource. Whoever owns a field of metadata or spec stands under the empty name."""
    found: dict[str, set[str]] = {}
    for entry in resource["metadata"]["managedFields"]:
        found.setdefault(entry.get("subresource", ""), set()).add(entry["manager"])
        if entry.get("subresource") == "status":
            assert set(entry["fieldsV1"]) == {"f:status"}, entry
    return found
