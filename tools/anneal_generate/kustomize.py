"""Rendered from the chart by Helm: manifests/ for those who install without it, and one golden file per profile."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from anneal_generate.text import yaml_file
from anneal_localcluster import build

NAMESPACE = "anneal-system"
RBAC_KINDS = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
HELM_LABELS = ("helm.sh/chart", "app.kubernetes.io/managed-by")


def files(root: Path) -> dict[str, str]:
    """The two folders with their kustomizations, and the chart rendered with each file of values in its ci/ folder."""
    chart = root / "charts" / "anneal"
    manifests = render(chart)
    rbac = [item for item in manifests if item["kind"] in RBAC_KINDS]
    operator = [item for item in manifests if item["kind"] not in RBAC_KINDS]
    profiles = sorted((chart / "ci").glob("*-values.yaml"))
    golden = {f"tests/golden/chart/{file.name}": yaml_file(*render(chart, "--values", str(file))) for file in profiles}
    return {
        **golden,
        "manifests/rbac/rbac.yaml": yaml_file(*rbac),
        "manifests/rbac/kustomization.yaml": yaml_file(_kustomization("rbac.yaml")),
        "manifests/operator/operator.yaml": yaml_file(*operator),
        "manifests/operator/kustomization.yaml": yaml_file(_kustomization("operator.yaml")),
    }


def render(chart: Path, *arguments: str) -> list[dict[str, Any]]:
    """The chart's objects without CRDs, and without labels that would claim that Helm owns them."""
    argv = [
        str(build.tool_folder() / "helm"),
        "template",
        "anneal",
        str(chart),
        "--namespace",
        NAMESPACE,
        "--set",
        "crds.enabled=false",
        *arguments,
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"helm cannot render {chart}: {done.stderr.strip()}")
    items = [item for item in yaml.safe_load_all(done.stdout) if item]
    for item in items:
        _drop_helm_labels(item)
    return items


def _drop_helm_labels(item: dict[str, Any]) -> None:
    template = item.get("spec", {}).get("template", {}) if item["kind"] == "Deployment" else {}
    for metadata in (item["metadata"], template.get("metadata", {})):
        for label in HELM_LABELS:
            metadata.get("labels", {}).pop(label, None)


def _kustomization(*resources: str) -> dict[str, Any]:
    return {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": list(resources)}
