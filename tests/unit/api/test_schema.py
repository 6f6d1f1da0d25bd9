"""The CRDs say everything that the models say, in the API server's words."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, Field

from anneal_api.conditions import REASONS, Reason
from anneal_api.crd import KINDS, Kind, definition, schema
from anneal_api.finetunejob import FineTuneJobSpec
from anneal_api.model import Document
from anneal_api.schema import SchemaError, structural
from anneal_generate.reference import leaves

NOT_STRUCTURAL = {"$ref", "$defs", "anyOf", "const", "title", "propertyNames", "patternProperties"}


def nodes(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in node:
        yield from nodes(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from nodes(node["additionalProperties"], f"{path}{{}}")


def every(part: str) -> list[tuple[str, dict[str, Any]]]:
    return [found for kind in KINDS for found in nodes(schema(kind)["properties"][part], f"{kind.kind}.{part}")]


def test_only_structural_keywords_are_used() -> None:
    assert not [path for path, node in every("spec") + every("status") if NOT_STRUCTURAL & set(node)]


def test_every_node_has_a_type() -> None:
    assert not [path for path, node in every("spec") + every("status") if "type" not in node]


def test_every_field_has_a_description() -> None:
    assert not [f"{path}.{name}" for path, node in every("spec") + every("status")
                for name, child in node.get("properties", {}).items() if not child.get("description")]


def unbounded(node: dict[str, Any]) -> bool:
    if node["type"] == "string":
        return "maxLength" not in node and "enum" not in node
    if node["type"] == "array":
        return "maxItems" not in node
    return "additionalProperties" in node and "maxProperties" not in node


def test_every_list_map_and_string_is_bounded() -> None:
    assert not [path for path, node in every("spec") + every("status") if unbounded(node)]


def test_every_number_of_a_spec_has_both_bounds() -> None:
    numbers = [(path, node) for path, node in every("spec") if node["type"] in ("integer", "number")]
    assert numbers
    assert not [path for path, node in numbers if "minimum" not in node or "maximum" not in node]


def test_no_field_of_a_status_has_a_default_only_a_status_that_is_not_there_yet() -> None:
    # A default would be written by the server into a status that we wrote, and read back as a difference.
    found = {path: node["default"] for path, node in every("status") if "default" in node}
    assert found == {f"{kind.kind}.status": {"observedGeneration": 0} for kind in KINDS}


def test_a_default_in_the_crd_is_the_model_s_own() -> None:
    spec = {"model": {"uri": "pvc://m"}, "dataset": {"uri": "pvc://d/f"}, "output": {"uri": "pvc://o"}}
    wire = FineTuneJobSpec.model_validate(spec).to_wire()
    checked = 0
    for path, node in leaves(schema(KINDS[0])["properties"]["spec"]):
        value: Any = wire
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None and "default" in node:
            assert value == node["default"], path
            checked += 1
    assert checked > 20


def test_rules_of_class_and_field_both_hold() -> None:
    inner: dict[str, Any] = {"x-kubernetes-validations": [{"rule": "a", "message": "a"}]}
    outer: dict[str, Any] = {"x-kubernetes-validations": [{"rule": "b", "message": "b"}]}

    class Inner(Document):
        model_config = {"json_schema_extra": inner}
        some_name: int = Field(default=1, ge=0, le=2)

    class Outer(Document):
        child: Inner = Field(json_schema_extra=outer)

    child = structural(Outer, defaults=True)["properties"]["child"]
    assert [rule["rule"] for rule in child["x-kubernetes-validations"]] == ["a", "b"]
    assert "someName" in child["properties"], "an own model_config must not lose the aliases"


def test_a_union_is_refused_with_its_place() -> None:
    class Union(BaseModel):
        value: int | str

    with pytest.raises(SchemaError, match=r"Union\.value: a union of 2 types"):
        structural(Union, defaults=True)


def test_exclusive_bounds_are_booleans() -> None:
    rate = next(node for path, node in every("spec") if path.endswith("learningRate"))
    assert (rate["minimum"], rate["exclusiveMinimum"], rate["maximum"]) == (0, True, 1)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_columns_point_into_the_schema(kind: Kind) -> None:
    known = {path for part in ("spec", "status")
             for path, _ in leaves({"properties": {part: schema(kind)["properties"][part]}})}
    version = definition(kind)["spec"]["versions"][0]
    paths = [column["jsonPath"].lstrip(".") for column in version["additionalPrinterColumns"]]
    plain = [path for path in paths if not path.startswith("metadata.") and "[?" not in path]
    assert plain
    assert set(plain) <= known


def test_every_reason_is_documented() -> None:
    assert set(REASONS) == set(Reason)
    assert not [reason for reason, info in REASONS.items() if info.terminal and not info.fix]
