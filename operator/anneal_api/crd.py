"""The two CustomResourceDefinitions, made from the pydantic models: one source for the API server, the docs and us.

`python -m anneal_api.crd` prints them as a JSON List that kubectl applies as it is.
"""

import json
import sys
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from anneal_api import GROUP, VERSION, finetunejob, finetunejob_status, modeldeployment
from anneal_api.model import RULES
from anneal_api.schema import structural

MAX_NAME = 40
"""Names of children add up to 23 characters to the resource's name, and 63 is the limit of a DNS label."""

@dataclass(frozen=True)
class Rule:
    """A CEL rule over the whole resource; `field` is what the API server names in its error."""

    expression: str
    message: str
    field: str = ""

    def to_wire(self) -> dict[str, str]:
        """As the API server reads it."""
        place = {"fieldPath": f".{self.field}", "reason": "FieldValueForbidden"} if self.field else {}
        return {"rule": self.expression, "message": self.message, **place}


NAME_RULES = (
    Rule(f"self.metadata.name.size() <= {MAX_NAME}",
         f"metadata.name is at most {MAX_NAME} characters: names of child objects are made from it"),
    Rule("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
         "metadata.name starts with a letter and holds only a-z, 0-9 and '-' (RFC 1035): a Service is named after it"),
)


@dataclass(frozen=True)
class Column:
    """One column of `kubectl get`; `wide` ones need -o wide."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False


@dataclass(frozen=True)
class Kind:
    """Everything that makes one CustomResourceDefinition."""

    kind: str
    plural: str
    singular: str
    short_names: tuple[str, ...]
    summary: str
    spec: type[BaseModel]
    status: type[BaseModel]
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]

    @property
    def name(self) -> str:
        """metadata.name of the CustomResourceDefinition."""
        return f"{self.plural}.{GROUP}"


def _condition(kind: str, field: str) -> str:
    return f".status.conditions[?(@.type=='{kind}')].{field}"


def _fixed_while_running(field: str) -> Rule:
    running = "oldSelf.?status.run.state.orValue('') == 'Running'"
    return Rule(f"!({running}) || self.spec.{field} == oldSelf.spec.{field}",
                f"spec.{field} is fixed while the run is under way; wait for its end, or make a new FineTuneJob",
                f"spec.{field}")


AGE = Column("Age", ".metadata.creationTimestamp", "date")
READY = Column("Ready", _condition("Ready", "status"))
REASON = Column("Reason", _condition("Ready", "reason"), wide=True)

FINE_TUNE_JOB = Kind(
    finetunejob.KIND, finetunejob.PLURAL, finetunejob.SINGULAR, finetunejob.SHORT_NAMES,
    "One fine-tuning run: a base model and a dataset in, a tuned, evaluated and published model out.",
    finetunejob.FineTuneJobSpec, finetunejob_status.FineTuneJobStatus,
    (Column("Method", ".spec.method.type"), Column("Phase", ".status.phase"),
     Column("Progress", ".status.progress.summary"), READY, AGE, REASON,
     Column("Model", ".spec.model.uri", wide=True), Column("Artifact", ".status.artifact.uri", wide=True)),
    (*NAME_RULES, *(_fixed_while_running(field) for field in finetunejob.RUN_FIELDS)))

MODEL_DEPLOYMENT = Kind(
    modeldeployment.KIND, modeldeployment.PLURAL, modeldeployment.SINGULAR, modeldeployment.SHORT_NAMES,
    "A model that answers under one address, pinned to exact bytes.",
    modeldeployment.ModelDeploymentSpec, modeldeployment.ModelDeploymentStatus,
    (Column("Engine", ".spec.engine.type"), READY, Column("Replicas", ".status.replicas"), Column("URL", ".status.url"),
     AGE, REASON, Column("Digest", ".status.stable.artifact.digest", wide=True)),
    NAME_RULES)

KINDS = (FINE_TUNE_JOB, MODEL_DEPLOYMENT)


def schema(kind: Kind) -> dict[str, Any]:
    """The structural schema of one kind."""
    spec, status = structural(kind.spec, defaults=True), structural(kind.status, defaults=False)
    # To kstatus a resource without a status is Current: Helm and Flux would go on before the operator has seen it.
    status["default"] = {"observedGeneration": 0}
    text = {"type": "string"}
    properties = {"apiVersion": text, "kind": text, "metadata": {"type": "object"}, "spec": spec, "status": status}
    return {"type": "object", "description": kind.summary, "required": ["spec"], "properties": properties,
            RULES: [rule.to_wire() for rule in kind.rules]}


def definition(kind: Kind) -> dict[str, Any]:
    """One CustomResourceDefinition."""
    version = {"name": VERSION, "served": True, "storage": True, "subresources": {"status": {}},
               "additionalPrinterColumns": [_printer_column(column) for column in kind.columns],
               "schema": {"openAPIV3Schema": schema(kind)}}
    names = {"kind": kind.kind, "listKind": f"{kind.kind}List", "plural": kind.plural, "singular": kind.singular,
             "shortNames": list(kind.short_names), "categories": ["anneal"]}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": kind.name, "labels": {"app.kubernetes.io/part-of": "anneal"}},
            "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]}}


def _printer_column(column: Column) -> dict[str, Any]:
    wide = {"priority": 1} if column.wide else {}
    return {"name": column.name, "type": column.type, "jsonPath": column.path, **wide}


def main() -> None:
    """Print both definitions."""
    items = [definition(kind) for kind in KINDS]
    sys.stdout.write(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2) + "\n")


if __name__ == "__main__":
    main()
