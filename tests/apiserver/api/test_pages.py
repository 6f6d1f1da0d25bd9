"""Commands of the documentation that need an API server and no nodes, run as they stand on the page.

Helm is asked for a dry run: without nodes, `--wait` would wait in vain. It still checks chart, flags and values.
"""

import os
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import yaml

from anneal_dev.demo import programs
from anneal_localcluster import build
from anneal_localcluster.control_plane import ControlPlane
from tests.apiserver.api.conftest import ROOT, Kubectl
from tests.rig.helm import CHART, Helm
from tests.rig.pages import Block, blocks, clone, execute, of_rig, pages

pytestmark = pytest.mark.apiserver

EXAMPLES = ("finetunejob.yaml", "modeldeployment.yaml")
NUMBERS = count()
OURS = ("FineTuneJob", "ModelDeployment")


@pytest.fixture
def environment(kubectl: Kubectl, tmp_path: Path) -> dict[str, str]:
    """A namespace of the page's own, the default one of its kubeconfig, with the quickstart applied."""
    namespace = f"page-{next(NUMBERS)}"
    kubectl.must("create", "namespace", namespace)
    for name in EXAMPLES:
        kubectl.must("apply", "-n", namespace, "-f", str(ROOT / "examples" / "quickstart" / name))
    config = yaml.safe_load(kubectl.kubeconfig.read_text())
    config["contexts"][0]["context"]["namespace"] = namespace
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    tools = _tools(kubectl.program.parent, tmp_path / "tools")
    path = f"{programs()}{os.pathsep}{tools}{os.pathsep}{os.environ['PATH']}"
    # What a page puts into the home folder stays in the test's.
    return {**os.environ, "PATH": path, "KUBECONFIG": str(tmp_path / "kubeconfig"), "HOME": str(tmp_path)}


def _tools(folder: Path, wrapped: Path) -> Path:
    wrapped.mkdir()
    (wrapped / "kubectl").symlink_to(folder / "kubectl")
    helm = wrapped / "helm"
    helm.write_text(f'#!/bin/sh\nexec "{folder / "helm"}" "$@" --dry-run=client\n')
    helm.chmod(0o755)
    return wrapped


@pytest.mark.parametrize("page", of_rig("apiserver"))
def test_commands_that_need_an_api_server_run(page: str, environment: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    folder.mkdir()
    clone(folder)
    for block in of_rig("apiserver")[page]:
        execute(block, folder, environment)


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Kubectl]:
    """An API server that does not know our kinds."""
    with ControlPlane(tmp_path / "plane") as plane:
        yield Kubectl(build.tool_folder() / "kubectl", plane.kubeconfig)


@pytest.fixture
def installed(bare: Kubectl) -> Kubectl:
    """The chart, a resource of each kind, and the ConfigMap of an Argo CD."""
    Helm(bare.kubeconfig).must("install", "anneal", str(CHART), "--create-namespace")
    for name in EXAMPLES:
        bare.must("apply", "-f", str(ROOT / "examples" / "quickstart" / name))
    bare.must("create", "namespace", "argocd")
    bare.must("create", "configmap", "argocd-cm", "-n", "argocd", "--from-literal=url=https://argocd.example.com")
    return bare


@pytest.mark.parametrize("page", of_rig("bare"))
def test_commands_that_install_run(page: str, bare: Kubectl, tmp_path: Path) -> None:
    _execute(of_rig("bare")[page], bare, tmp_path)
    assert "finetunejobs.anneal.dev" in bare.must("get", "crd", "-o", "name")


@pytest.mark.parametrize("page", of_rig("installed"))
def test_commands_that_change_a_whole_cluster_run(page: str, installed: Kubectl, tmp_path: Path) -> None:
    _execute(of_rig("installed")[page], installed, tmp_path)


def _execute(blocks_of_page: list[Block], kubectl: Kubectl, tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    folder.mkdir()
    clone(folder)
    path = f"{kubectl.program.parent}{os.pathsep}{os.environ['PATH']}"
    for block in blocks_of_page:
        execute(block, folder, {**os.environ, "PATH": path, "KUBECONFIG": str(kubectl.kubeconfig)})


MANIFESTS = [block for page in pages() for block in blocks(page) if block.language == "yaml"
             and any(document.get("kind") in OURS for document in yaml.safe_load_all(block.text) if document)]


@pytest.mark.parametrize("block", MANIFESTS, ids=lambda block: block.place)
def test_manifest_is_accepted(kubectl: Kubectl, block: object, tmp_path: Path) -> None:
    text = getattr(block, "text", "")
    answer = kubectl("apply", "--dry-run=server", "-f", "-", stdin=text)
    assert answer.ok, answer.text
    assert "Warning" not in answer.text


def test_helm_would_refuse_a_misspelt_value(environment: dict[str, str]) -> None:
    # The dry run is a check: this is what it finds.
    argv = ["helm", "upgrade", "--install", "anneal", "charts/anneal", "--set", "imagez.operator=1"]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "imagez" in done.stdout + done.stderr
