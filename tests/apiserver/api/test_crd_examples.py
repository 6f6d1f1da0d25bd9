"""Every rule of the CRDs, good and bad, as files applied to a real API server the way a user applies them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from anneal_api.crd import FINE_TUNE_JOB, KINDS, Kind, schema
from anneal_api.finetunejob import RUN_FIELDS
from anneal_generate.reference import leaves
from tests.apiserver.api.conftest import Kubectl

EXAMPLES = Path(__file__).parent / "examples"
GOOD = sorted((EXAMPLES / "good").glob("*.yaml"))
BAD = sorted((EXAMPLES / "bad").glob("*.yaml"))
EXPECT = "# expect: "

# A value that differs from what good/every-field.yaml has, for each field that is fixed while a run is under way.
OTHER: dict[str, dict[str, Any]] = {
    "model": {"revision": "main"},
    "template": {"source": "auto", "configMapRef": None},
    "dataset": {"maxTokens": 100},
    "method": {"lora": {"rank": 8}},
    "training": {"epochs": 2},
    "evaluation": {"maxNewTokens": 1},
    "output": {"uri": "pvc://elsewhere"},
}
MUTABLE = {"suspend": False, "deadline": "2h", "stallTimeout": "2h", "retry": {"failures": 1},
           "resources": {"memory": "1Gi"}}

pytestmark = pytest.mark.apiserver


def expected(path: Path) -> tuple[str, ...]:
    """What the refusal says; some files name the field first: `<field> | <message>`."""
    first = path.read_text().splitlines()[0]
    assert first.startswith(EXPECT), f"{path.name} must start with {EXPECT!r}"
    return tuple(first.removeprefix(EXPECT).split(" | "))


def apply(kubectl: Kubectl, path: Path) -> tuple[bool, str]:
    answer = kubectl("apply", "--dry-run=server", "-f", str(path))
    return answer.ok, answer.text


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_example_is_accepted(kubectl: Kubectl, path: Path) -> None:
    ok, text = apply(kubectl, path)
    assert ok, text


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_example_is_refused_by_name(kubectl: Kubectl, path: Path) -> None:
    ok, text = apply(kubectl, path)
    assert not ok
    for part in expected(path):
        assert part in text


def rules(node: dict[str, Any]) -> Iterator[str]:
    yield from (rule["message"] for rule in node.get("x-kubernetes-validations", []))
    for child in [*node.get("properties", {}).values(), *([node["items"]] if "items" in node else [])]:
        yield from rules(child)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_rule_has_a_bad_example(kind: Kind) -> None:
    wanted = [expected(path)[-1] for path in BAD]
    transitions = {f"spec.{field} is fixed" for field in RUN_FIELDS}
    untested = [message for message in rules(schema(kind))
                if not any(text in message for text in wanted) and not any(text in message for text in transitions)]
    assert not untested


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_field_is_set_by_a_good_example(kind: Kind) -> None:
    examples = [yaml.safe_load(path.read_text()) for path in GOOD]
    specs = [example["spec"] for example in examples if example["kind"] == kind.kind]
    unused = [path for path, _ in leaves(schema(kind)["properties"]["spec"])
              if not any(has(spec, path.split(".")) for spec in specs)]
    assert not unused


def has(value: Any, path: list[str]) -> bool:
    if not path:
        return True
    name, rest = path[0], path[1:]
    if name.endswith("[]"):
        return any(has(item, rest) for item in value.get(name[:-2], []))
    return name in value and has(value[name], rest)


@pytest.fixture(scope="module")
def running(kubectl: Kubectl) -> str:
    """A FineTuneJob whose run is under way."""
    kubectl.must("apply", "-f", str(EXAMPLES / "good" / "every-field.yaml"))
    name = "every-field-with-a-name-of-40-characters"
    set_run(kubectl, name, "Running")
    return name


def set_run(kubectl: Kubectl, name: str, state: str) -> None:
    status = json.dumps({"status": {"run": {"id": "1", "state": state}}})
    kubectl.must("patch", "ftj", name, "--subresource=status", "--type=merge", "-p", status)


def patch_spec(kubectl: Kubectl, name: str, **fields: Any) -> tuple[bool, str]:
    answer = kubectl("patch", "ftj", name, "--type=merge", "--dry-run=server", "-p", json.dumps({"spec": fields}))
    return answer.ok, answer.text


@pytest.mark.parametrize("field", RUN_FIELDS)
def test_run_field_is_fixed_while_running_and_free_afterwards(kubectl: Kubectl, running: str, field: str) -> None:
    change = {field: OTHER.get(field, "again")}
    ok, text = patch_spec(kubectl, running, **change)
    assert not ok
    assert f"spec.{field} is fixed while the run is under way" in text
    set_run(kubectl, running, "Failed")
    try:
        ok, text = patch_spec(kubectl, running, **change)
        assert ok, text
    finally:
        set_run(kubectl, running, "Running")


@pytest.mark.parametrize("field", MUTABLE)
def test_other_fields_stay_editable_while_running(kubectl: Kubectl, running: str, field: str) -> None:
    ok, text = patch_spec(kubectl, running, **{field: MUTABLE[field]})
    assert ok, text


def test_run_fields_are_those_of_the_spec() -> None:
    assert set(RUN_FIELDS) <= set(schema(FINE_TUNE_JOB)["properties"]["spec"]["properties"])


def test_a_user_may_not_write_the_status_with_the_spec(kubectl: Kubectl) -> None:
    document = yaml.safe_load((EXAMPLES / "good" / "minimal.yaml").read_text())
    document["metadata"]["name"] = "liar"
    document["status"] = {"phase": "Succeeded"}
    kubectl.must("create", "-f", "-", stdin=json.dumps(document))
    assert json.loads(kubectl.must("get", "ftj", "liar", "-o", "jsonpath={.status}")) == {"observedGeneration": 0}
