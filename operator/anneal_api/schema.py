"""Pydantic models as structural schemas of the API server (CRD `openAPIV3Schema`).

The API server knows less than JSON Schema: no `$ref`, no null in unions, no `const`, boolean exclusive bounds. Each
difference is handled in one function here; a keyword that nobody handles is an error, so that none is lost in silence.
"""

import ast
import inspect
import json
from itertools import pairwise
from textwrap import dedent
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from anneal_api.model import RULES

Schema = dict[str, Any]

KEPT = frozenset({
    "type", "description", "default", "enum", "format", "pattern", "minLength", "maxLength", "minimum", "maximum",
    "minItems", "maxItems", "maxProperties", "required", "exclusiveMinimum", "exclusiveMaximum",
    RULES, "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
})
DROPPED = frozenset({"title"})
BOUNDS = (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum"))


class SchemaError(Exception):
    """A model uses something that a structural schema cannot say; the message names where."""


def structural(model: type[BaseModel], *, defaults: bool) -> Schema:
    """The structural schema of a model. Without `defaults` the server fills nothing in: right for a status."""
    document = model.model_json_schema(by_alias=True, schema_generator=_Described)
    return _convert(document, document.get("$defs", {}), defaults, model.__name__)


class _Described(GenerateJsonSchema):
    """Attribute docstrings become descriptions here and not in the models: reading them is half of the models' import,
    and every pod's program would wait for it (docs/decisions/0011)."""

    def model_schema(self, schema: core_schema.ModelSchema) -> Schema:
        result = super().model_schema(schema)
        fields = schema["cls"].model_fields
        for name, text in _docstrings(schema["cls"]).items():
            result["properties"][fields[name].alias or name]["description"] = text
        return result


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """{field: the string below it}, those of base classes included."""
    texts: dict[str, str] = {}
    for parent in reversed(model.mro()[: model.mro().index(BaseModel)]):
        body = next(node.body for node in ast.parse(dedent(inspect.getsource(parent))).body
                    if isinstance(node, ast.ClassDef))
        for field, below in pairwise(body):
            match field, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    texts[name] = inspect.cleandoc(text)
    return texts


def _convert(node: Schema, definitions: dict[str, Schema], defaults: bool, path: str) -> Schema:
    merged = _without_null(_inlined(node, definitions, path), definitions, path)
    result: Schema = {}
    for keyword, value in merged.items():
        if keyword in KEPT:
            result[keyword] = value
        elif keyword == "const":
            result["enum"] = [value]
        elif keyword == "properties":
            result["properties"] = {
                name: _convert(child, definitions, defaults, f"{path}.{name}") for name, child in value.items()}
        elif keyword == "items":
            result["items"] = _convert(value, definitions, defaults, f"{path}[]")
        elif keyword == "additionalProperties":
            # `false` is what a structural schema means anyway: unknown fields are pruned, or refused by strict clients.
            if value is not False:
                result["additionalProperties"] = _convert(value, definitions, defaults, f"{path}{{}}")
        elif keyword == "propertyNames":
            result[RULES] = [*result.get(RULES, []), *_key_rules(value, path)]
        elif keyword not in DROPPED and keyword != "$defs":
            raise SchemaError(f"{path}: keyword {keyword!r} has no structural form; handle it in anneal_api.schema")
    return _finished(result, defaults)


def _inlined(node: Schema, definitions: dict[str, Schema], path: str) -> Schema:
    """Replace `$ref` by what it points to. The field's own words win over the class's; rules of both hold."""
    if "$ref" not in node:
        return node
    name = node["$ref"].removeprefix("#/$defs/")
    target = _inlined(definitions[name], definitions, path)
    own = {key: value for key, value in node.items() if key != "$ref"}
    merged = {**target, **own}
    if both := [*target.get(RULES, []), *own.get(RULES, [])]:
        merged[RULES] = both
    return merged


def _without_null(node: Schema, definitions: dict[str, Schema], path: str) -> Schema:
    """`T | None` becomes T: on the wire an unset field is absent, never null."""
    if "anyOf" not in node:
        return node
    variants = [variant for variant in node["anyOf"] if variant != {"type": "null"}]
    if len(variants) != 1:
        raise SchemaError(f"{path}: a union of {len(variants)} types has no structural form; use one type")
    own = {key: value for key, value in node.items() if key != "anyOf"}
    variant = _inlined(variants[0], definitions, path)
    return {**variant, **own, **({RULES: variant[RULES]} if RULES in variant else {})}


def _key_rules(names: Schema, path: str) -> list[dict[str, str]]:
    """Structural schemas have no `propertyNames`; CEL says the same."""
    if set(names) - {"type", "maxLength"}:
        raise SchemaError(f"{path}: only maxLength can bound the keys of a map, not {sorted(names)}")
    limit = names["maxLength"]
    return [{"rule": f"self.all(key, size(key) <= {limit})", "message": f"keys are at most {limit} characters"}]


def _finished(node: Schema, defaults: bool) -> Schema:
    result = dict(node)
    if result.get("type") == "integer":
        result["format"] = "int64"
    for exclusive, inclusive in BOUNDS:
        if exclusive in result:
            result[inclusive], result[exclusive] = result[exclusive], True
    if not defaults or result.get("default") is None:
        result.pop("default", None)
    else:
        result["default"] = _without_nulls(result["default"])
    if "description" in result:
        result["description"] = _described(result)
    return result


def _described(node: Schema) -> str:
    """The description on one line. `kubectl explain` does not show defaults, so the text ends with it."""
    text, default = " ".join(node["description"].split()), node.get("default")
    if default is None or default in ("", {}, []) or isinstance(default, dict):
        return text
    return f"{text} Default: {default if isinstance(default, str) else json.dumps(default)}."


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value
