"""docs/reference: pages for the CRDs, the reasons, the chart's values and the metrics."""

import json
from typing import Any

from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from anneal_api import API_VERSION
from anneal_api.conditions import REASONS, Reason
from anneal_api.crd import KINDS, Kind, schema
from anneal_api.model import RULES
from anneal_api.run import METRICS_PORT
from anneal_api.signs import SIGNS
from anneal_generate.chart_values import ChartValues
from anneal_generate.text import markdown_file, table
from anneal_operator.controllers.metrics import Metrics
from anneal_operator.controllers.queue import WorkQueue
from anneal_operator.controllers.store import Store
from anneal_trainer.exporter import Exporter

BOUNDS = (
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " entries"),
    ("minProperties", "maxProperties", " entries"),
)


def files() -> dict[str, str]:
    """All pages."""
    crds = markdown_file(
        "Custom resources",
        f"Both are `{API_VERSION}`. In a cluster: `kubectl explain ftj.spec`.",
        *(section for kind in KINDS for section in _kind(kind)),
    )
    reasons = markdown_file(
        "Reasons",
        "Reasons of conditions, stages and Events. They are API: programs may rely on them. *Terminal* "
        "means that no retry changes it: the resource has to be changed. A message often has a fix for exactly its "
        "case, and `anneal explain NAME` prints reason, message and fix together. The examples are what the tests "
        "provoke.",
        _reasons(),
        *(section for reason in REASONS for section in _reason(reason)),
    )
    values = markdown_file("Chart values", "Every value of `charts/anneal`. Unknown keys are refused.", _values())
    metrics = markdown_file(
        "Metrics",
        "## Operator",
        "At `:8080/metrics`.",
        _metrics(),
        "## Train pods",
        f"At `:{METRICS_PORT}/metrics`, port `metrics`.",
        _families(Exporter().registry, []),
    )
    pages = {"crds": crds, "reasons": reasons, "values": values, "metrics": metrics}
    return {f"docs/reference/{name}.md": page for name, page in pages.items()}


def leaves(node: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every field without fields of its own, by its dotted path; lists of objects are `path[]`."""
    if "properties" in node:
        children = ((f"{path}.{name}".lstrip("."), child) for name, child in node["properties"].items())
        return [leaf for name, child in children for leaf in leaves(child, name)]
    if "properties" in node.get("items", {}):
        return leaves(node["items"], f"{path}[]")
    return [(path, node)]


def _kind(kind: Kind) -> list[str]:
    properties = schema(kind)["properties"]
    fields = [_row(*leaf) for leaf in leaves(properties["spec"])]
    rules = "\n".join(f"- {rule['message']}" for rule in _rules(schema(kind)))
    observed = [(f"`{path}`", _type(node), node.get("description", "")) for path, node in leaves(properties["status"])]
    return [
        f"## {kind.kind}",
        kind.summary,
        "### spec",
        table(("field", "type", "limits", "meaning"), fields),
        "### Rules",
        rules,
        "### status",
        table(("field", "type", "meaning"), observed),
    ]


def _row(path: str, node: dict[str, Any]) -> tuple[str, ...]:
    return f"`{path}`", _type(node), _limits(node), node.get("description", "")


def _type(node: dict[str, Any]) -> str:
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if node["type"] == "array":
        return f"list of {_type(node['items'])}"
    if "additionalProperties" in node:
        return f"map of {_type(node['additionalProperties'])}"
    return str(node["type"])


def _limits(node: dict[str, Any]) -> str:
    ranges = [_range(node, low, high) + unit for low, high, unit in BOUNDS if low in node or high in node]
    return "; ".join([*ranges, *(rule["message"] for rule in node.get(RULES, []) if "pattern" in node)])


def _range(node: dict[str, Any], low: str, high: str) -> str:
    above = "above " if node.get("exclusiveMinimum") else ""
    below = "below " if node.get("exclusiveMaximum") else ""
    if low not in node:
        return f"at most {node[high]}"
    return f"{above}{node.get(low, 0)} to {below}{node[high]}"


def _rules(node: dict[str, Any]) -> list[dict[str, str]]:
    children = [*node.get("properties", {}).values(), *([node["items"]] if "items" in node else [])]
    # A format's rule stands among the limits of its field.
    own = [] if "pattern" in node else node.get(RULES, [])
    return [*own, *(rule for child in children for rule in _rules(child))]


def _reasons() -> str:
    return table(
        ("reason", "meaning", "terminal"),
        [
            (f"[`{reason}`](#{reason.lower()})", info.meaning, "yes" if info.terminal else "")
            for reason, info in REASONS.items()
        ],
    )


def _reason(reason: Reason) -> list[str]:
    info, sign = REASONS[reason], SIGNS[reason]
    looks = [f"Looks like:\n\n```text\n{sign}\n```"] if sign else []
    ends = ["Terminal: no retry changes it; the run ends."] if info.terminal else []
    return [f"## {reason}", info.meaning, *looks, *ends, *([f"What to do: {info.fix}"] if info.fix else [])]


def _values() -> str:
    return table(("value", "default", "meaning"), _value_rows(ChartValues(), ""))


def _value_rows(model: BaseModel, path: str) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, field in type(model).model_fields.items():
        key, value = f"{path}{field.alias or name}", getattr(model, name)
        if isinstance(value, BaseModel):
            rows += _value_rows(value, f"{key}.")
        else:
            rows.append((f"`{key}`", f"`{json.dumps(value)}`", " ".join((field.description or "").split())))
    return rows


def _metrics() -> str:
    metrics = Metrics()
    metrics.watch(Store(), WorkQueue(), _NoLease())
    return _families(metrics.registry, [*vars(metrics).values(), *vars(metrics.outcomes).values()])


class _NoLease:
    held, seconds_left = False, 0.0


def _families(registry: CollectorRegistry, makers: list[Any]) -> str:
    # A metric without samples does not show its labels; the objects that make them know.
    labels = {getattr(maker, "_name", ""): getattr(maker, "_labelnames", ()) for maker in makers}
    rows = []
    for family in sorted(registry.collect(), key=lambda family: family.name):
        names = getattr(family, "_labelnames", None) or labels.get(family.name, ())
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append((f"`{name}`", family.type, ", ".join(names), family.documentation))
    return table(("metric", "type", "labels", "meaning"), rows)
