"""Programs that only the chart's tests need: Helm 3, helm-unittest, kubeconform and kube-score.

In modules of their own, so that a new version of one of them never compiles Kubernetes again. The first pins what the
node pins: most of its packages are then in Go's cache already. kube-score needs packages that Kubernetes has dropped.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from anneal_localcluster.build import SOURCE as NODE_SOURCE
from anneal_localcluster.build import compile_go, ensure_go
from anneal_localcluster.settings import HELM3_VERSION, KUBERNETES_VERSION, cache_root
from anneal_localcluster.shell import exclusive, say

SOURCES = tuple(NODE_SOURCE.parent / name for name in ("charttools", "kubescore"))


def link_flags() -> str:
    """Else Helm says v3.22 of itself, and 1.20 of the Kubernetes that `helm template` and `lint` render for."""
    major, minor, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
    packages = ("pkg/chartutil", "pkg/lint/rules")
    values = [f"helm.sh/helm/v3/internal/version.version={HELM3_VERSION}"]
    values += [f"helm.sh/helm/v3/{package}.k8sVersionMajor={major}" for package in packages]
    values += [f"helm.sh/helm/v3/{package}.k8sVersionMinor={minor}" for package in packages]
    return " ".join(["-s", "-w", *(f"-X {value}" for value in values)])


def folder() -> Path:
    """Where the programs lie; compiles them first when they are not there."""
    target = cache_root() / f"charttools-{source_hash()}"
    if not target.exists():
        with exclusive("charttools"):
            if not target.exists():
                _build(target)
    return target


def source_hash() -> str:
    digest = hashlib.sha256(link_flags().encode())
    for source in SOURCES:
        for name in ("go.mod", "go.sum"):
            digest.update((source / name).read_bytes())
    return digest.hexdigest()[:12]


def _build(target: Path) -> None:
    say(f"  building Helm {HELM3_VERSION}, helm-unittest, kubeconform and kube-score from source: a minute, once")
    new = target.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    # `tool` stands for every program that go.mod names as one; the slash makes Go take the path for a folder.
    for source in SOURCES:
        compile_go(ensure_go(), ["-ldflags", link_flags(), "-o", f"{new}/", "tool"], source=source)
    new.rename(target)
