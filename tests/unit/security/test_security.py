"""The lines of docs/security.md that need no cluster; the number in a name is the line's."""

import ast
import importlib.util
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from anneal_api.crd import KINDS, Kind, schema
from anneal_api.redaction import HIDDEN
from anneal_generate.reference import leaves
from anneal_operator.decide import classify, finetunejob, modeldeployment
from anneal_operator.decide.facts import Children, Facts
from tests.factories import SETTINGS, START, exited, make_finetunejob, make_modeldeployment, make_pod
from tests.unit.operator.desired.rendered import MANIFESTS, Object, template_of

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden"
CHARTS = sorted((GOLDEN / "chart").glob("*.yaml"))
PODS = {name: template["spec"] for name, manifest in MANIFESTS.items() if (template := template_of(manifest))}


@cache
def documents(path: Path) -> list[Object]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def rbac() -> list[Object]:
    """What the default installation, and one limited to namespaces, grants."""
    found = documents(ROOT / "manifests" / "rbac" / "rbac.yaml")
    return found + documents(GOLDEN / "chart" / "namespaced-values.yaml")


def operator_pods() -> list[Object]:
    deployments = [one for path in CHARTS for one in documents(path) if one["kind"] == "Deployment"]
    return [one["spec"]["template"]["spec"] for one in deployments]


def every_pod() -> list[Object]:
    return [*PODS.values(), *operator_pods()]


def containers(pod: Object) -> list[Object]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


def test_02_every_container_is_restricted_and_has_a_read_only_root() -> None:
    for pod in every_pod():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] >= 10000
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def test_02_shared_memory_is_an_empty_dir_in_memory() -> None:
    for pod in PODS.values():
        (shm,) = (v for v in pod["volumes"] if v["name"] == "shm")
        assert shm["emptyDir"]["medium"] == "Memory"


def test_03_only_the_operator_holds_a_token() -> None:
    assert {pod["automountServiceAccountToken"] for pod in PODS.values()} == {False}
    accounts = [one for path in CHARTS for one in documents(path) if one["kind"] == "ServiceAccount"]
    assert accounts
    assert {one["automountServiceAccountToken"] for one in accounts} == {False}


def test_04_no_pod_reaches_its_host() -> None:
    for pod in every_pod():
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert not any("hostPath" in volume for volume in pod["volumes"])
        assert not any("hostPort" in port for c in containers(pod) for port in c.get("ports", ()))


def grants(role: Object) -> Iterator[str]:
    """A role, one right a line: verb, group/resource, and the name where it is limited to one."""
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield " ".join([verb, f"{group or 'core'}/{resource}", *rule.get("resourceNames", ())])


def granted() -> str:
    """Everything that the chart grants to anybody."""
    found: dict[str, set[str]] = {}
    for one in rbac():
        if one["kind"] in ("Role", "ClusterRole"):
            scope = one["metadata"].get("namespace", "")
            found.setdefault(f"{one['kind']} {one['metadata']['name']} {scope}".strip(), set()).update(grants(one))
    return "\n".join("\n    ".join([role, *sorted(rights)]) for role, rights in found.items()) + "\n"


def test_05_what_is_granted_is_in_the_golden_file(request: pytest.FixtureRequest) -> None:
    path = GOLDEN / "rbac.txt"
    if request.config.getoption("--update-golden"):
        path.write_text(granted())
    assert granted() == path.read_text(), "rights changed: look at them, and run pytest --update-golden"


@pytest.mark.parametrize("forbidden", [
    r"^\* ", r" \S*/\*", r"/secrets", r"pods/(exec|attach|portforward|ephemeral)", r"^(escalate|bind|impersonate) ",
    r"serviceaccounts/token", r"^(create|update|patch|delete) rbac\.", r"webhookconfigurations", r"customresourcedefin",
    r"nodes", r"^(create|update|patch) core/pods$"])
def test_05_07_08_nothing_dangerous_is_granted(forbidden: str) -> None:
    lines = [line.strip() for line in granted().splitlines() if line.startswith(" ")]
    assert len(lines) > 40
    assert [line for line in lines if re.search(forbidden, line)] == []


def test_06_with_namespaces_named_there_is_no_cluster_role() -> None:
    kinds = {one["kind"] for one in documents(GOLDEN / "chart" / "namespaced-values.yaml")}
    assert "Role" in kinds
    assert not {"ClusterRole", "ClusterRoleBinding"} & kinds


def test_07_30_a_secret_is_a_file_in_one_container_and_never_a_variable_or_an_argument() -> None:
    with_secret = {name for name, pod in PODS.items() if any("secret" in v for v in pod["volumes"])}
    assert with_secret == {"finetunejob-rich/job-prepare"}
    for pod in PODS.values():
        for container in containers(pod):
            assert "envFrom" not in container
            assert not any("valueFrom" in entry for entry in container["env"])
            assert "hf" not in container["command"]


def test_08_the_operator_s_account_is_not_that_of_the_pods() -> None:
    names = {pod["serviceAccountName"] for pod in operator_pods()}
    assert names == {"anneal"}
    assert {pod.get("serviceAccountName") for pod in PODS.values()} <= {None, "pods"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_09_10_no_field_can_name_another_namespace_or_an_account(kind: Kind) -> None:
    names = {path.rsplit(".", 1)[-1] for path, _ in leaves(schema(kind)["properties"]["spec"])}
    dangerous = re.compile("namespace|serviceaccount|image|command|args|env", re.IGNORECASE)
    assert [name for name in names if dangerous.search(name)] == []


@pytest.mark.parametrize("name", MANIFESTS)
def test_10_children_live_where_their_resource_does(name: str) -> None:
    assert MANIFESTS[name]["metadata"]["namespace"] == "team"
    assert '"namespace": "' not in json.dumps(MANIFESTS[name].get("spec", {}))


ANNOTATIONS = {"anneal.dev/skip-validation": "true", "anneal.dev/force": "yes", "kopf.zalando.org/x": "{}"}


@pytest.mark.parametrize("resource", [
    make_finetunejob(), make_finetunejob(newField=1), make_modeldeployment(), make_modeldeployment(newField=1)])
def test_12_no_annotation_changes_a_decision(resource: Object) -> None:
    brain: Any = finetunejob if resource["kind"] == "FineTuneJob" else modeldeployment
    marked = {**resource, "metadata": {**resource["metadata"], "annotations": ANNOTATIONS, "labels": ANNOTATIONS}}
    plain, other = (brain.plan(Facts(one, Children()), START, SETTINGS) for one in (resource, marked))
    assert plain == other


def imports(package: str) -> set[str]:
    found: set[str] = set()
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    for path in Path(spec.submodule_search_locations[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(str(node.module).partition(".")[0])
    return found


def test_26_the_operator_renders_no_template_and_runs_no_other_program() -> None:
    found = imports("anneal_operator") | imports("anneal_api")
    assert {"kopf", "pydantic"} <= found
    assert not {"jinja2", "pickle", "torch", "transformers", "marshal", "shelve"} & found


CANARY = "hf_" + "c4N4rY" * 5


@pytest.mark.parametrize(("code", "message", "log"), [
    (1, "", f"requests.exceptions.HTTPError: 401 for token {CANARY}"), (1, "", f"HF_TOKEN={CANARY} python train.py"),
    (10, json.dumps({"message": f"cannot log in with {CANARY}"}), ""), (1, f"Bearer {CANARY}", ""),
    (11, f"plain words with {CANARY}", ""), (1, "", f"{CANARY} " + "x" * 975)])
def test_30_what_looks_like_a_secret_in_a_log_or_a_last_word_does_not_reach_a_status(
    code: int, message: str, log: str,
) -> None:
    pod = make_pod(phase="Failed", state=exited(code, message))
    verdict = classify.ended_badly(pod, "trainer", "stage train", log)
    assert HIDDEN in verdict.message or len(log) > classify.MAX_LOG_CHARS
    assert CANARY[-12:] not in verdict.message


def test_33_kopf_keeps_no_copy_of_a_resource_and_logs_none() -> None:
    for pod in operator_pods():
        (operator,) = pod["containers"]
        assert not {"--verbose", "--debug"} & {*operator.get("command", ()), *operator.get("args", ())}
        level = next(entry["value"] for entry in operator["env"] if entry["name"] == "ANNEAL_LOG_LEVEL")
        assert level in ("INFO", "WARNING")
    logs = (ROOT / "operator" / "anneal_operator" / "controllers" / "logs.py").read_text()
    assert "max(logging.WARNING" in logs, "whatever the level, Kopf's own log stays quiet: it prints whole bodies"


def test_38_every_container_has_requests_limits_and_what_serves_has_probes() -> None:
    for pod in every_pod():
        for container in containers(pod):
            assert {"cpu", "memory"} <= set(container["resources"]["requests"])
            assert "memory" in container["resources"]["limits"]
    servers = [pod for name, pod in PODS.items() if name.endswith("/deployment")]
    assert servers
    for pod in (*servers, *operator_pods()):
        assert {"startupProbe", "readinessProbe"} <= set(pod["containers"][0])


def test_38_images_are_never_latest() -> None:
    for pod in operator_pods():
        for container in containers(pod):
            assert not container["image"].endswith(":latest")
            assert ":" in container["image"].rsplit("/", 1)[-1] or "@sha256:" in container["image"]


def test_40_what_a_resource_may_say_is_bounded() -> None:
    def unbounded(node: Object, path: str) -> Iterator[str]:
        for name, child in node.get("properties", {}).items():
            yield from unbounded(child, f"{path}.{name}")
        if "items" in node:
            yield from unbounded(node["items"], f"{path}[]")
        limit = {"string": "maxLength", "array": "maxItems"}.get(node.get("type", ""))
        if limit and limit not in node and "enum" not in node:
            yield path
        if "additionalProperties" in node and "maxProperties" not in node:
            yield path

    for kind in KINDS:
        assert list(unbounded(schema(kind)["properties"]["spec"], kind.kind)) == []
