"""The chart and the kustomize base on a real API server: what they install, and what it allows whom."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from anneal_localcluster import build
from anneal_localcluster.control_plane import ControlPlane
from tests.apiserver.api.conftest import ROOT, Kubectl
from tests.rig.helm import CHART, SYSTEM, VERSIONS, Helm

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
OPERATOR = f"system:serviceaccount:{SYSTEM}:anneal"
NOBODY = f"system:serviceaccount:{SYSTEM}:nobody"
RBAC = ROOT / "tests" / "golden" / "rbac.txt"

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """An API server without our CRDs, and with namespaces that enforce Pod Security."""
    with ControlPlane(tmp_path_factory.mktemp("chart")) as plane:
        kubectl = Kubectl(build.tool_folder() / "kubectl", plane.kubeconfig)
        for name in (SYSTEM, "team-a", "team-b", "team-c"):
            space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}}
            kubectl.must("apply", "-f", "-", stdin=json.dumps(space))
        yield kubectl


@pytest.fixture(scope="module")
def installed(bare: Kubectl) -> Iterator[Kubectl]:
    """The chart with its defaults."""
    helm = Helm(bare.kubeconfig)
    helm.must("install", "anneal", str(CHART))
    yield bare
    helm("uninstall", "anneal")


def listed(kubectl: Kubectl, who: str, namespace: str) -> set[str]:
    """What the API server says that an account may do there, as `can-i --list`, in lines of the golden file."""
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
              "spec": {"namespace": namespace}}
    answer = kubectl.must("create", "--validate=false", "-f", "-", "-o", "json", "--as", who, stdin=json.dumps(review))
    status = json.loads(answer)["status"]
    assert not status["incomplete"], status
    return {f"{verb} {group or 'core'}/{resource} {name}".strip() for rule in status["resourceRules"]
            for verb in rule["verbs"] for group in rule["apiGroups"] for resource in rule["resources"]
            for name in rule.get("resourceNames", [""])}


def golden(*sections: str) -> set[str]:
    """The lines below these headings of the golden file."""
    found: dict[str, set[str]] = {}
    for line in RBAC.read_text().splitlines():
        if not line.startswith(" "):
            heading = line
        found.setdefault(heading, set()).update({line.strip()} if line.startswith(" ") else ())
    return set[str]().union(*(found[section] for section in sections))


def may(kubectl: Kubectl, who: str, verb: str, what: str, namespace: str) -> bool:
    """`what` is resource, resource/name or resource:subresource."""
    resource, _, part = what.partition(":")
    return kubectl("auth", "can-i", verb, resource, f"--subresource={part}", "--as", who, "--namespace", namespace).ok


@pytest.mark.parametrize("version", VERSIONS)
def test_lint_finds_nothing(bare: Kubectl, version: str) -> None:
    for values in [None, *sorted((CHART / "ci").glob("*-values.yaml"))]:
        chosen = ["--values", str(values)] if values else []
        Helm(bare.kubeconfig, version).must("lint", "--strict", str(CHART), *chosen)


@pytest.mark.parametrize(("value", "text"), [
    ("image.tag=1", "additional properties 'image' not allowed"),
    ("operator.worker=1", "additional properties 'worker' not allowed"),
    ("operator.workers=0", "minimum: got 0, want 1"),
    ("images.operator.digest=latest", "does not match pattern"),
    ("images.pullPolicy=Sometimes", "value must be one of"),
    ("operator.podLabels.app\\.kubernetes\\.io/name=x", "app.kubernetes.io/name"),
    ("watchNamespaces={Team_A}", "does not match pattern")])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_wrong_value_is_refused_by_name(bare: Kubectl, version: str, value: str, text: str) -> None:
    answer = Helm(bare.kubeconfig, version)("template", str(CHART), "--set", value)
    assert not answer.ok
    assert text in answer.text


def test_both_helms_render_the_same(bare: Kubectl) -> None:
    old, new = (by_name(Helm(bare.kubeconfig, version).must("template", "anneal", str(CHART))) for version in VERSIONS)
    assert old == new


def test_the_operator_s_pod_is_admitted_where_restricted_is_enforced(installed: Kubectl) -> None:
    selector = "app.kubernetes.io/component=operator"
    wait = ("wait", "--for=create", "pod", "--selector", selector, "--namespace", SYSTEM, "--timeout=30s")
    assert "condition met" in installed.must(*wait)


def test_05_the_operator_may_do_what_the_golden_file_says_and_nothing_else(installed: Kubectl) -> None:
    everybody = listed(installed, NOBODY, "team-a")
    work, lease = golden("ClusterRole anneal-system-anneal"), golden("Role anneal-lease anneal-system")
    assert listed(installed, OPERATOR, "team-a") - everybody == work
    assert listed(installed, OPERATOR, SYSTEM) - everybody == work | lease


@pytest.mark.parametrize(("role", "creates"), [("view", False), ("edit", True), ("admin", True)])
def test_the_cluster_s_own_roles_cover_our_kinds(installed: Kubectl, role: str, creates: bool) -> None:
    user = f"{role}er"
    installed.must("create", "rolebinding", user, f"--clusterrole={role}", f"--user={user}", "--namespace", "team-a")
    for kind in ("finetunejobs.anneal.dev", "modeldeployments.anneal.dev"):
        assert may(installed, user, "get", kind, "team-a")
        assert may(installed, user, "create", kind, "team-a") == creates
        assert not may(installed, user, "patch", f"{kind}:status", "team-a")


def test_the_notes_print_resources_that_are_accepted(installed: Kubectl) -> None:
    notes = Helm(installed.kubeconfig).must("get", "notes", "anneal")
    blocks = [text.split("\n  EOF")[0] for text in notes.split("<<EOF\n")[1:]]
    assert len(blocks) == 2
    for block in blocks:
        installed.must("create", "--dry-run=server", "-f", "-", stdin=block.replace("\n  ", "\n").removeprefix("  "))


def test_upgrade_then_uninstall_keeps_the_resources(installed: Kubectl) -> None:
    helm = Helm(installed.kubeconfig)
    example = Path(__file__).parent / "examples" / "good" / "minimal.yaml"
    installed.must("apply", "--namespace", "team-a", "-f", str(example))
    helm.must("upgrade", "anneal", str(CHART), "--set", "operator.logLevel=DEBUG")
    helm.must("uninstall", "anneal")
    assert "minimal" in installed.must("get", "finetunejobs", "--namespace", "team-a", "--output=name")
    assert installed.must("get", "clusterroles", "--selector=app.kubernetes.io/part-of=anneal", "--output=name") == ""
    helm.must("install", "anneal", str(CHART))


def test_namespaced_mode_grants_nothing_elsewhere(bare: Kubectl) -> None:
    helm, account = Helm(bare.kubeconfig), f"system:serviceaccount:{SYSTEM}:spaced"
    helm.must("install", "spaced", str(CHART), "--values", str(CHART / "ci" / "namespaced-values.yaml"))
    try:
        everybody = listed(bare, NOBODY, "team-c")
        for namespace in ("team-a", "team-b"):
            assert listed(bare, account, namespace) - everybody == golden(f"Role anneal-system-anneal {namespace}")
        assert listed(bare, account, "team-c") == everybody
        assert listed(bare, account, SYSTEM) - everybody == golden("Role anneal-lease anneal-system")
        selector = "--selector=app.kubernetes.io/instance=spaced"
        assert bare.must("get", "clusterroles,clusterrolebindings", selector, "--output=name") == ""
    finally:
        helm.must("uninstall", "spaced")


def without_helm(item: dict[str, Any]) -> dict[str, Any]:
    """An object without what Helm alone writes and reads."""
    template = item.get("spec", {}).get("template", {})
    for metadata in (item["metadata"], template.get("metadata", {}) if isinstance(template, dict) else {}):
        metadata.get("annotations", {}).pop("helm.sh/resource-policy", None)
        for key in ("helm.sh/chart", "app.kubernetes.io/managed-by"):
            metadata.get("labels", {}).pop(key, None)
        if metadata.get("annotations") == {}:
            del metadata["annotations"]
    return item


def by_name(text: str) -> dict[str, dict[str, Any]]:
    items = [without_helm(item) for item in yaml.safe_load_all(text) if item]
    return {f"{item['kind']}/{item['metadata']['name']}": item for item in items}


def test_kustomize_installs_what_the_chart_does(installed: Kubectl) -> None:
    made = by_name(installed.must("kustomize", str(ROOT / "manifests")))
    assert made.pop(f"Namespace/{SYSTEM}")["metadata"]["labels"].items() >= RESTRICTED.items()
    chart = by_name(Helm(installed.kubeconfig).must("template", "anneal", str(CHART)))
    assert made.keys() == chart.keys()
    assert [name for name in made if made[name] != chart[name]] == []
    answer = installed("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k", str(ROOT / "manifests"))
    assert answer.ok, answer.text
