"""What the chart makes, read from the manifests that are generated from it: no Helm is needed here."""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from anneal_operator import settings

ROOT = Path(__file__).parents[3]
FORBIDDEN = {"secrets", "pods/exec", "pods/attach", "pods/portforward", "serviceaccounts/token", "roles",
             "rolebindings", "clusterroles", "clusterrolebindings", "nodes", "mutatingwebhookconfigurations"}


def load(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((ROOT / "manifests" / name).read_text()))


RBAC = load("rbac/rbac.yaml")
OPERATOR = load("operator/operator.yaml")
ROLES = [item for item in RBAC if item["kind"] in ("Role", "ClusterRole")]


def deployment() -> dict[str, Any]:
    (found,) = (item for item in OPERATOR if item["kind"] == "Deployment")
    return found


def environment() -> dict[str, Any]:
    (container,) = deployment()["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry for entry in container["env"]}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role["metadata"]["name"])
def test_roles_name_what_they_grant(role: dict[str, Any]) -> None:
    for rule in role["rules"]:
        assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"]
        assert not FORBIDDEN & set(rule["resources"])
        assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])


def test_the_operator_never_deletes_what_users_made() -> None:
    rules = [rule for role in ROLES if "view" not in role["metadata"]["name"] and "edit" not in role["metadata"]["name"]
             for rule in role["rules"] if "anneal.dev" in rule["apiGroups"]]
    assert rules
    assert not [rule for rule in rules if {"create", "delete"} & set(rule["verbs"])]
    assert not [rule for rule in rules if "patch" in rule["verbs"] and "finetunejobs" in rule["resources"]]


def test_pod_passes_the_restricted_level() -> None:
    pod = deployment()["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert all("emptyDir" in volume for volume in pod["volumes"])


def test_one_operator_at_a_time() -> None:
    spec = deployment()["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_environment_is_what_the_settings_read() -> None:
    values = {name: str(entry.get("value", "from-the-pod")) for name, entry in environment().items()}
    assert settings.from_environment(values).pods.vllm_image.startswith("localhost/anneal/vllm:")
    assert set(values) == read_by_settings()


def read_by_settings() -> set[str]:
    tree = ast.parse(Path(settings.__file__).read_text())
    return {node.value for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("ANNEAL_")}


def test_identity_is_the_uid_of_the_pod() -> None:
    # A restarted container keeps its Lease; a second pod cannot pretend to be the first.
    assert environment()["ANNEAL_POD_UID"]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.uid"}}


def test_services_select_the_pod() -> None:
    labels = deployment()["spec"]["template"]["metadata"]["labels"].items()
    services = [item for item in OPERATOR if item["kind"] == "Service"]
    assert services
    assert all(service["spec"]["selector"].items() <= labels for service in services)
