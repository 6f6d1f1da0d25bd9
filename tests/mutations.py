"""Every field of a CRD, wrong in every way that its schema suggests, and right at its edges (after Acto, SOSP 23).

What comes out depends on the schema and on the seed only.
"""

import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from anneal_generate.reference import leaves

Schema = dict[str, Any]
SEED = 20260302
GONE = object()
"""Stands for a field that is left out."""

STRANGE = ("", " ", "ünïcödé", "a\u202eb", "\u0661\u0662", "a\nb", "-", "..", "'; DROP", "{{ 7 * 7 }}", "x" * 5000)
QUANTITIES = ("0", "1m", "0.000001", "9" * 32, "1Ti", "10m", "100m", "1e3")
DURATIONS = ("0s", "0h0m0s", "999999999999999h", "1s", "1h1h1h", "5d")


@dataclass(frozen=True)
class Mutation:
    """One change of one field."""

    path: str
    what: str
    value: Any

    def __str__(self) -> str:
        return f"{self.path} {self.what}"

    def apply(self, spec: dict[str, Any]) -> dict[str, Any]:
        """The spec with this change."""
        result = copy.deepcopy(spec)
        *parents, last = self.path.split(".")
        place: Any = result
        for name in parents:
            place = place[name[:-2]][0] if name.endswith("[]") else place.setdefault(name, {})
        if self.value is GONE:
            place.pop(last, None)
        else:
            place[last] = copy.deepcopy(self.value)
        return result


def mutations(spec_schema: Schema) -> Iterator[Mutation]:
    """All of them, in the schema's order."""
    chance = random.Random(SEED)
    for path, node in leaves(spec_schema):
        yield Mutation(path, "left out", GONE)
        yield Mutation(path, "null", None)
        for what, value in (*_wrong_type(node), *_edges(node, chance)):
            yield Mutation(path, what, value)


def _wrong_type(node: Schema) -> Iterator[tuple[str, Any]]:
    others = {"string": 7, "integer": "7", "number": "0.5", "boolean": "true", "array": "a", "object": "a"}
    yield "of another type", others[node["type"]]
    yield "a list of objects", [{"a": 1}]
    yield "an object", {"a": [1]}


def _edges(node: Schema, chance: random.Random) -> Iterator[tuple[str, Any]]:
    match node["type"]:
        case "integer" | "number":
            yield from _numbers(node, chance)
        case "boolean":
            yield from (("toggled on", True), ("toggled off", False))
        case "array":
            yield from (("empty", []), ("too long", ["a"] * (node["maxItems"] + 1)), ("of strange words", [*STRANGE]))
        case "object":
            yield from (("empty", {}), ("too large", {f"k{n}": "v" for n in range(node["maxProperties"] + 1)}))
            yield from ((f"with key {text[:9]!r}", {text: text}) for text in STRANGE)
        case _:
            yield from _strings(node, chance)


def _numbers(node: Schema, chance: random.Random) -> Iterator[tuple[str, Any]]:
    low, high = node["minimum"], node["maximum"]
    step = 1 if node["type"] == "integer" else 0.001
    yield from (("below", low - step), ("least", low), ("most", high), ("above", high + step))
    yield from (("huge", 2**63), ("negative", -1), ("a fraction", 1.5))
    between = chance.randint(low, high) if node["type"] == "integer" else round(chance.uniform(low, high), 4)
    yield "something between", between


def _strings(node: Schema, chance: random.Random) -> Iterator[tuple[str, Any]]:
    if "enum" in node:
        yield from ((f"toggled to {value}", value) for value in node["enum"])
        yield "in capitals", node["enum"][0].upper()
    yield "too long", "a" * (node.get("maxLength", 4096) + 1)
    yield "as long as may be", "a" * min(node.get("maxLength", 63), 512)
    yield from ((f"strange {text[:9]!r}", text) for text in STRANGE)
    yield "of random signs", "".join(chance.choices("abc-._/:0", k=12))
    extremes = QUANTITIES if "Ki|Mi" in node.get("pattern", "") else DURATIONS if "s|m|h" in node.get(
        "pattern", "") else ()
    yield from ((f"the amount {text}", text) for text in extremes)
