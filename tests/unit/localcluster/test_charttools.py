"""The chart's tools are those that their module names, for the Kubernetes that the node is."""

import re

from anneal_localcluster import build, charttools
from anneal_localcluster.settings import HELM3_VERSION


def required(module: str, folder: str) -> str:
    text = (build.SOURCE.parent / folder / "go.mod").read_text()
    found = re.search(rf"^\s+{re.escape(module)} (v\S+)", text, re.MULTILINE)
    assert found, module
    return found[1]


def test_helm_says_the_version_that_it_is() -> None:
    assert required("helm.sh/helm/v3", "charttools") == HELM3_VERSION


def test_what_both_modules_need_is_compiled_once() -> None:
    # Go's cache is by content: the same version of client-go, as the node has it after its `replace`.
    replaced = re.search(r"k8s\.io/client-go => k8s\.io/client-go (v\S+)", (build.SOURCE / "go.mod").read_text())
    assert replaced
    assert required("k8s.io/client-go", "charttools") == replaced[1]


def test_the_kubernetes_that_is_rendered_for_is_the_node_s() -> None:
    minor = required("k8s.io/kubernetes", "node").split(".")[1]
    assert f"chartutil.k8sVersionMinor={minor}" in charttools.link_flags()
