"""Commands of the documentation that need an API server and no nodes, run as they stand on the page.

Helm is asked for a dry run: without nodes, `--wait` would wait in vain. It still checks chart, flags and values.
"""

import os
import subprocess
from itertools import count
from pathlib import Path

import pytest
import yaml

from anneal_dev.demo import programs
from tests.apiserver.api.conftest import ROOT, Kubectl
from tests.rig.pages import blocks, clone, execute, of_rig, pages

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
    return {**os.environ, "PATH": path, "KUBECONFIG": str(tmp_path / "kubeconfig")}


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
