"""The chart by tools that read it alone: helm-unittest, kube-score, and kubeconform with the API server's own schemas.

They need no API server but the programs compiled beside it, and, for kubeconform, what it says of its kinds.
"""

import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from anneal_localcluster import charttools
from tests.apiserver.api.conftest import ROOT, Kubectl
from tests.rig.helm import CHART, PREVIOUS, Helm

pytestmark = pytest.mark.apiserver

PROFILES = [None, *sorted((CHART / "ci").glob("*-values.yaml"))]
# The API server does not know kinds of the Prometheus operator, Flux and Argo CD; nothing here asks the internet.
FOREIGN = "PodMonitor,PrometheusRule,GitRepository,HelmRelease,Kustomization,Application"


def test_helm_unittest() -> None:
    argv = [str(charttools.folder() / "helm-unittest"), "--strict", str(CHART)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 total" not in done.stdout.split("Tests:")[1].splitlines()[0]


def test_the_previous_chart_s_values_are_enough(kubectl: Kubectl, tmp_path: Path) -> None:
    """`helm upgrade --reuse-values` renders the new chart without its new values: none of them may be needed."""
    with tarfile.open(PREVIOUS) as package:
        package.extractall(tmp_path, filter="data")
    shutil.copytree(CHART, tmp_path / "reused")
    old, new = (yaml.safe_load((chart / "values.yaml").read_text()) for chart in (tmp_path / "anneal", CHART))
    for name in ("resources", "workers"):  # defaults that are others since then
        old["operator"][name] = new["operator"][name]
    (tmp_path / "reused" / "values.yaml").write_text(yaml.safe_dump(old))
    helm = Helm(kubectl.kubeconfig)
    assert helm.must("template", str(tmp_path / "reused")) == helm.must("template", str(CHART))


def rendered(kubectl: Kubectl, profile: Path | None) -> str:
    chosen = ["--values", str(profile)] if profile else []
    return Helm(kubectl.kubeconfig).must("template", "anneal", str(CHART), *chosen)


def reasoned(profile: Path | None) -> list[str]:
    """What kube-score is told not to ask for, each for a reason."""
    ignored = [
        # A CPU limit throttles, and a throttled operator renews its Lease late.
        "--ignore-container-cpu-limit",
        # Images are pinned by digest or version: pulling them again brings nothing but a dependence on the registry.
        "--ignore-test=container-image-pull-policy",
    ]
    # What may reach the operator is known to the cluster's administrator only, so the policy is an option.
    return ignored if profile and profile.name == "hardened-values.yaml" else [
        *ignored, "--ignore-test=pod-networkpolicy"]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.stem if profile else "defaults")
def test_38_kube_score_finds_nothing_critical(kubectl: Kubectl, profile: Path | None) -> None:
    argv = [str(charttools.folder() / "kube-score"), "score", "--kubernetes-version=v1.30", "--output-format=ci",
            *reasoned(profile), "-"]
    done = subprocess.run(argv, input=rendered(kubectl, profile), capture_output=True, text=True, check=False)
    assert "[OK] anneal/anneal-system apps/v1/Deployment" in done.stdout
    assert [line for line in done.stdout.splitlines() if line.startswith("[CRITICAL]")] == []


@pytest.fixture(scope="module")
def schemas(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of JSON Schemas, one a kind, as kubeconform looks for them: made from the API server's OpenAPI."""
    folder = tmp_path_factory.mktemp("schemas")
    index = json.loads(kubectl.must("get", "--raw", "/openapi/v3"))["paths"]
    for path, entry in index.items():
        if path == "api/v1" or (path.startswith("apis/") and path.count("/") == 2):
            document = json.loads(kubectl.must("get", "--raw", entry["serverRelativeURL"]))
            write_kinds(folder, document.get("components", {}).get("schemas", {}))
    return folder


def write_kinds(folder: Path, definitions: dict[str, Any]) -> None:
    """One file for each kind that these definitions have a top-level schema for."""
    text = json.dumps({name: strict(schema) for name, schema in definitions.items()})
    shared = json.loads(text.replace("#/components/schemas/", "#/definitions/"))
    for name, schema in definitions.items():
        for kind in schema.get("x-kubernetes-group-version-kind", []):
            if len(schema["x-kubernetes-group-version-kind"]) == 1:
                # kubeconform takes v1 for the group of core kinds.
                file = folder / f"{kind['kind']}-{kind['group'] or 'v1'}-{kind['version']}.json".lower()
                file.write_text(json.dumps({"$ref": f"#/definitions/{name}", "definitions": shared}))


def strict(schema: Any) -> Any:
    """The same schema, with unknown fields refused wherever the fields are listed."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    closed = isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields")
    return {**made, "additionalProperties": False} if closed and "additionalProperties" not in made else made


def kubeconform(schemas: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    location = f"{schemas}/{{{{ .ResourceKind }}}}-{{{{ .Group }}}}-{{{{ .ResourceAPIVersion }}}}.json"
    argv = [str(charttools.folder() / "kubeconform"), "-strict", "-summary", "-schema-location", location, *arguments]
    return subprocess.run(argv, input=text, capture_output=True, text=True, check=False)


def documents() -> Iterable[Path]:
    folders = ("manifests", "examples")
    return [file for folder in folders for file in sorted((ROOT / folder).rglob("*.yaml"))
            if "kind:" in file.read_text() and "kustomization" not in file.name]


@pytest.mark.parametrize("values", PROFILES, ids=lambda file: file.stem if file else "defaults")
def test_what_the_chart_renders_is_valid(schemas: Path, kubectl: Kubectl, values: Path | None) -> None:
    done = kubeconform(schemas, rendered(kubectl, values), "-skip", FOREIGN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Valid: 0," not in done.stdout


@pytest.mark.parametrize("file", documents(), ids=lambda file: str(file.relative_to(ROOT)))
def test_files_for_kubectl_are_valid(schemas: Path, file: Path) -> None:
    done = kubeconform(schemas, file.read_text(), "-skip", FOREIGN)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("line", ["  replicaz: 2", "  replicas: two"])
def test_kubeconform_would_see_a_mistake(schemas: Path, line: str) -> None:
    text = f"apiVersion: anneal.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {{name: a}}\nspec:\n{line}\n"
    assert "Invalid: 1" in kubeconform(schemas, text + "  model: {uri: pvc://a/b}\n").stdout
