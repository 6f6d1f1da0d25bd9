"""The chart's values.yaml and values.schema.json."""

from typing import Any

from pydantic import BaseModel

from anneal_generate.chart_values import ChartValues
from anneal_generate.text import HEADER, json_file, to_yaml


def files() -> dict[str, str]:
    """Both files of the chart."""
    head = f"# {HEADER}\n# Every value with its default; values.schema.json refuses unknown keys.\n"
    return {
        "charts/anneal/values.yaml": head + _block(ChartValues()),
        "charts/anneal/values.schema.json": json_file(schema()),
    }


def schema() -> dict[str, Any]:
    """JSON Schema of the values. Helm merges defaults before it validates, so nothing is required."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **ChartValues.model_json_schema(by_alias=True)}


def _block(model: BaseModel, indent: str = "") -> str:
    lines: list[str] = []
    for name, field in type(model).model_fields.items():
        key, value = field.alias or name, getattr(model, name)
        lines.append(f"{indent}# {' '.join((field.description or '').split())}")
        if isinstance(value, BaseModel):
            lines += [f"{indent}{key}:", _block(value, indent + "  ").rstrip("\n")]
        else:
            lines += [indent + line for line in to_yaml({key: value}).splitlines()]
    return "\n".join(lines) + "\n"
