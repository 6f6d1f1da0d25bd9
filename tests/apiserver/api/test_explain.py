"""`kubectl explain` and `kubectl get` are the first documentation a user meets."""

import json

import pytest

from anneal_api.crd import KINDS, Kind, schema
from anneal_generate.reference import leaves
from tests.apiserver.api.conftest import Kubectl

pytestmark = pytest.mark.apiserver


def fields(kind: Kind) -> list[tuple[str, str]]:
    properties = schema(kind)["properties"]
    return [(f"{part}.{path}".replace("[]", ""), node["description"])
            for part in ("spec", "status") for path, node in leaves(properties[part])]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_leaf_is_explained(kubectl: Kubectl, kind: Kind) -> None:
    # One request for all leaves: the document is what `kubectl explain` prints from.
    document = json.loads(kubectl.must("get", "--raw", "/openapi/v3/apis/anneal.dev/v1alpha1"))
    served = document["components"]["schemas"][f"dev.anneal.v1alpha1.{kind.kind}"]
    found = {name.replace("[]", ""): node.get("description") for name, node in leaves(served)}
    missing = [path for path, text in fields(kind) if found.get(path) != text]
    assert not missing


@pytest.mark.parametrize(("path", "text"), [
    ("ftj.spec.training.learningRate", "Peak learning rate"), ("ftj.spec.model.secretRef.name", "Name of the Secret"),
    ("ftj.spec.scheduling.tolerations.effect", "Taint effect"), ("mdep.spec.engine.maxModelLen", "Default: 2048"),
    ("mdep.status.stable.artifact.digest", "sha256")])
def test_explain_reads_well(kubectl: Kubectl, path: str, text: str) -> None:
    assert text in kubectl.must("explain", path)


@pytest.mark.parametrize(("kind", "columns"), [
    ("ftj", "NAME METHOD PHASE PROGRESS READY AGE"), ("mdep", "NAME ENGINE READY REPLICAS URL AGE")])
def test_columns(kubectl: Kubectl, kind: str, columns: str) -> None:
    example = {"ftj": "good/minimal.yaml", "mdep": "good/deployment-of-a-job.yaml"}[kind]
    kubectl.must("apply", "-f", f"{__file__.rsplit('/', 1)[0]}/examples/{example}")
    assert " ".join(kubectl.must("get", kind).splitlines()[0].split()) == columns


def test_category_lists_both_kinds(kubectl: Kubectl) -> None:
    resources = kubectl.must("api-resources", "--categories=anneal", "--no-headers", "-o", "name").split()
    assert sorted(resources) == ["finetunejobs.anneal.dev", "modeldeployments.anneal.dev"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_schema_is_structural_and_served(kubectl: Kubectl, kind: Kind) -> None:
    definition = json.loads(kubectl.must("get", "crd", kind.name, "-o", "json"))
    conditions = {condition["type"]: condition["status"] for condition in definition["status"]["conditions"]}
    assert conditions.get("NonStructuralSchema", "False") == "False"
    assert conditions["Established"] == "True"
    assert conditions["NamesAccepted"] == "True"
